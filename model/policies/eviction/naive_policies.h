// For tests: each eviction policy as its paper tells it, with standard containers and no thought of
// speed, as a whole cache of keys that serves one request after another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace xenfs::policies::naive {

using Key = std::uint64_t;

class Cache {
  public:
    explicit Cache(std::size_t capacity) : capacity_(capacity) {}
    virtual ~Cache() = default;
    /// Serves a request for a key. Returns whether it was cached; after a miss it is, and `evicted`
    /// is what made room.
    virtual bool access(Key key, std::optional<Key>& evicted) = 0;

  protected:
    std::size_t capacity_;
};

inline bool erase(std::list<Key>& list, Key key) {
    const auto found = std::find(list.begin(), list.end(), key);
    if (found == list.end()) return false;
    list.erase(found);
    return true;
}
inline bool holds(const std::list<Key>& list, Key key) {
    return std::find(list.begin(), list.end(), key) != list.end();
}
inline Key pop(std::list<Key>& list) {
    const Key key = list.back();
    list.pop_back();
    return key;
}

class Fifo : public Cache {
  public:
    using Cache::Cache;
    bool access(Key key, std::optional<Key>& evicted) override {
        if (holds(list_, key)) return true;
        if (list_.size() == capacity_) evicted = pop(list_);
        list_.push_front(key);
        return false;
    }

  private:
    std::list<Key> list_;
};

class Lru : public Cache {
  public:
    using Cache::Cache;
    bool access(Key key, std::optional<Key>& evicted) override {
        const bool hit = erase(list_, key);
        if (!hit && list_.size() == capacity_) evicted = pop(list_);
        list_.push_front(key);
        return hit;
    }

  private:
    std::list<Key> list_;
};

/// This is the textbook's ring of frames with a hand, not a list.
class Clock : public Cache {
  public:
    using Cache::Cache;
    bool access(Key key, std::optional<Key>& evicted) override {
        for (Frame& frame : ring_) {
            if (frame.key != key) continue;
            frame.referenced = true;
            return true;
        }
        if (ring_.size() < capacity_) {
            ring_.push_back({key, false});
            return false;
        }
        while (ring_[hand_].referenced) {
            ring_[hand_].referenced = false;
            hand_ = (hand_ + 1) % ring_.size();
        }
        evicted = ring_[hand_].key;
        ring_[hand_] = {key, false};
        hand_ = (hand_ + 1) % ring_.size();
        return false;
    }

  private:
    struct Frame {
        Key key;
        bool referenced;
    };
    std::deque<Frame> ring_;
    std::size_t hand_ = 0;
};

/// SIEVE: positions counted from the oldest; the hand is a position.
class Sieve : public Cache {
  public:
    using Cache::Cache;
    bool access(Key key, std::optional<Key>& evicted) override {
        for (Entry& entry : queue_) {
            if (entry.key != key) continue;
            entry.visited = true;
            return true;
        }
        if (queue_.size() == capacity_) {
            if (hand_ >= queue_.size()) hand_ = 0;
            while (queue_[hand_].visited) {
                queue_[hand_].visited = false;
                hand_ = (hand_ + 1) % queue_.size();
            }
            evicted = queue_[hand_].key;
            queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(hand_));
            // The next newer page now has the hand's position; past the newest the hand starts
            // over, before the requested page enters.
            if (hand_ >= queue_.size()) hand_ = 0;
        }
        queue_.push_back({key, false});
        return false;
    }

  private:
    struct Entry {
        Key key;
        bool visited;
    };
    std::deque<Entry> queue_;  // front = oldest
    std::size_t hand_ = 0;
};

class S3Fifo : public Cache {
  public:
    using Cache::Cache;
    bool access(Key key, std::optional<Key>& evicted) override {
        if (const auto found = count_.find(key); found != count_.end()) {
            found->second = std::min(found->second + 1, 3);
            return true;
        }
        if (count_.size() == capacity_) evicted = make_room();
        (erase(ghost_, key) ? main_ : small_).push_front(key);
        count_[key] = 0;
        return false;
    }

  private:
    std::size_t small_size() const { return capacity_ / 10; }

    Key make_room() {
        if (small_.size() >= small_size()) {
            while (!small_.empty()) {
                const Key key = pop(small_);
                if (count_[key] > 1) {
                    count_[key] = 0;
                    main_.push_front(key);
                    continue;
                }
                count_.erase(key);
                ghost_.push_front(key);
                if (ghost_.size() > capacity_ - small_size()) ghost_.pop_back();
                return key;
            }
        }
        for (;;) {
            const Key key = pop(main_);
            if (count_[key] == 0) {
                count_.erase(key);
                return key;
            }
            --count_[key];
            main_.push_front(key);
        }
    }

    std::map<Key, int> count_;
    std::list<Key> small_, main_, ghost_;
};

/// ARC, case by case as in figure 4 of the paper.
class Arc : public Cache {
  public:
    using Cache::Cache;
    bool access(Key key, std::optional<Key>& evicted) override {
        const double c = double(capacity_);
        if (erase(t1_, key) || erase(t2_, key)) {  // I
            t2_.push_front(key);
            return true;
        }
        if (holds(b1_, key)) {  // II
            p_ = std::min(c, p_ + std::max(double(b2_.size()) / double(b1_.size()), 1.0));
            replace(false, evicted);
            erase(b1_, key);
            t2_.push_front(key);
            return false;
        }
        if (holds(b2_, key)) {  // III
            p_ = std::max(0.0, p_ - std::max(double(b1_.size()) / double(b2_.size()), 1.0));
            replace(true, evicted);
            erase(b2_, key);
            t2_.push_front(key);
            return false;
        }
        const std::size_t l1 = t1_.size() + b1_.size();  // IV
        const std::size_t all = l1 + t2_.size() + b2_.size();
        if (l1 == capacity_) {
            if (t1_.size() < capacity_) {
                b1_.pop_back();
                replace(false, evicted);
            } else {
                evicted = pop(t1_);
            }
        } else if (all >= capacity_) {
            if (all == 2 * capacity_) b2_.pop_back();
            replace(false, evicted);
        }
        t1_.push_front(key);
        return false;
    }

  private:
    void replace(bool in_b2, std::optional<Key>& evicted) {
        const double size = double(t1_.size());
        if (!t1_.empty() && (size > p_ || (in_b2 && size == p_))) {
            b1_.push_front(t1_.back());
            evicted = pop(t1_);
        } else {
            b2_.push_front(t2_.back());
            evicted = pop(t2_);
        }
    }

    std::list<Key> t1_, t2_, b1_, b2_;
    double p_ = 0;
};

inline std::unique_ptr<Cache> make(const std::string& name, std::size_t capacity) {
    if (name == "fifo") return std::make_unique<Fifo>(capacity);
    if (name == "lru") return std::make_unique<Lru>(capacity);
    if (name == "clock") return std::make_unique<Clock>(capacity);
    if (name == "sieve") return std::make_unique<Sieve>(capacity);
    if (name == "s3fifo") return std::make_unique<S3Fifo>(capacity);
    if (name == "arc") return std::make_unique<Arc>(capacity);
    return nullptr;
}

}  // namespace xenfs::policies::naive
