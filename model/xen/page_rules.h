#pragma once
// Xen's rules for pages that pass between domains: grant, map, copy, transfer, and death. They are
// written once, over whatever keeps the pages. A `Machine` has
//
//     Domain* alive(DomainId);                 // null where there is none, or it is dead
//     bool owns(const Domain&, Frame);         // the frame is allocated to this domain
//     Record& record(Domain&, Frame);          // with the counts `entries` and `mappings`, and the
//                                              // most that they hold: max_entries, max_mappings
//     void granting(Domain&, Frame);           // before a peer may see the page
//     void count_mapping(Domain&, Frame, bool added);
//     void give_frame(Domain&, Frame);         // frees it, with its account
//     bool transferable(const Domain&, Frame); // owned, and of a kind that may leave
//     Frame move_frame(Domain& from, Frame, Domain& to);  // without accounts
//     Granter hold(Domain&);                   // what a mapping keeps of its granter
//     Domain& granter_of(const Mapping<Granter>&);
//     void for_each_frame(Domain&, visit);     // all that it owns, in order
//
// and a `Domain` has id, alive, grants, maptrack and account. For every owned frame `entries` is
// the number of entries that name it and `mappings` that of mappings by peers. The order of the
// checks, and so the status, is Xen's (xen/common/grant_table.c).

#include "model/xen/frame_account.h"
#include "model/xen/grant_table.h"
#include "model/xen/maptrack.h"

namespace xenfs::xen {

/// Returns whether a peer has, or may have, access to the frame: it can then be neither released
/// nor transferred. (Xen looks at mappings only; but an idle entry left behind would name a page of
/// somebody else.)
template <class Record>
bool is_granted(const Record& record) {
    return record.mappings > 0 || record.entries > 0;
}

/// Returns no_grant where the table is full. As in Xen, an entry may name any frame, and a frame
/// that is not the granter's own is refused when it is mapped.
template <class Machine, class Domain>
GrantRef grant_page(Machine& machine, Domain& granter, DomainId to, Frame frame, Access access) {
    if (!machine.owns(granter, frame)) return granter.grants.permit(to, no_frame, access);
    auto& record = machine.record(granter, frame);
    if (record.entries == record.max_entries) return no_grant;
    const GrantRef reference = granter.grants.permit(to, frame, access);
    if (reference == no_grant) return no_grant;
    machine.granting(granter, frame);
    ++record.entries;
    return reference;
}

template <class Machine, class Domain>
GrantStatus revoke_page(Machine& machine, Domain& granter, GrantRef reference) {
    Frame frame = no_frame;
    const GrantStatus status = granter.grants.end(reference, frame);
    if (frame != no_frame) --machine.record(granter, frame).entries;
    return status;
}

/// `granter` is null where it is no living domain. `handle` is set where the status is okay.
template <class Machine, class Domain>
GrantStatus map_page(Machine& machine, Domain& mapper, Domain* granter, GrantRef reference,
                     Access access, MapHandle& handle, Frame& frame) {
    if (granter == nullptr) return GrantStatus::bad_domain;
    if (mapper.maptrack.full()) return GrantStatus::no_device_space;
    const bool write = access == Access::read_write;
    const GrantStatus status = granter->grants.check(reference, mapper.id, write, frame);
    if (status != GrantStatus::okay) return status;
    const auto& record = machine.record(*granter, frame);
    if (record.mappings == record.max_mappings) return GrantStatus::general_error;
    granter->grants.pin(reference, write);
    machine.count_mapping(*granter, frame, true);
    handle = mapper.maptrack.take(machine.hold(*granter), reference, frame, write);
    return GrantStatus::okay;
}

/// Ends a mapping that exists. A page of a dead granter is freed with its last mapping.
template <class Machine, class Domain>
void unmap_page(Machine& machine, Domain& mapper, MapHandle handle) {
    const auto mapping = mapper.maptrack.give(handle);
    Domain& granter = machine.granter_of(mapping);
    if (granter.alive) granter.grants.unpin(mapping.reference, mapping.writable, mapping.frame);
    machine.count_mapping(granter, mapping.frame, false);
    if (!granter.alive && machine.record(granter, mapping.frame).mappings == 0) {
        machine.give_frame(granter, mapping.frame);
    }
}

/// Finds the page that one side of a grant copy means: a frame of the caller's own (`granter` is
/// the pool where `self` serves it), or a peer's by reference. Nothing stays pinned after a copy.
template <class Machine, class Domain>
GrantStatus find_copy_side(Machine& machine, Domain& granter, Domain& self,
                           const host::CopySide& side, bool written, Domain*& owner, Frame& frame) {
    if (side.reference == no_grant) {
        frame = side.frame;
        owner = machine.owns(granter, frame) ? &granter : &self;
        return machine.owns(*owner, frame) ? GrantStatus::okay : GrantStatus::bad_page;
    }
    owner = machine.alive(side.domain);
    if (owner == nullptr) return GrantStatus::bad_domain;
    return owner->grants.check(side.reference, self.id, written, frame);
}

/// The pages of both sides of a grant copy.
template <class Domain>
struct CopyPages {
    Domain *from = nullptr, *to = nullptr;
    Frame source = no_frame, destination = no_frame;
};

template <class Machine, class Domain>
GrantStatus find_copy(Machine& machine, Domain& granter, Domain& self,
                      const host::CopyOperation& operation, CopyPages<Domain>& pages) {
    const auto fits = [&](const host::CopySide& side) {
        return std::size_t{side.offset} + operation.length <= page_size;
    };
    if (!fits(operation.source) || !fits(operation.destination)) return GrantStatus::bad_copy_arg;
    const GrantStatus status =
        find_copy_side(machine, granter, self, operation.source, false, pages.from, pages.source);
    if (status != GrantStatus::okay) return status;
    return find_copy_side(machine, granter, self, operation.destination, true, pages.to,
                          pages.destination);
}

/// Transfers a page (a page flip). bad_page is the only error after which the caller still has the
/// page; with every other error the page goes to the host. The accept entry names the pool, or the
/// domain that acts for it.
template <class Machine, class Domain>
GrantStatus transfer_page(Machine& machine, Domain& from, DomainId self,
                          const host::TransferOperation& operation) {
    const Frame frame = operation.frame;
    if (!machine.transferable(from, frame) || is_granted(machine.record(from, frame))) {
        return GrantStatus::bad_page;
    }
    Domain* const to = machine.alive(operation.domain);
    GrantStatus status = to == nullptr ? GrantStatus::bad_domain : GrantStatus::okay;
    if (to != nullptr &&
        (!to->account.has_headroom() || (!to->grants.accepts(operation.reference, from.id) &&
                                         !to->grants.accepts(operation.reference, self)))) {
        status = GrantStatus::general_error;
    }
    if (status != GrantStatus::okay) {
        machine.give_frame(from, frame);
        from.account.surrender();
        return status;
    }
    from.account.transfer_to(to->account);
    to->grants.complete_transfer(operation.reference, machine.move_frame(from, frame, *to));
    return GrantStatus::okay;
}

/// Ends the mappings of a process that has ended, and unpins what they pinned.
template <class Machine, class Domain>
void end_mappings(Machine& machine, Domain& domain) {
    domain.maptrack.for_each([&](MapHandle handle) { unmap_page(machine, domain, handle); });
}

/// Ends a domain that has died: its entries end and its memory is freed, except pages that peers
/// have mapped.
template <class Machine, class Domain>
void end_domain(Machine& machine, Domain& domain) {
    domain.alive = false;
    domain.grants.clear();
    machine.for_each_frame(domain, [&](Frame frame) {
        auto& record = machine.record(domain, frame);
        record.entries = 0;
        if (record.mappings == 0) machine.give_frame(domain, frame);
    });
    domain.account.end();
}

}  // namespace xenfs::xen
