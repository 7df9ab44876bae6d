#pragma once
#include <algorithm>
#include <cassert>
#include <cstddef>

namespace xenfs::xen {

/// Counts the host's pages that one domain has. A page is free on the host or reserved for one
/// domain. Some of a domain's reserved pages are allocated (handed out); those that a guest has
/// ballooned out as a donation are not reserved for it any more.
///
/// Invariant: allocated <= reserved, and reserved + donated <= limit unless the limit was lowered
/// afterwards (like Xen's maxmem, it then refuses more and takes nothing away). No call changes the
/// sum of what is free on the host and what all domains have reserved.
class FrameAccount {
  public:
    /// A populated domain (a guest) has its memory from the start, and keeps what it gives back;
    /// any other (a pool) takes pages from the host one by one and returns them.
    FrameAccount(std::size_t limit, bool populated, std::size_t& host_free)
        : host_free_(host_free), limit_(limit), populated_(populated) {
        if (!populated) return;
        assert(limit <= host_free);
        reserved_ = limit;
        host_free_ -= limit;
    }

    std::size_t limit() const { return limit_; }
    std::size_t reserved() const { return reserved_; }
    std::size_t allocated() const { return allocated_; }
    std::size_t donated() const { return donated_; }
    void set_limit(std::size_t frames) { limit_ = frames; }

    /// Allocates one more page. Returns false where the limit, or the end of the host's free
    /// memory, is reached.
    bool take() {
        if (allocated_ >= limit_) return false;
        if (allocated_ == reserved_) {
            if (reserved_ + donated_ >= limit_ || host_free_ == 0) return false;
            ++reserved_;
            --host_free_;
        }
        ++allocated_;
        return true;
    }
    /// Gives one page back.
    void give() {
        --allocated_;
        if (!populated_) unreserve(1);
    }

    /// Moves pages that are not allocated out of the domain, and returns how many.
    std::size_t donate(std::size_t pages) {
        const std::size_t went = std::min(pages, reserved_ - allocated_);
        donated_ += went;
        unreserve(went);
        return went;
    }
    /// Takes donated pages back as far as the host has free ones, and returns how many.
    std::size_t reclaim(std::size_t pages) {
        const std::size_t came = std::min({pages, donated_, host_free_});
        donated_ -= came;
        reserved_ += came;
        host_free_ -= came;
        return came;
    }

    // A page transfer (GNTTABOP_transfer)
    /// Returns whether one page may be transferred into this domain.
    bool has_headroom() const { return reserved_ < limit_; }
    void transfer_to(FrameAccount& peer) {
        --allocated_;
        --reserved_;
        ++peer.allocated_;
        ++peer.reserved_;
    }
    /// Called after give(): even a populated domain loses a page whose transfer failed.
    void surrender() {
        if (populated_) unreserve(1);
    }

    /// Called when the domain has died. It keeps the pages still allocated, which peers have
    /// mapped; give() frees each with its last mapping.
    void end() {
        populated_ = false;
        donated_ = 0;
        unreserve(reserved_ - allocated_);
    }

  private:
    void unreserve(std::size_t pages) {
        reserved_ -= pages;
        host_free_ += pages;
    }

    std::size_t& host_free_;
    std::size_t limit_, reserved_ = 0, allocated_ = 0, donated_ = 0;
    bool populated_;
};

}  // namespace xenfs::xen
