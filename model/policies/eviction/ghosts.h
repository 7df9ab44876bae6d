// Keys of pages that left the cache not long ago; policies learn from their return.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <deque>
#include <vector>

#include "model/cache/memory.h"
#include "model/cache/types.h"

namespace xenfs::policies {

/// Keeps keys in two queues, each in order of arrival, in about 10 B each: a table of fingerprints,
/// and for each queue the places in the table in order.
///
/// A ghost is known by 31 bits of its key's hash and by its bucket, not by its key, which would
/// take twice the memory. A look-up looks at 32 places or a few more, so one in 80 million that
/// should find nothing finds another key's ghost. The only consequence is one page taken for a
/// returning one.
///
/// A place in the table never moves. A ghost removed from the middle of its queue leaves its place
/// occupied (dead) until the queue reaches it, or until dead places are a sixteenth of the queue
/// and are all cleared.
class Ghosts {
  public:
    static constexpr int kNowhere = -1;

    /// Allocates room for that many at once, so that there is one table. More may be added: the
    /// table then gets a second part, as large as all before.
    void reserve(std::uint32_t capacity);

    /// Adds a key that is in neither queue, as the newest.
    void add(int queue, cache::PageKey key);
    /// Removes a key; returns the queue that held it, or kNowhere.
    int remove(cache::PageKey key);
    void remove_oldest(int queue);

    std::uint32_t size(int queue) const {
        const Queue& q = queues_[queue];
        return static_cast<std::uint32_t>(q.places.size()) - q.dead;
    }
    std::uint32_t size() const { return size(0) + size(1); }
    std::size_t memory_bytes() const;

    /// Fetches what a look-up of the key will read (all of it `early`).
    void prefetch(cache::PageKey key, bool early) const;

  private:
    /// A word is 0 where free, 1 where dead; otherwise it is a fingerprint with the queue in bit 0.
    using Word = std::uint32_t;
    static constexpr Word kFree = 0, kDead = 1;
    static constexpr std::uint32_t kBucketWords = 16;  // a cache line
    static constexpr std::uint32_t kChoices = 2;  // buckets tried for a key while they have room
    struct alignas(64) Bucket {
        std::array<Word, kBucketWords> words;
    };
    struct Part {
        cache::ZeroedArray<Bucket> buckets;
        std::uint32_t first_place = 0;
        std::uint32_t used = 0;     ///< how many words are not free
        std::uint32_t limit = 0;    ///< the most that `used` may be
        std::uint32_t choices = 0;  ///< the most buckets tried for a key since it was empty
    };
    struct Queue {
        std::deque<std::uint32_t> places;  ///< oldest first, dead ones included
        std::uint32_t dead = 0;
    };

    static Word fingerprint(std::uint64_t hash);
    static std::uint32_t bucket_of(const Part& part, std::uint64_t hash, std::uint32_t choice);
    Word* look_up(cache::PageKey key);
    Part& part_of(std::uint32_t place);
    Word& word_at(std::uint32_t place);
    void free_word(std::uint32_t place);
    void add_part(std::uint32_t capacity);
    void clear_dead(Queue& queue);
    bool drop_dead_front(Queue& queue);

    std::vector<Part> parts_;  ///< the last one takes new ghosts
    std::array<Queue, 2> queues_;
};

// The bucket and the fingerprint come from different halves of the hash.
inline Ghosts::Word Ghosts::fingerprint(std::uint64_t hash) {
    const Word word = static_cast<Word>(hash) & ~Word{1};
    return word != 0 ? word : 2;
}

inline std::uint32_t Ghosts::bucket_of(const Part& part, std::uint64_t hash, std::uint32_t choice) {
    const std::uint64_t buckets = part.buckets.size();
    const auto high = static_cast<std::uint32_t>(hash >> 32);
    // The first few places lie apart; the others follow one another, so that all are tried.
    constexpr std::uint32_t apart = 8;
    if (choice >= apart) return static_cast<std::uint32_t>((high + choice) % buckets);
    const std::uint32_t turned = high * (2 * choice + 1) + choice * 0x9e3779b9u;
    return static_cast<std::uint32_t>((turned * buckets) >> 32);
}

inline Ghosts::Word* Ghosts::look_up(cache::PageKey key) {
    const std::uint64_t hash = cache::hash_of(key);
    const Word wanted = fingerprint(hash);
    for (Part& part : parts_) {
        for (std::uint32_t choice = 0; choice < part.choices; ++choice) {
            Bucket& bucket = part.buckets[bucket_of(part, hash, choice)];
            std::uint32_t same = 0;
            for (std::uint32_t i = 0; i < kBucketWords; ++i) {
                same |= static_cast<std::uint32_t>((bucket.words[i] & ~Word{1}) == wanted) << i;
            }
            if (same != 0) return &bucket.words[static_cast<std::size_t>(__builtin_ctz(same))];
        }
    }
    return nullptr;
}

inline void Ghosts::reserve(std::uint32_t capacity) {
    if (parts_.empty() || (parts_.size() == 1 && parts_[0].used == 0)) {
        parts_.clear();
        add_part(capacity);
    }
}

inline void Ghosts::add_part(std::uint32_t capacity) {
    // The table also has room for dead places.
    const std::uint64_t used = std::uint64_t{capacity} + capacity / 16 + kBucketWords;
    // At 4/5 full, nearly every ghost finds room in one of its first two buckets.
    const std::uint64_t words = used * 5 / 4;
    Part part;
    part.buckets = cache::ZeroedArray<Bucket>((words + kBucketWords - 1) / kBucketWords);
    part.limit = static_cast<std::uint32_t>(used);
    if (!parts_.empty()) {
        const Part& last = parts_.back();
        part.first_place =
            last.first_place + static_cast<std::uint32_t>(last.buckets.size()) * kBucketWords;
    }
    parts_.push_back(std::move(part));
}

inline Ghosts::Part& Ghosts::part_of(std::uint32_t place) {
    std::size_t i = parts_.size() - 1;
    while (parts_[i].first_place > place) --i;
    return parts_[i];
}

inline Ghosts::Word& Ghosts::word_at(std::uint32_t place) {
    Part& part = part_of(place);
    const std::uint32_t at = place - part.first_place;
    return part.buckets[at / kBucketWords].words[at % kBucketWords];
}

inline void Ghosts::free_word(std::uint32_t place) {
    word_at(place) = kFree;
    Part& part = part_of(place);
    if (--part.used > 0) return;
    part.choices = 0;
    // An old part that is empty is dropped; the places of those behind it stay as they are.
    if (&part != &parts_.back()) parts_.erase(parts_.begin() + (&part - parts_.data()));
}

inline void Ghosts::add(int queue, cache::PageKey key) {
    if (parts_.empty()) add_part(kBucketWords);
    if (parts_.back().used >= parts_.back().limit) {
        for (Queue& q : queues_) clear_dead(q);
    }
    if (parts_.back().used >= parts_.back().limit) {
        std::uint32_t all = 0;
        for (const Part& part : parts_) all += part.limit;
        add_part(all);
    }
    Part& part = parts_.back();
    const std::uint64_t hash = cache::hash_of(key);
    const auto room = [](const Bucket& bucket) {
        return std::count(bucket.words.begin(), bucket.words.end(), kFree);
    };
    // Returns the emptier one of the first two buckets; where both are full, the next with room.
    std::uint32_t bucket = bucket_of(part, hash, 0), choices = kChoices;
    const std::uint32_t other = bucket_of(part, hash, 1);
    if (room(part.buckets[other]) > room(part.buckets[bucket])) bucket = other;
    while (room(part.buckets[bucket]) == 0) {
        bucket = bucket_of(part, hash, choices++);
    }
    auto& words = part.buckets[bucket].words;
    const auto at = std::find(words.begin(), words.end(), kFree) - words.begin();
    words[static_cast<std::size_t>(at)] = fingerprint(hash) | static_cast<Word>(queue != 0);
    part.choices = std::max(part.choices, choices);
    ++part.used;
    queues_[queue].places.push_back(part.first_place + bucket * kBucketWords +
                                    static_cast<std::uint32_t>(at));
}

inline int Ghosts::remove(cache::PageKey key) {
    Word* word = look_up(key);
    if (word == nullptr) return kNowhere;
    const int queue = static_cast<int>(*word & 1);
    *word = kDead;
    Queue& q = queues_[queue];
    ++q.dead;
    if (q.dead > q.places.size() / 16 + kBucketWords) clear_dead(q);
    return queue;
}

inline void Ghosts::clear_dead(Queue& queue) {
    if (queue.dead == 0) return;
    auto kept = queue.places.begin();
    for (const std::uint32_t place : queue.places) {
        if (word_at(place) == kDead) {
            free_word(place);
        } else {
            *kept++ = place;
        }
    }
    queue.places.erase(kept, queue.places.end());
    queue.dead = 0;
}

/// Removes the oldest place if it is dead, and returns whether it was.
inline bool Ghosts::drop_dead_front(Queue& queue) {
    const std::uint32_t place = queue.places.front();
    if (word_at(place) != kDead) return false;
    free_word(place);
    queue.places.pop_front();
    --queue.dead;
    return true;
}

inline void Ghosts::remove_oldest(int queue) {
    assert(size(queue) > 0);
    Queue& q = queues_[queue];
    while (drop_dead_front(q)) {
    }
    free_word(q.places.front());
    q.places.pop_front();
    // The next ghost to go is known.
    if (!q.places.empty()) __builtin_prefetch(&word_at(q.places.front()), 1);
}

inline void Ghosts::prefetch(cache::PageKey key, bool early) const {
    if (!early) return;
    const std::uint64_t hash = cache::hash_of(key);
    for (const Part& part : parts_) {
        for (std::uint32_t choice = 0; choice < std::min(part.choices, kChoices); ++choice) {
            __builtin_prefetch(&part.buckets[bucket_of(part, hash, choice)], 1);
        }
    }
}

inline std::size_t Ghosts::memory_bytes() const {
    // A deque takes memory in pieces of 512 B, each with a header of the allocator and a pointer.
    constexpr std::size_t piece = 512, overhead = 24;
    std::size_t bytes = 0;
    for (const Part& part : parts_) bytes += part.buckets.bytes();
    for (const Queue& queue : queues_) {
        bytes += (queue.places.size() * sizeof(std::uint32_t) / piece + 1) * (piece + overhead);
    }
    return bytes;
}

}  // namespace xenfs::policies
