// The calls of the domain that grants: it writes, offers and revokes entries, and transfers pages.
#include "model/host/grants.h"
#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

Answer references_of(const std::vector<GrantRef>& references) {
    Answer answer(0);
    answer.packet.put_span(std::span<const GrantRef>(references));
    return answer;
}

Answer grant(HostState& host, DomainRecord& domain, Reader& reader) {
    const auto to = reader.take<DomainId>();
    const auto access = reader.take<Access>();
    const auto frames = reader.take_rest<Frame>();
    if (!reader.ok() || frames.size() > max_batch) return Answer(EINVAL);
    std::vector<GrantRef> made;
    for (const Frame frame : frames) {
        // Whatever is not read_write on the wire is read-only.
        const Access checked = access == Access::read_write ? access : Access::read;
        const GrantRef reference = xen::grant_page(host, domain, to, frame, checked);
        if (reference == no_grant) break;
        made.push_back(reference);
    }
    return references_of(made);
}

Answer accept_transfer(DomainRecord& domain, Reader& reader) {
    const auto from = reader.take<DomainId>();
    const auto count = reader.take<std::uint32_t>();
    if (!reader.ok() || count > max_batch) return Answer(EINVAL);
    std::vector<GrantRef> made;
    while (made.size() < count) {
        const GrantRef reference = domain.grants.accept(from);
        if (reference == no_grant) break;
        made.push_back(reference);
    }
    return references_of(made);
}

Answer revoke(HostState& host, DomainRecord& domain, Reader& reader) {
    const auto references = reader.take_rest<GrantRef>();
    if (!reader.ok()) return Answer(EINVAL);
    Answer answer(0);
    for (const GrantRef reference : references) {
        answer.packet.put(xen::revoke_page(host, domain, reference));
    }
    return answer;
}

Answer take_transferred(DomainRecord& domain, Reader& reader) {
    Answer answer(0);
    answer.packet.put(domain.grants.take_transferred(reader.take<GrantRef>()));
    return answer;
}

/// Lists entries from a reference on, as many as one packet holds.
Answer all(DomainRecord& domain, Reader& reader) {
    const auto first = reader.take<GrantRef>();
    if (!reader.ok()) return Answer(EINVAL);
    std::vector<host::FoundEntry> found;
    domain.grants.list(first, max_batch, found);
    Answer answer(0);
    answer.packet.put_span(std::span<const host::FoundEntry>(found));
    return answer;
}

Answer transfer(HostState& host, Caller& caller, Reader& reader) {
    const auto operations = reader.take_rest<host::TransferOperation>();
    if (!reader.ok()) return Answer(EINVAL);
    Answer answer(0);
    for (const auto& operation : operations) {
        answer.packet.put(xen::transfer_page(host, *caller.granter, caller.self->id, operation));
    }
    return answer;
}

}  // namespace

Answer grants_call(HostState& host, Caller& caller, Call call, Reader& reader) {
    DomainRecord& domain = *caller.granter;
    if (!domain.alive) return Answer(ESRCH);
    switch (call) {
        case Call::grant:
            return grant(host, domain, reader);
        case Call::accept_transfer:
            return accept_transfer(domain, reader);
        case Call::revoke:
            return revoke(host, domain, reader);
        case Call::take_transferred:
            return take_transferred(domain, reader);
        case Call::entries_all:
            return all(domain, reader);
        default:
            return transfer(host, caller, reader);
    }
}

}  // namespace xenfs::real::local
