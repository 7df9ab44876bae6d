// Maps, unmaps and copies, as the domain that is granted to.
#include "model/host/grants.h"
#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

constexpr std::uint32_t max_pins = 0xffff;  // of one entry and kind, as in the simulated host

/// The entry by which `self` may reach a page of `granter`, or a status that says why not.
GrantStatus usable(DomainRecord* granter, GrantRef reference, DomainId self, bool write,
                   GrantEntry*& entry) {
    if (granter == nullptr) return GrantStatus::bad_domain;
    if (reference >= granter->grants.capacity()) return GrantStatus::bad_gntref;
    entry = granter->grants.find(reference);
    const bool allowed = entry != nullptr && entry->permits() && entry->domain == self &&
                         !(write && (entry->flags & GrantEntry::readonly) != 0) &&
                         entry->frame != no_frame;
    return allowed ? GrantStatus::okay : GrantStatus::general_error;
}

MapAnswer map_one(DomainRecord& self, const DomainPointer& granter, GrantRef reference,
                  bool write) {
    MapAnswer answer;
    if (granter != nullptr && self.maptrack.full()) {
        answer.status = GrantStatus::no_device_space;
        return answer;
    }
    GrantEntry* entry = nullptr;
    answer.status = usable(granter.get(), reference, self.id, write, entry);
    if (answer.status != GrantStatus::okay) return answer;
    std::uint32_t& pins = write ? entry->writes : entry->reads;
    if (pins == max_pins) {
        answer.status = GrantStatus::general_error;
        return answer;
    }
    ++pins;
    ++granter->frames[entry->frame].mappings;
    answer.frame = entry->frame;
    answer.handle = self.maptrack.take({granter, entry->frame, reference, write, 0});
    return answer;
}

Answer map(HostState& host, DomainRecord& self, Reader& reader) {
    const auto granter = reader.take<DomainId>();
    const auto access = reader.take<Access>();
    const auto references = reader.take_rest<GrantRef>();
    if (!reader.ok() || references.size() > max_batch) return Answer(EINVAL);
    const DomainPointer owner = host.pointer(granter);
    Answer answer(0);
    answer.packet.put(owner == nullptr ? std::uint64_t{0} : owner->serial);
    for (const GrantRef reference : references) {
        answer.packet.put(map_one(self, owner, reference, access == Access::read_write));
    }
    return answer;
}

Answer unmap(HostState& host, DomainRecord& self, Reader& reader) {
    const auto handles = reader.take_rest<MapHandle>();
    if (!reader.ok()) return Answer(EINVAL);
    for (const MapHandle handle : handles) {
        if (self.maptrack.find(handle) != nullptr) host.drop_mapping(self, handle);
    }
    return Answer(0);
}

/// The descriptor to map a peer's segment by, for whoever has a mapping with that access now.
Answer window(DomainRecord& self, Reader& reader) {
    const Mapping* const mapping = self.maptrack.find(reader.take<MapHandle>());
    if (!reader.ok() || mapping == nullptr) return Answer(EINVAL);
    const Segment& segment = mapping->granter->segment;
    Answer answer(0);
    answer.packet.put(static_cast<std::uint64_t>(segment.pages()));
    answer.descriptors = {mapping->writable ? segment.writable() : segment.readable()};
    return answer;
}

GrantStatus find_side(HostState& host, Caller& caller, const host::CopySide& side, bool written,
                      std::byte*& at) {
    if (side.reference == no_grant) {
        if (!caller.granter->owns(side.frame)) return GrantStatus::bad_page;
        at = caller.granter->segment.page(side.frame) + side.offset;
        return GrantStatus::okay;
    }
    DomainRecord* const granter = host.alive(side.domain);
    GrantEntry* entry = nullptr;
    const GrantStatus status = usable(granter, side.reference, caller.self->id, written, entry);
    if (status == GrantStatus::okay) at = granter->segment.page(entry->frame) + side.offset;
    return status;
}

GrantStatus copy_one(HostState& host, Caller& caller, const host::CopyOperation& operation) {
    const auto fits = [&](const host::CopySide& side) {
        return std::size_t{side.offset} + operation.length <= page_size;
    };
    if (!fits(operation.source) || !fits(operation.destination)) return GrantStatus::bad_copy_arg;
    std::byte *from = nullptr, *to = nullptr;
    GrantStatus status = find_side(host, caller, operation.source, false, from);
    if (status == GrantStatus::okay) {
        status = find_side(host, caller, operation.destination, true, to);
    }
    if (status == GrantStatus::okay) std::memmove(to, from, operation.length);
    return status;
}

Answer copy(HostState& host, Caller& caller, Reader& reader) {
    const auto operations = reader.take_rest<host::CopyOperation>();
    if (!reader.ok()) return Answer(EINVAL);
    Answer answer(0);
    for (const auto& operation : operations) answer.packet.put(copy_one(host, caller, operation));
    return answer;
}

}  // namespace

Answer mappings_call(HostState& host, Caller& caller, Call call, Reader& reader) {
    switch (call) {
        case Call::map:
            return map(host, *caller.self, reader);
        case Call::unmap:
            return unmap(host, *caller.self, reader);
        case Call::window:
            return window(*caller.self, reader);
        default:
            return copy(host, caller, reader);
    }
}

}  // namespace xenfs::real::local
