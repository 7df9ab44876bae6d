#include <algorithm>
#include <cassert>

#include "sim/machine/host_view.h"

// Status codes follow Xen's grant_table.c [M]: a reference beyond the table is bad_gntref; an entry
// that is not for this domain, or not for this access, is general_error.

namespace xenfs::sim {

std::size_t SimGrants::grant(DomainId to, std::span<const Frame> frames, Access access,
                             std::span<GrantRef> out) {
    assert(frames.size() == out.size());
    if (!granter.alive) return 0;
    std::size_t made = 0;
    for (const Frame frame : frames) {
        const bool own = machine.frames.exists(frame) &&
                         machine.frames[frame].owner == granter.id &&
                         machine.frames[frame].use != FrameRecord::free;
        // An entry may name anything, as in Xen; a map of what is not ours is refused then.
        if (own && machine.frames[frame].entries == FrameTable::max_entries) break;
        const GrantRef reference = granter.grants.take();
        if (reference == no_grant) break;
        if (own && machine.frames.observer != nullptr) machine.frames.observer->granted(frame);
        GrantEntry& entry = granter.grants[reference];
        entry.frame = own ? frame : no_frame;
        entry.domain = to;
        entry.flags = GrantEntry::permit_access;
        if (access == Access::read) entry.flags |= GrantEntry::readonly;
        if (own) ++machine.frames[frame].entries;
        out[made++] = reference;
    }
    granter.counters.grants_made += made;
    machine.charge(static_cast<Nanoseconds>(made) * machine.prices.grant_entry);
    return made;
}

std::size_t SimGrants::accept_transfer(DomainId from, std::span<GrantRef> out) {
    if (!granter.alive) return 0;
    std::size_t made = 0;
    for (GrantRef& reference : out) {
        const GrantRef taken = granter.grants.take();
        if (taken == no_grant) break;
        reference = taken;
        granter.grants[taken].domain = from;
        granter.grants[taken].flags = GrantEntry::accept_transfer;
        ++made;
    }
    granter.counters.grants_made += made;
    machine.charge(static_cast<Nanoseconds>(made) * machine.prices.grant_entry);
    return made;
}

GrantStatus SimGrants::revoke_one(GrantRef reference) {
    if (!granter.grants.exists(reference) || !granter.grants[reference].used) {
        ++granter.counters.refused;
        return GrantStatus::bad_gntref;
    }
    GrantEntry& entry = granter.grants[reference];
    if (entry.pinned() || (entry.flags & GrantEntry::transfer_completed) != 0) {
        // Soft revoke: the type goes, READING and WRITING stay until the last unmap. (For an
        // accept entry: the frame that arrived must be taken first.)
        if (entry.pinned()) entry.flags &= static_cast<std::uint8_t>(~GrantEntry::type_mask);
        ++granter.counters.revokes_busy;
        return GrantStatus::busy;
    }
    if (entry.frame != no_frame) --machine.frames[entry.frame].entries;
    granter.grants.give(reference);
    ++granter.counters.grants_ended;
    return GrantStatus::okay;
}

void SimGrants::revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) {
    assert(references.size() == status.size());
    for (std::size_t i = 0; i < references.size(); ++i) status[i] = revoke_one(references[i]);
    machine.charge(static_cast<Nanoseconds>(references.size()) * machine.prices.grant_entry);
}

Frame SimGrants::take_transferred(GrantRef reference) {
    if (!granter.grants.exists(reference)) return no_frame;
    const GrantEntry entry = granter.grants[reference];
    if (!entry.used || (entry.flags & GrantEntry::transfer_completed) == 0) return no_frame;
    granter.grants.give(reference);
    ++granter.counters.grants_ended;
    machine.charge(machine.prices.grant_entry);
    return entry.frame;
}

std::size_t SimGrants::granted() const {
    return granter.grants.in_use();
}
std::size_t SimGrants::grant_capacity() const {
    return granter.grants.capacity();
}

GrantStatus SimGrants::map_one(DomainState* owner, GrantRef reference, Access access,
                               MapHandle& out) {
    if (owner == nullptr) return GrantStatus::bad_domain;
    if (self.maptrack.full()) return GrantStatus::no_device_space;
    if (reference >= owner->grants.capacity()) return GrantStatus::bad_gntref;
    if (!owner->grants.exists(reference)) return GrantStatus::general_error;
    GrantEntry& entry = owner->grants[reference];
    const bool write = access == Access::read_write;
    if ((entry.flags & GrantEntry::type_mask) != GrantEntry::permit_access ||
        entry.domain != self.id || (write && (entry.flags & GrantEntry::readonly) != 0)) {
        return GrantStatus::general_error;
    }
    std::uint16_t& pins = write ? entry.writes : entry.reads;
    if (entry.frame == no_frame || machine.frames[entry.frame].owner != owner->id ||
        pins == 0xffff || machine.frames[entry.frame].mappings == FrameTable::max_mappings) {
        return GrantStatus::general_error;
    }
    ++pins;
    entry.flags |= GrantEntry::reading;
    if (write) entry.flags |= GrantEntry::writing;
    machine.frames.mapped(machine.frames[entry.frame]);
    out = self.maptrack.take();
    Mapping& mapping = *self.maptrack.find(out);
    mapping.frame = entry.frame;
    mapping.reference = reference;
    mapping.granter = owner->id;
    mapping.writable = write;
    return GrantStatus::okay;
}

void SimGrants::map(DomainId granter_id, std::span<const GrantRef> references, Access access,
                    std::span<MapHandle> out, std::span<GrantStatus> status) {
    assert(references.size() == out.size() && references.size() == status.size());
    if (references.empty()) return;
    DomainState* const owner = self.alive ? machine.alive(granter_id) : nullptr;
    std::size_t mapped = 0;
    for (std::size_t i = 0; i < references.size(); ++i) {
        out[i] = no_handle;
        status[i] = map_one(owner, references[i], access, out[i]);
        if (status[i] == GrantStatus::okay) ++mapped;
    }
    self.counters.pages_mapped += mapped;
    self.counters.refused += references.size() - mapped;
    machine.hypercall(self, static_cast<Nanoseconds>(references.size()) * machine.prices.grant_map);
}

void MachineState::drop_mapping(DomainState& mapper, MapHandle handle) {
    const Mapping mapping = *mapper.maptrack.find(handle);
    mapper.maptrack.give(handle);
    if (DomainState* const granter = alive(mapping.granter)) {
        GrantEntry& entry = granter->grants[mapping.reference];
        std::uint16_t& pins = mapping.writable ? entry.writes : entry.reads;
        assert(pins > 0 && entry.frame == mapping.frame);
        --pins;
        if (entry.writes == 0) entry.flags &= static_cast<std::uint8_t>(~GrantEntry::writing);
        if (entry.writes == 0 && entry.reads == 0) {
            entry.flags &= static_cast<std::uint8_t>(~GrantEntry::reading);
        }
    }
    frames.unmapped(mapping.frame);
}

void SimGrants::unmap(std::span<const MapHandle> handles) {
    if (handles.empty()) return;
    for (const MapHandle handle : handles) {
        if (self.maptrack.find(handle) == nullptr) {
            ++self.counters.bad_handles;
            continue;
        }
        machine.drop_mapping(self, handle);
        ++self.counters.pages_unmapped;
    }
    ++self.counters.unmap_batches;
    machine.hypercall(self, static_cast<Nanoseconds>(handles.size()) * machine.prices.grant_unmap +
                                machine.prices.shootdown(self.config.vcpus));
}

GrantStatus SimGrants::find_side(const host::CopySide& side, bool written, Frame& frame) {
    if (side.reference == no_grant) {
        frame = side.frame;
        const bool own =
            machine.frames.exists(frame) && machine.frames[frame].use != FrameRecord::free &&
            (machine.frames[frame].owner == granter.id || machine.frames[frame].owner == self.id);
        return own ? GrantStatus::okay : GrantStatus::bad_page;
    }
    DomainState* const owner = machine.alive(side.domain);
    if (owner == nullptr) return GrantStatus::bad_domain;
    if (side.reference >= owner->grants.capacity()) return GrantStatus::bad_gntref;
    if (!owner->grants.exists(side.reference)) return GrantStatus::general_error;
    const GrantEntry& entry = owner->grants[side.reference];
    if ((entry.flags & GrantEntry::type_mask) != GrantEntry::permit_access ||
        entry.domain != self.id || (written && (entry.flags & GrantEntry::readonly) != 0) ||
        entry.frame == no_frame || machine.frames[entry.frame].owner != owner->id) {
        return GrantStatus::general_error;
    }
    frame = entry.frame;
    return GrantStatus::okay;
}

GrantStatus SimGrants::copy_one(host::CopyOperation& operation, Nanoseconds& cost) {
    const auto fits = [&](const host::CopySide& side) {
        return std::size_t{side.offset} + operation.length <= page_size;
    };
    if (!fits(operation.source) || !fits(operation.destination)) return GrantStatus::bad_copy_arg;
    Frame from = no_frame, to = no_frame;
    GrantStatus status = find_side(operation.source, false, from);
    if (status == GrantStatus::okay) status = find_side(operation.destination, true, to);
    if (status != GrantStatus::okay) return status;
    FrameRecord& source = machine.frames[from];
    FrameRecord& destination = machine.frames[to];
    const bool real = source.use == FrameRecord::control;
    if (real != (destination.use == FrameRecord::control)) {
        return GrantStatus::bad_copy_arg;  // bytes cannot become a fingerprint, nor the other way
    }
    const Nanoseconds page = machine.prices.copy.of(machine.frames.touch(source));
    machine.frames.touch(destination);
    cost += page * operation.length / static_cast<Nanoseconds>(page_size);
    if (real) {
        std::copy_n(source.bytes() + operation.source.offset, operation.length,
                    destination.bytes() + operation.destination.offset);
    } else if (operation.length == page_size) {
        machine.frames.set_content(destination, source.content);
    } else {
        const Fingerprint piece =
            operation.source.offset == operation.destination.offset
                ? source.content
                : mix(source.content, 0, operation.source.offset, operation.length);
        machine.frames.set_content(
            destination,
            mix(destination.content, piece, operation.destination.offset, operation.length));
    }
    return GrantStatus::okay;
}

void SimGrants::copy(std::span<host::CopyOperation> operations) {
    if (operations.empty()) return;
    const auto count = static_cast<Nanoseconds>(operations.size());
    Nanoseconds cost =
        count * (count == 1 ? machine.prices.grant_copy_alone : machine.prices.grant_copy_batched);
    for (host::CopyOperation& operation : operations) {
        operation.status = self.alive ? copy_one(operation, cost) : GrantStatus::bad_domain;
        ++(operation.status == GrantStatus::okay ? self.counters.pages_copied
                                                 : self.counters.refused);
    }
    machine.hypercall(self, cost);
}

GrantStatus SimGrants::transfer_one(const host::TransferOperation& operation) {
    const Frame frame = operation.frame;
    const bool own = machine.frames.exists(frame) && machine.frames[frame].owner == granter.id &&
                     machine.frames[frame].use == FrameRecord::file;
    // Xen looks at mappings only; an idle entry that still names the page would be left behind to
    // name a page of somebody else, so it counts as a reference here.
    if (!own || machine.frames[frame].mappings > 0 || machine.frames[frame].entries > 0) {
        return GrantStatus::bad_page;  // the one error that loses nothing
    }
    const auto lose = [&](GrantStatus status) {
        if (granter.config.populated) {
            --granter.frames.reserved;
            ++machine.frames.counts.free_frames;
        }
        machine.give_frame(granter, frame);
        ++self.counters.pages_lost;
        return status;
    };
    DomainState* const peer = machine.alive(operation.domain);
    if (peer == nullptr) return lose(GrantStatus::bad_domain);
    if (peer->frames.reserved >= peer->frames.limit) return lose(GrantStatus::general_error);
    if (!peer->grants.exists(operation.reference)) return lose(GrantStatus::general_error);
    GrantEntry& entry = peer->grants[operation.reference];
    const bool accepts = entry.used &&
                         (entry.flags & GrantEntry::type_mask) == GrantEntry::accept_transfer &&
                         (entry.flags & GrantEntry::transfer_completed) == 0 &&
                         (entry.domain == granter.id || entry.domain == self.id);
    if (!accepts) return lose(GrantStatus::general_error);
    --granter.frames.allocated;
    --granter.frames.reserved;
    machine.count_file(granter, -1);
    machine.frames.move(frame, peer->id);
    ++peer->frames.allocated;
    ++peer->frames.reserved;
    machine.count_file(*peer, 1);
    entry.frame = frame;
    entry.flags |= GrantEntry::transfer_completed;
    return GrantStatus::okay;
}

void SimGrants::transfer(std::span<host::TransferOperation> operations) {
    if (operations.empty()) return;
    for (host::TransferOperation& operation : operations) {
        operation.status = self.alive ? transfer_one(operation) : GrantStatus::bad_domain;
        ++(operation.status == GrantStatus::okay ? self.counters.pages_flipped
                                                 : self.counters.refused);
    }
    machine.hypercall(self, static_cast<Nanoseconds>(operations.size()) * machine.prices.flip);
}

Result<std::vector<host::FoundEntry>> SimGrants::all() const {
    std::vector<host::FoundEntry> found;
    for (GrantRef reference = 0; granter.grants.exists(reference); ++reference) {
        const GrantEntry& entry = granter.grants[reference];
        if (!entry.used) continue;
        const std::uint8_t type = entry.flags & GrantEntry::type_mask;
        const bool accepts = type == GrantEntry::accept_transfer;
        const bool read_only = (entry.flags & GrantEntry::readonly) != 0;
        found.push_back({reference, entry.domain, entry.frame,
                         read_only ? Access::read : Access::read_write, accepts, type == 0});
    }
    return found;
}

}  // namespace xenfs::sim
