#pragma once
// The pool domain's frames have small dense numbers here, with a count of each frame's users and
// grants.

#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "model/host/frames.h"

namespace xenfs::pages {

using FrameIndex = std::uint32_t;  ///< dense; the cache keeps it as its `frame`
inline constexpr FrameIndex no_index = ~FrameIndex{0};

/// A frame is free, or it has users (cached pages that show it; there are several where pages with
/// equal content share it) or grants (entries of clients, which may outlive the last user). It
/// returns to the free list when it has neither. The contents of a frame just taken are
/// unspecified.
struct PoolFrame {
    Frame frame = no_frame;           ///< no_frame where the index is vacant
    std::uint32_t first_grant = ~0u;  ///< the head of a chain of grant records
    std::uint32_t users = 0;
    std::uint16_t grants = 0;
    std::uint16_t writers = 0;  ///< how many of the grants are writable
};

class FramePool {
  public:
    /// Takes frames from the host as they are needed, and never more than `capacity`.
    FramePool(host::Frames& frames, std::uint32_t capacity)
        : frames_(frames), capacity_(capacity) {}
    /// Gives back what is free; frames in use stay with the pool domain.
    ~FramePool() {
        if (!abandoned_) shrink(~std::uint32_t{0});
    }
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

    /// Takes frames from the host, in as few calls as possible, until `count` are free or the host
    /// has no more. It takes no more than that, since each is memory of the host, filled or not.
    void prepare(std::uint32_t count);
    /// Returns a frame with one user, or no_index when the capacity or the host's memory is
    /// reached.
    FrameIndex take();
    /// Adds a frame that arrived by transfer; it has one user.
    FrameIndex adopt(Frame frame);
    /// Forgets a frame that has left this domain: its only user transferred it. It has no grants.
    void gone(FrameIndex index);

    void add_user(FrameIndex index) { ++record(index).users; }
    /// Returns true when this has freed the frame.
    bool drop_user(FrameIndex index) {
        PoolFrame& f = record(index);
        assert(f.users > 0);
        if (--f.users != 0) return false;
        if (f.grants != 0) {
            ++detached_;
            return false;
        }
        make_free(index);
        return true;
    }
    /// Notes that an entry on the frame ended. Returns true when this has freed a detached frame.
    bool grant_ended(FrameIndex index) {
        const PoolFrame& f = records_[index];
        if (f.users != 0 || f.grants != 0) return false;
        --detached_;
        make_free(index);
        return true;
    }

    PoolFrame& operator[](FrameIndex index) { return record(index); }
    const PoolFrame& operator[](FrameIndex index) const { return records_[index]; }

    /// Returns up to n free frames to the host, and says how many they were.
    std::uint32_t shrink(std::uint32_t n);
    void set_capacity(std::uint32_t capacity) { capacity_ = capacity; }
    std::uint32_t capacity() const { return capacity_; }
    std::uint32_t owned() const { return owned_; }            ///< free ones included
    std::uint32_t most_owned() const { return most_owned_; }  ///< the highest that owned() has been
    std::uint32_t free() const { return static_cast<std::uint32_t>(free_.size()); }
    /// Counts the frames that have grants but no user any more.
    std::uint32_t detached() const { return detached_; }
    /// Returns how many frames take() can give, as far as this is known: a host that refused some
    /// may have some again.
    std::uint32_t available() const { return free() + (refused_ ? 0 : headroom()); }

    // The members below take over a predecessor's pool. They come before anything else.
    /// Takes over frames at the indices that they had in the predecessor (no_frame: vacant). Each
    /// has one user, as after take(). Further frames come by adopt().
    void restore(std::span<const Frame> by_index);
    std::uint32_t indices() const { return static_cast<std::uint32_t>(records_.size()); }
    bool vacant(FrameIndex index) const { return records_[index].frame == no_frame; }
    /// Makes the destructor leave all frames as they are, as a killed process does.
    void abandon() { abandoned_ = true; }

    /// Reserves capacity for frames that will arrive by transfer, because a transfer to a domain at
    /// its limit loses the page. It gives free frames back to the host if it must, and returns how
    /// many it could reserve.
    std::uint32_t reserve(std::uint32_t n);
    void unreserve(std::uint32_t n) {
        assert(n <= reserved_);
        reserved_ -= n;
    }

  private:
    PoolFrame& record(FrameIndex index) {
        assert(index < records_.size() && records_[index].frame != no_frame);
        return records_[index];
    }
    std::uint32_t headroom() const {
        return capacity_ > owned_ + reserved_ ? capacity_ - owned_ - reserved_ : 0;
    }
    FrameIndex place(Frame frame);
    void make_free(FrameIndex index) {
        frames_.discard(std::span(&records_[index].frame, 1));
        free_.push_back(index);
    }

    host::Frames& frames_;
    std::uint32_t capacity_;
    std::uint32_t owned_ = 0, most_owned_ = 0;
    std::uint32_t reserved_ = 0;
    std::uint32_t detached_ = 0;
    bool abandoned_ = false;
    bool refused_ = false;  ///< the host gave fewer frames than were last asked for
    std::vector<PoolFrame> records_;
    std::vector<FrameIndex> free_;
    std::vector<FrameIndex> vacant_;
};

}  // namespace xenfs::pages
