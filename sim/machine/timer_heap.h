#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// Something that happens at a time. It is intrusive, so that arming and disarming allocate
/// nothing, and is in the heap at most once. The heap does not own it; whoever destroys a timer
/// disarms it first.
class Timer {
  public:
    virtual ~Timer() = default;
    /// Called with the timer disarmed, so that it may be armed again.
    virtual void fire() = 0;
    bool armed() const { return position_ != none; }

  private:
    friend class TimerHeap;
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t position_ = none;
};

/// A binary heap of timers by (time, order of arming). Timers of equal times fire in the order in
/// which they were armed, which makes a run repeatable.
class TimerHeap {
  public:
    bool empty() const { return entries_.empty(); }
    std::size_t size() const { return entries_.size(); }
    /// Returns the earliest time, or the largest value where there is none.
    Nanoseconds next() const {
        return entries_.empty() ? std::numeric_limits<Nanoseconds>::max() : entries_.front().when;
    }

    void arm(Timer& timer, Nanoseconds when) {
        if (timer.armed()) disarm(timer);
        entries_.push_back({when, sequence_++, &timer});
        up(entries_.size() - 1);
    }

    void disarm(Timer& timer) {
        if (!timer.armed()) return;
        const std::size_t hole = timer.position_;
        timer.position_ = Timer::none;
        const Entry last = entries_.back();
        entries_.pop_back();
        if (last.timer == &timer) return;
        entries_[hole] = last;
        last.timer->position_ = static_cast<std::uint32_t>(hole);
        up(hole);
        down(last.timer->position_);
    }

    Timer& pop() {
        Timer& first = *entries_.front().timer;
        disarm(first);
        return first;
    }

  private:
    struct Entry {
        Nanoseconds when;
        std::uint64_t sequence;
        Timer* timer;
        bool operator<(const Entry& other) const {
            return when != other.when ? when < other.when : sequence < other.sequence;
        }
    };

    void put(std::size_t at, const Entry& entry) {
        entries_[at] = entry;
        entry.timer->position_ = static_cast<std::uint32_t>(at);
    }

    void up(std::size_t at) {
        const Entry entry = entries_[at];
        while (at > 0 && entry < entries_[(at - 1) / 2]) {
            put(at, entries_[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        put(at, entry);
    }

    void down(std::size_t at) {
        const Entry entry = entries_[at];
        for (;;) {
            std::size_t child = 2 * at + 1;
            if (child >= entries_.size()) break;
            if (child + 1 < entries_.size() && entries_[child + 1] < entries_[child]) ++child;
            if (!(entries_[child] < entry)) break;
            put(at, entries_[child]);
            at = child;
        }
        put(at, entry);
    }

    std::vector<Entry> entries_;
    std::uint64_t sequence_ = 0;
};

}  // namespace xenfs::sim
