// This part of PageCache looks up in batches: the next keys' cache misses overlap the work on the
// present ones.
#include <algorithm>
#include <array>

#include "model/cache/page_cache.h"

namespace xenfs::cache {
namespace {

/// How many hits `access` collects before it tells the policy.
constexpr std::size_t kBatch = 8;

/// How many keys `find` and `lookup` take through each of their stages together.
constexpr std::size_t kChunk = 32;

/// `access` runs as a pipeline: while one key is worked on, the nodes beside the pages of the key
/// kLinkAhead later are fetched, the node of the key kNodeAhead later, and the place in the index
/// of the key kIndexAhead later. Tuned on replays of zipf traces with 1 M pages.
constexpr std::size_t kLinkAhead = 8;
constexpr std::size_t kNodeAhead = 16;
constexpr std::size_t kIndexAhead = 24;
constexpr std::size_t kRing = 64;
static_assert(kRing > kIndexAhead);

}  // namespace

void PageCache::prefetch_neighbours(Slot slot) const {
    if (slot == kNoSlot) return;
    const PageNode& node = nodes_[slot];
    if (node.prev != kNoSlot) __builtin_prefetch(&nodes_[node.prev], 1);
    if (node.next != kNoSlot) __builtin_prefetch(&nodes_[node.next], 1);
}

void PageCache::prefetch_victims() const {
    // It looks three victims ahead, so that each step finds in the processor's cache what the step
    // before fetched.
    const Slot first = policy_->likely_victim();
    if (first == kNoSlot) return;
    const Slot second = nodes_[first].prev;
    if (second == kNoSlot) return;
    const PageNode& node = nodes_[second];
    index_.prefetch(hash_of(node.key));
    __builtin_prefetch(&nodes_[node.chain_prev], 1);
    __builtin_prefetch(&nodes_[node.chain_next], 1);
    if (node.prev != kNoSlot) __builtin_prefetch(&nodes_[node.prev], 1);
}

/// Fetches the places in the index, then the nodes, of at most kChunk keys.
void PageCache::prefetch(std::span<const PageKey> keys, std::uint64_t* hashes,
                         Slot* guesses) const {
    for (std::size_t i = 0; i < keys.size(); ++i) {
        hashes[i] = hash_of(keys[i]);
        index_.prefetch(hashes[i]);
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
        guesses[i] = index_.guess(hashes[i]);
        if (guesses[i] != kNoSlot) __builtin_prefetch(&nodes_[guesses[i]], 1);
    }
}

void PageCache::find(std::span<const PageKey> keys, std::span<Slot> slots) const {
    assert(keys.size() == slots.size());
    std::array<std::uint64_t, kChunk> hashes;
    std::array<Slot, kChunk> guesses;
    for (std::size_t begin = 0; begin < keys.size(); begin += kChunk) {
        const auto chunk = keys.subspan(begin, std::min(kChunk, keys.size() - begin));
        prefetch(chunk, hashes.data(), guesses.data());
        for (std::size_t i = 0; i < chunk.size(); ++i) {
            slots[begin + i] = index_.find(nodes_.data(), chunk[i], hashes[i]);
        }
    }
}

std::uint32_t PageCache::find_run(std::uint32_t file, std::uint32_t first_page,
                                  std::span<Slot> slots) const {
    std::uint32_t hits = 0;
    std::array<PageKey, kChunk> keys;
    for (std::size_t begin = 0; begin < slots.size(); begin += kChunk) {
        const std::size_t length = std::min(kChunk, slots.size() - begin);
        for (std::size_t i = 0; i < length; ++i) {
            keys[i] = {file, first_page + static_cast<std::uint32_t>(begin + i)};
        }
        const auto found = slots.subspan(begin, length);
        find(std::span<const PageKey>(keys).first(length), found);
        hits += static_cast<std::uint32_t>(
            std::count_if(found.begin(), found.end(), [](Slot slot) { return slot != kNoSlot; }));
    }
    return hits;
}

void PageCache::touch(std::span<const Slot> slots) {
    // The policy never sees parked pages; runs between them go to it whole.
    std::size_t begin = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (!nodes_[slots[i]].parked) continue;
        nodes_[slots[i]].touched = true;
        if (i > begin) policy_->touch(slots.subspan(begin, i - begin));
        begin = i + 1;
    }
    if (begin < slots.size()) policy_->touch(slots.subspan(begin));
}

std::uint32_t PageCache::lookup(std::span<const PageKey> keys, std::span<Slot> slots) {
    assert(keys.size() == slots.size());
    std::array<std::uint64_t, kChunk> hashes;
    std::array<Slot, kChunk> found;
    std::uint32_t hits = 0;
    for (std::size_t begin = 0; begin < keys.size(); begin += kChunk) {
        const auto chunk = keys.subspan(begin, std::min(kChunk, keys.size() - begin));
        prefetch(chunk, hashes.data(), found.data());
        if (touch_moves_) {
            for (std::size_t i = 0; i < chunk.size(); ++i) prefetch_neighbours(found[i]);
        }
        std::size_t count = 0;
        for (std::size_t i = 0; i < chunk.size(); ++i) {
            const Slot slot = index_.find(nodes_.data(), chunk[i], hashes[i]);
            slots[begin + i] = slot;
            if (slot != kNoSlot) found[count++] = slot;
        }
        touch(std::span<const Slot>(found).first(count));
        hits += static_cast<std::uint32_t>(count);
    }
    return hits;
}

std::uint32_t PageCache::access(std::span<const PageKey> keys, std::vector<PageKey>* missed,
                                std::vector<Evicted>* evicted, DirtyPages dirty) {
    std::array<std::uint64_t, kRing> hashes;
    std::array<Slot, kRing> guesses;
    std::array<Slot, kBatch> found;
    std::size_t count = 0;
    std::uint32_t misses = 0;
    const std::size_t length = keys.size();
    for (std::size_t step = 0; step < length + kIndexAhead; ++step) {
        if (step < length) {
            const std::uint64_t hash = hashes[step % kRing] = hash_of(keys[step]);
            index_.prefetch(hash);
        }
        if (const std::size_t at = step - kIndexAhead + kNodeAhead; at < length) {
            const Slot slot = guesses[at % kRing] = index_.guess(hashes[at % kRing]);
            if (slot != kNoSlot) {
                __builtin_prefetch(&nodes_[slot], 1);
            } else if (has_ghosts_) {
                policy_->expect_miss(keys[at], true);
            }
        }
        if (const std::size_t at = step - kIndexAhead + kLinkAhead; at < length) {
            const Slot slot = guesses[at % kRing];
            if (slot != kNoSlot) {
                if (touch_moves_) prefetch_neighbours(slot);
            } else if (has_ghosts_) {
                policy_->expect_miss(keys[at], false);
            }
        }
        const std::size_t at = step - kIndexAhead;
        if (at >= length) continue;
        const PageKey key = keys[at];
        const Slot slot = index_.find(nodes_.data(), key, hashes[at % kRing]);
        if (slot != kNoSlot) {
            found[count++] = slot;
            if (count < kBatch) continue;
        }
        // The policy must know of the hits before it chooses a victim.
        if (count > 0) touch(std::span<const Slot>(found).first(count));
        count = 0;
        if (slot != kNoSlot) continue;
        ++misses;
        if (missed != nullptr) missed->push_back(key);
        policy_->missed(key);
        if (size_ >= capacity_) evict(size_ - capacity_ + 1, dirty, evicted);
        place(key, 0, PageState::clean);
    }
    if (count > 0) touch(std::span<const Slot>(found).first(count));
    return misses;
}

}  // namespace xenfs::cache
