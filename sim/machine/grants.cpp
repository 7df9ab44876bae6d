#include <algorithm>
#include <cassert>

#include "sim/machine/host_view.h"

// The rules are Xen's, in model/xen/; these are their prices and counters.

namespace xenfs::sim {

std::size_t SimGrants::grant(DomainId to, std::span<const Frame> frames, Access access,
                             std::span<GrantRef> out) {
    assert(frames.size() == out.size());
    if (!granter.alive) return 0;
    std::size_t made = 0;
    for (const Frame frame : frames) {
        out[made] = xen::grant_page(machine, granter, to, frame, access);
        if (out[made] == no_grant) break;
        ++made;
    }
    granter.counters.grants_made += made;
    machine.charge(static_cast<Nanoseconds>(made) * machine.prices.grant_entry);
    return made;
}

std::size_t SimGrants::accept_transfer(DomainId from, std::span<GrantRef> out) {
    if (!granter.alive) return 0;
    std::size_t made = 0;
    for (GrantRef& reference : out) {
        reference = granter.grants.accept(from);
        if (reference == no_grant) break;
        ++made;
    }
    granter.counters.grants_made += made;
    machine.charge(static_cast<Nanoseconds>(made) * machine.prices.grant_entry);
    return made;
}

void SimGrants::revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) {
    assert(references.size() == status.size());
    for (std::size_t i = 0; i < references.size(); ++i) {
        status[i] = xen::revoke_page(machine, granter, references[i]);
        ++(status[i] == GrantStatus::okay   ? granter.counters.grants_ended
           : status[i] == GrantStatus::busy ? granter.counters.revokes_busy
                                            : granter.counters.refused);
    }
    machine.charge(static_cast<Nanoseconds>(references.size()) * machine.prices.grant_entry);
}

Frame SimGrants::take_transferred(GrantRef reference) {
    const Frame frame = granter.grants.take_transferred(reference);
    if (frame == no_frame) return no_frame;
    ++granter.counters.grants_ended;
    machine.charge(machine.prices.grant_entry);
    return frame;
}

std::size_t SimGrants::granted() const {
    return granter.grants.in_use();
}
std::size_t SimGrants::grant_capacity() const {
    return granter.grants.capacity();
}

void SimGrants::map(DomainId granter_id, std::span<const GrantRef> references, Access access,
                    std::span<MapHandle> out, std::span<GrantStatus> status) {
    assert(references.size() == out.size() && references.size() == status.size());
    if (references.empty()) return;
    DomainState* const owner = self.alive ? machine.alive(granter_id) : nullptr;
    std::size_t mapped = 0;
    for (std::size_t i = 0; i < references.size(); ++i) {
        out[i] = no_handle;
        Frame frame = no_frame;
        status[i] = xen::map_page(machine, self, owner, references[i], access, out[i], frame);
        if (status[i] == GrantStatus::okay) ++mapped;
    }
    self.counters.pages_mapped += mapped;
    self.counters.refused += references.size() - mapped;
    machine.hypercall(self, static_cast<Nanoseconds>(references.size()) * machine.prices.grant_map);
}

void SimGrants::unmap(std::span<const MapHandle> handles) {
    if (handles.empty()) return;
    for (const MapHandle handle : handles) {
        if (self.maptrack.find(handle) == nullptr) {
            ++self.counters.bad_handles;
            continue;
        }
        xen::unmap_page(machine, self, handle);
        ++self.counters.pages_unmapped;
    }
    ++self.counters.unmap_batches;
    machine.hypercall(self, static_cast<Nanoseconds>(handles.size()) * machine.prices.grant_unmap +
                                machine.prices.shootdown(self.config.vcpus));
}

GrantStatus SimGrants::copy_one(const host::CopyOperation& operation, Nanoseconds& cost) {
    xen::CopyPages<DomainState> pages;
    const GrantStatus status = xen::find_copy(machine, granter, self, operation, pages);
    if (status != GrantStatus::okay) return status;
    FrameRecord& source = machine.frames[pages.source];
    FrameRecord& destination = machine.frames[pages.destination];
    const bool real = source.use == FrameRecord::control;
    if (real != (destination.use == FrameRecord::control)) {
        // bytes cannot become a fingerprint, nor a fingerprint bytes
        return GrantStatus::bad_copy_arg;
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

void SimGrants::transfer(std::span<host::TransferOperation> operations) {
    if (operations.empty()) return;
    for (host::TransferOperation& operation : operations) {
        operation.status = GrantStatus::bad_domain;
        if (self.alive) {
            operation.status = xen::transfer_page(machine, granter, self.id, operation);
            const bool lost =
                operation.status != GrantStatus::okay && operation.status != GrantStatus::bad_page;
            self.counters.pages_lost += lost;
        }
        ++(operation.status == GrantStatus::okay ? self.counters.pages_flipped
                                                 : self.counters.refused);
    }
    machine.hypercall(self, static_cast<Nanoseconds>(operations.size()) * machine.prices.flip);
}

Result<std::vector<host::FoundEntry>> SimGrants::all() const {
    std::vector<host::FoundEntry> found;
    granter.grants.list(0, granter.grants.capacity(), found);
    return found;
}

}  // namespace xenfs::sim
