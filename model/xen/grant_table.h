#pragma once
#include <cassert>
#include <vector>

#include "model/host/grants.h"

namespace xenfs::xen {

/// The grant table of one domain, version 1, with Xen's counts of mappings for each entry (in Xen
/// these are in the active entries, beside the shared ones). The owner writes and revokes entries;
/// the hypervisor checks them when a peer maps or copies, and pins them while a mapping exists.
///
/// Invariant: a pinned entry is not free, and keeps its frame and its peer. So no peer reaches a
/// frame whose entries have all ended, and a reference is used again only after both counts of pins
/// have reached zero (in Xen, GTF_reading and GTF_writing are then both clear). No operation here
/// overwrites a pinned entry: revoking it clears only the type.
class GrantTable {
  public:
    /// The most mappings of one entry and kind. Xen counts them in 8 bits and refuses when the
    /// highest bit is set.
    static constexpr std::uint8_t max_pins = 128;

    explicit GrantTable(std::size_t capacity) : capacity_(capacity) {}

    std::size_t capacity() const { return capacity_; }
    std::size_t in_use() const { return entries_.size() - free_; }

    // What the owner does
    /// Writes an entry by which `to` may map or copy `frame`. It is no_frame for a page that is not
    /// the owner's: the entry stands, and Xen refuses to map it. Returns no_grant where the table
    /// is full.
    GrantRef permit(DomainId to, Frame frame, Access access) {
        const std::uint8_t readonly = access == Access::read ? GTF_readonly : 0;
        return take({frame, to, static_cast<std::uint8_t>(GTF_permit_access | readonly), true});
    }
    /// Writes an entry under which `from` may transfer one page.
    GrantRef accept(DomainId from) { return take({no_frame, from, GTF_accept_transfer, true}); }
    /// Ends an idle entry, and says which frame it named. While the entry is pinned this only
    /// clears the type (a soft revoke) and returns busy; it also returns busy while a transferred
    /// page waits to be taken.
    GrantStatus end(GrantRef reference, Frame& frame) {
        frame = no_frame;
        if (!exists(reference)) return GrantStatus::bad_gntref;
        Entry& entry = entries_[reference];
        if (entry.pinned()) entry.flags &= static_cast<std::uint8_t>(~GTF_type_mask);
        if (entry.pinned() || entry.completed()) return GrantStatus::busy;
        frame = entry.frame;
        give(reference);
        return GrantStatus::okay;
    }
    /// Returns the page that has arrived under an accept entry, and ends the entry; no_frame while
    /// none has.
    Frame take_transferred(GrantRef reference) {
        if (!exists(reference) || !entries_[reference].completed()) return no_frame;
        const Frame frame = entries_[reference].frame;
        give(reference);
        return frame;
    }
    /// Appends up to `limit` entries in use, from `first` on.
    void list(GrantRef first, std::size_t limit, std::vector<host::FoundEntry>& found) const {
        for (GrantRef at = first; at < entries_.size() && limit > 0; ++at) {
            const Entry& entry = entries_[at];
            if (!entry.used) continue;
            const int type = entry.flags & GTF_type_mask;
            const bool readonly = (entry.flags & GTF_readonly) != 0;
            found.push_back({at, entry.domain, entry.frame,
                             readonly ? Access::read : Access::read_write,
                             type == GTF_accept_transfer, type == 0});
            --limit;
        }
    }
    /// Ends all entries, because the owner has died. The mappings keep their pages by themselves.
    void clear() { *this = GrantTable(capacity_); }

    // What the hypervisor does for a peer
    /// Finds out whether `peer` may reach a page by this reference now, and which frame it is. As
    /// in Xen, the type counts only where the entry is not pinned: a peer that still has a mapping
    /// can map the page again after a soft revoke.
    GrantStatus check(GrantRef reference, DomainId peer, bool write, Frame& frame) const {
        if (reference >= capacity_) return GrantStatus::bad_gntref;
        if (!exists(reference)) return GrantStatus::general_error;  // Xen reads an entry of zeros
        const Entry& entry = entries_[reference];
        const bool permits = entry.pinned() || (entry.flags & GTF_type_mask) == GTF_permit_access;
        if (!permits || entry.domain != peer || entry.frame == no_frame ||
            (write && (entry.flags & GTF_readonly) != 0) ||
            (write ? entry.writes : entry.reads) == max_pins) {
            return GrantStatus::general_error;
        }
        frame = entry.frame;
        return GrantStatus::okay;
    }
    /// Counts a mapping; called after check().
    void pin(GrantRef reference, bool write) {
        ++(write ? entries_[reference].writes : entries_[reference].reads);
    }
    void unpin(GrantRef reference, bool write, [[maybe_unused]] Frame frame) {
        Entry& entry = entries_[reference];
        std::uint8_t& pins = write ? entry.writes : entry.reads;
        assert(entry.used && entry.frame == frame && pins > 0);
        --pins;
    }
    /// Returns whether `from` may transfer a page into this entry now.
    bool accepts(GrantRef reference, DomainId from) const {
        return exists(reference) && entries_[reference].domain == from &&
               (entries_[reference].flags & (GTF_type_mask | transfer_completed)) ==
                   GTF_accept_transfer;
    }
    void complete_transfer(GrantRef reference, Frame frame) {
        entries_[reference].frame = frame;
        entries_[reference].flags |= transfer_completed;
    }

  private:
    /// The names are Xen's (public/grant_table.h). In Xen, GTF_transfer_completed is the bit of
    /// GTF_reading; here it has a bit of its own, and the counts of pins take the place of the bits
    /// for reading and writing.
    static constexpr std::uint8_t GTF_permit_access = 1, GTF_accept_transfer = 2, GTF_type_mask = 3,
                                  GTF_readonly = 4, transfer_completed = 8;
    struct Entry {
        Frame frame = no_frame;  ///< in a free entry, the next free one
        DomainId domain = 0;     ///< the domain to which it is granted
        std::uint8_t flags = 0;
        bool used = false;
        std::uint8_t reads = 0, writes = 0;  ///< how many mappings of each kind exist
        bool pinned() const { return (reads | writes) != 0; }
        bool completed() const { return (flags & transfer_completed) != 0; }
    };
    static_assert(sizeof(Entry) == 12);

    bool exists(GrantRef reference) const {
        return reference < entries_.size() && entries_[reference].used;
    }

    /// References are used again oldest first, and only when a number of them is free, so that a
    /// peer's stale reference rarely meets a new entry.
    GrantRef take(Entry entry) {
        constexpr std::size_t rest = 1024;
        if (entries_.size() < capacity_ && free_ < rest) {
            entries_.push_back(entry);
            return static_cast<GrantRef>(entries_.size() - 1);
        }
        if (free_ == 0) return no_grant;
        const GrantRef reference = first_free_;
        first_free_ = entries_[reference].frame;
        --free_;
        entries_[reference] = entry;
        return reference;
    }

    void give(GrantRef reference) {
        assert(!entries_[reference].pinned());
        entries_[reference] = {};
        if (free_ == 0) {
            first_free_ = reference;
        } else {
            entries_[last_free_].frame = reference;
        }
        last_free_ = reference;
        ++free_;
    }

    std::vector<Entry> entries_;
    std::size_t capacity_, free_ = 0;
    GrantRef first_free_ = no_grant, last_free_ = no_grant;
};

}  // namespace xenfs::xen
