#pragma once
// The pool domain's frames under small numbers of our own, with their users and grants counted.

#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "model/host/frames.h"

namespace xenfs::pages {

using FrameIndex = std::uint32_t;  ///< dense; what the cache keeps as its `frame`
inline constexpr FrameIndex no_index = ~FrameIndex{0};

/// A frame is free, or it has users (cached pages that show it: several where contents are shared)
/// or grants (entries of clients, which may outlive the last user). It goes back to the free list
/// when both are gone. Contents of a frame just taken are unspecified.
struct PoolFrame {
    Frame frame = no_frame;           ///< no_frame: the index is vacant
    std::uint32_t first_grant = ~0u;  ///< chain of grant records
    std::uint32_t users = 0;
    std::uint16_t grants = 0;
    std::uint16_t writers = 0;  ///< of the grants: writable entries
};

class FramePool {
  public:
    /// Takes frames from the host as they are needed, never more than `capacity`.
    FramePool(host::Frames& frames, std::uint32_t capacity)
        : frames_(frames), capacity_(capacity) {}
    /// Gives back what is free; frames in use stay with the pool domain.
    ~FramePool() {
        if (!abandoned_) shrink(~std::uint32_t{0});
    }
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

    /// Takes frames from the host, in as few calls as can be, until `count` are free or there are
    /// no more. No more than that: a frame of the pool is memory of the host, filled or not.
    void prepare(std::uint32_t count);
    /// A frame with one user; no_index when the capacity or the host's memory is reached.
    FrameIndex take();
    /// A frame that arrived by transfer; it has one user.
    FrameIndex adopt(Frame frame);
    /// The frame has left this domain (transferred by its only user). It has no grants.
    void gone(FrameIndex index);

    void add_user(FrameIndex index) { ++record(index).users; }
    /// True: the frame is free now.
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
    /// An entry on the frame ended. True: the frame was detached and is free now.
    bool grant_ended(FrameIndex index) {
        const PoolFrame& f = records_[index];
        if (f.users != 0 || f.grants != 0) return false;
        --detached_;
        make_free(index);
        return true;
    }

    PoolFrame& operator[](FrameIndex index) { return record(index); }
    const PoolFrame& operator[](FrameIndex index) const { return records_[index]; }

    /// Returns up to n free frames to the host; how many.
    std::uint32_t shrink(std::uint32_t n);
    void set_capacity(std::uint32_t capacity) { capacity_ = capacity; }
    std::uint32_t capacity() const { return capacity_; }
    std::uint32_t owned() const { return owned_; }            ///< free ones included
    std::uint32_t most_owned() const { return most_owned_; }  ///< at any time
    std::uint32_t free() const { return static_cast<std::uint32_t>(free_.size()); }
    /// Frames without users, with grants.
    std::uint32_t detached() const { return detached_; }
    /// What take() can give, as far as is known: a host that had no more may have some again.
    std::uint32_t available() const { return free() + (refused_ ? 0 : headroom()); }

    // Taking over a predecessor's pool, before anything else is done with this one.
    /// Frames at the indices that they had there; no_frame: vacant. Each has one user, as after
    /// take(). Further ones come by adopt().
    void restore(std::span<const Frame> by_index);
    std::uint32_t indices() const { return static_cast<std::uint32_t>(records_.size()); }
    bool vacant(FrameIndex index) const { return records_[index].frame == no_frame; }
    /// The destructor is to leave all frames as they are, as a killed process does.
    void abandon() { abandoned_ = true; }

    /// Room kept for frames that will arrive by transfer: a transfer to a domain at its limit loses
    /// the page. Gives free frames back to the host if it must; how many were reserved.
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
    bool refused_ = false;  ///< the host had fewer frames than were asked for last
    std::vector<PoolFrame> records_;
    std::vector<FrameIndex> free_;
    std::vector<FrameIndex> vacant_;
};

}  // namespace xenfs::pages
