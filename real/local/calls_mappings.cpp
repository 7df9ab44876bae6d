// The calls of the domain that is granted to: it maps, unmaps and copies.
#include "model/host/grants.h"
#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

Answer map(HostState& host, DomainRecord& self, Reader& reader) {
    const auto granter = reader.take<DomainId>();
    const auto access = reader.take<Access>();
    const auto references = reader.take_rest<GrantRef>();
    if (!reader.ok() || references.size() > max_batch) return Answer(EINVAL);
    const DomainPointer owner = host.pointer(granter);
    Answer answer(0);
    answer.packet.put(owner == nullptr ? std::uint64_t{0} : owner->serial);
    for (const GrantRef reference : references) {
        MapAnswer one;
        // Whatever is not read_write on the wire is read-only.
        one.status = xen::map_page(host, self, owner.get(), reference,
                                   access == Access::read_write ? access : Access::read, one.handle,
                                   one.frame);
        answer.packet.put(one);
    }
    return answer;
}

Answer unmap(HostState& host, DomainRecord& self, Reader& reader) {
    const auto handles = reader.take_rest<MapHandle>();
    if (!reader.ok()) return Answer(EINVAL);
    for (const MapHandle handle : handles) {
        if (self.maptrack.find(handle) != nullptr) xen::unmap_page(host, self, handle);
    }
    return Answer(0);
}

/// Answers with the descriptor by which the caller maps a peer's segment, as open as the mapping
/// is.
Answer window(DomainRecord& self, Reader& reader) {
    const auto* const mapping = self.maptrack.find(reader.take<MapHandle>());
    if (!reader.ok() || mapping == nullptr) return Answer(EINVAL);
    const Segment& segment = mapping->granter->segment;
    Answer answer(0);
    answer.packet.put(static_cast<std::uint64_t>(segment.pages()));
    answer.descriptors = {mapping->writable ? segment.writable() : segment.readable()};
    return answer;
}

GrantStatus copy_one(HostState& host, Caller& caller, const host::CopyOperation& operation) {
    xen::CopyPages<DomainRecord> pages;
    const GrantStatus status =
        xen::find_copy(host, *caller.granter, *caller.self, operation, pages);
    if (status != GrantStatus::okay) return status;
    std::memmove(pages.to->segment.page(pages.destination) + operation.destination.offset,
                 pages.from->segment.page(pages.source) + operation.source.offset,
                 operation.length);
    return GrantStatus::okay;
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
