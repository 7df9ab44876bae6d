// Grant entries, as the domain that grants. Status codes are those of the simulated host.
#include "model/host/grants.h"
#include "real/local/host_state.h"

namespace xenfs::real::local {
namespace {

Answer references_of(const std::vector<GrantRef>& references) {
    Answer answer(0);
    answer.packet.put_span(std::span<const GrantRef>(references));
    return answer;
}

Answer grant(DomainRecord& domain, Reader& reader) {
    const auto to = reader.take<DomainId>();
    const auto access = reader.take<Access>();
    const auto frames = reader.take_rest<Frame>();
    if (!reader.ok() || frames.size() > max_batch) return Answer(EINVAL);
    std::vector<GrantRef> made;
    for (const Frame frame : frames) {
        const GrantRef reference = domain.grants.take();
        if (reference == no_grant) break;
        GrantEntry& entry = *domain.grants.find(reference);
        // An entry may name anything, as in Xen; a map of what is not ours is refused then.
        if (domain.owns(frame)) {
            entry.frame = frame;
            ++domain.frames[frame].entries;
        }
        entry.domain = to;
        entry.flags = GrantEntry::permit_access;
        if (access != Access::read_write) entry.flags |= GrantEntry::readonly;
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
        const GrantRef reference = domain.grants.take();
        if (reference == no_grant) break;
        domain.grants.find(reference)->domain = from;
        domain.grants.find(reference)->flags = GrantEntry::accept_transfer;
        made.push_back(reference);
    }
    return references_of(made);
}

GrantStatus revoke_one(DomainRecord& domain, GrantRef reference) {
    GrantEntry* const entry = domain.grants.find(reference);
    if (entry == nullptr) return GrantStatus::bad_gntref;
    if (entry->pinned()) {
        // Soft revoke: the type goes, the pins stay until the last unmap.
        entry->flags &= static_cast<std::uint16_t>(~GrantEntry::type_mask);
        return GrantStatus::busy;
    }
    if ((entry->flags & GrantEntry::transfer_completed) != 0) return GrantStatus::busy;
    if (entry->frame != no_frame) --domain.frames[entry->frame].entries;
    domain.grants.give(reference);
    return GrantStatus::okay;
}

Answer revoke(DomainRecord& domain, Reader& reader) {
    const auto references = reader.take_rest<GrantRef>();
    if (!reader.ok()) return Answer(EINVAL);
    Answer answer(0);
    for (const GrantRef reference : references) answer.packet.put(revoke_one(domain, reference));
    return answer;
}

Answer take_transferred(DomainRecord& domain, Reader& reader) {
    const auto reference = reader.take<GrantRef>();
    GrantEntry* const entry = domain.grants.find(reference);
    Frame frame = no_frame;
    if (entry != nullptr && (entry->flags & GrantEntry::transfer_completed) != 0) {
        frame = entry->frame;
        domain.grants.give(reference);
    }
    Answer answer(0);
    answer.packet.put(frame);
    return answer;
}

/// A frame that leaves its owner and becomes the one that `operation.domain` offered room for.
/// Segments are the domains' own, so here the bytes move, not the page: what the caller sees is
/// Xen's transfer, what it costs is a copy.
GrantStatus transfer_one(HostState& host, Caller& caller,
                         const host::TransferOperation& operation) {
    DomainRecord& from = *caller.granter;
    const Frame frame = operation.frame;
    const bool own = from.owns(frame) && !from.frames[frame].shared;
    if (!own || from.frames[frame].mappings > 0 || from.frames[frame].entries > 0) {
        return GrantStatus::bad_page;  // the one error that loses nothing
    }
    DomainRecord* const peer = host.alive(operation.domain);
    GrantEntry* const entry = peer != nullptr ? peer->grants.find(operation.reference) : nullptr;
    GrantStatus status = GrantStatus::okay;
    if (peer == nullptr) {
        status = GrantStatus::bad_domain;
    } else if (peer->reserved >= peer->limit || entry == nullptr || !entry->accepts() ||
               (entry->domain != from.id && entry->domain != caller.self->id)) {
        status = GrantStatus::general_error;
    }
    const bool populated = from.shape.populated;
    Frame arrived = no_frame;
    if (status == GrantStatus::okay) {
        // The page that leaves `from` is the one that the peer gains, so the host's free memory is
        // the same afterwards; in between it may wrap.
        ++peer->reserved;
        --host.free_pages;
        arrived = host.take_frame(*peer, false);
        if (arrived == no_frame) {  // it had room already promised elsewhere
            --peer->reserved;
            ++host.free_pages;
            status = GrantStatus::general_error;
        } else {
            std::memcpy(peer->segment.page(arrived), from.segment.page(frame), page_size);
            entry->frame = arrived;
            entry->flags |= GrantEntry::transfer_completed;
        }
    }
    host.give_frame(from, frame);
    if (populated) {
        --from.reserved;
        ++host.free_pages;
    }
    if (peer != nullptr) host.publish(*peer);
    return status;
}

/// A piece of the list, from a reference on.
Answer all(DomainRecord& domain, Reader& reader) {
    const auto first = reader.take<GrantRef>();
    if (!reader.ok()) return Answer(EINVAL);
    std::vector<host::FoundEntry> found;
    for (GrantRef at = first; at < domain.grants.ever_used() && found.size() < max_batch; ++at) {
        const GrantEntry* const entry = domain.grants.find(at);
        if (entry == nullptr) continue;
        const bool accepts = (entry->flags & GrantEntry::type_mask) == GrantEntry::accept_transfer;
        const bool read_only = (entry->flags & GrantEntry::readonly) != 0;
        found.push_back({at, entry->domain, entry->frame,
                         read_only ? Access::read : Access::read_write, accepts,
                         (entry->flags & GrantEntry::type_mask) == 0});
    }
    Answer answer(0);
    answer.packet.put_span(std::span<const host::FoundEntry>(found));
    return answer;
}

Answer transfer(HostState& host, Caller& caller, Reader& reader) {
    const auto operations = reader.take_rest<host::TransferOperation>();
    if (!reader.ok()) return Answer(EINVAL);
    Answer answer(0);
    for (const auto& operation : operations) {
        answer.packet.put(transfer_one(host, caller, operation));
    }
    return answer;
}

}  // namespace

Answer grants_call(HostState& host, Caller& caller, Call call, Reader& reader) {
    DomainRecord& domain = *caller.granter;
    if (!domain.alive) return Answer(ESRCH);
    switch (call) {
        case Call::grant:
            return grant(domain, reader);
        case Call::accept_transfer:
            return accept_transfer(domain, reader);
        case Call::revoke:
            return revoke(domain, reader);
        case Call::take_transferred:
            return take_transferred(domain, reader);
        case Call::entries_all:
            return all(domain, reader);
        default:
            return transfer(host, caller, reader);
    }
}

}  // namespace xenfs::real::local
