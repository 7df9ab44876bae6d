#include "real/local/local_grants.h"

#include <algorithm>
#include <atomic>
#include <cassert>

namespace xenfs::real::local {
namespace {

/// Calls `serve(first, count)` for one batch after another until it returns false.
template <class Serve>
void in_batches(std::size_t total, Serve serve) {
    for (std::size_t first = 0; first < total; first += max_batch) {
        if (!serve(first, std::min(max_batch, total - first))) return;
    }
}

std::uint64_t published(const std::uint64_t& figure) {
    // The memory is mapped read-only, for which std::atomic_ref is not made; this is a plain load.
    return __atomic_load_n(&figure, __ATOMIC_ACQUIRE);
}

}  // namespace

std::size_t LocalGrants::grant(DomainId to, std::span<const Frame> frames, Access access,
                               std::span<GrantRef> out) {
    assert(frames.size() == out.size());
    std::size_t made = 0;
    in_batches(frames.size(), [&](std::size_t first, std::size_t count) {
        Writer request(Call::grant);
        const Reply reply =
            link_.call(request.put(to).put(access).put_span(frames.subspan(first, count)));
        const auto references = reply.rest().take_rest<GrantRef>();
        std::copy(references.begin(), references.end(), out.begin() + static_cast<long>(made));
        made += references.size();
        return references.size() == count;
    });
    return made;
}

std::size_t LocalGrants::accept_transfer(DomainId from, std::span<GrantRef> out) {
    std::size_t made = 0;
    in_batches(out.size(), [&](std::size_t, std::size_t count) {
        Writer request(Call::accept_transfer);
        const Reply reply = link_.call(request.put(from).put(static_cast<std::uint32_t>(count)));
        const auto references = reply.rest().take_rest<GrantRef>();
        std::copy(references.begin(), references.end(), out.begin() + static_cast<long>(made));
        made += references.size();
        return references.size() == count;
    });
    return made;
}

void LocalGrants::revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) {
    assert(references.size() == status.size());
    std::fill(status.begin(), status.end(), GrantStatus::bad_domain);
    in_batches(references.size(), [&](std::size_t first, std::size_t count) {
        Writer request(Call::revoke);
        const Reply reply = link_.call(request.put_span(references.subspan(first, count)));
        const auto answers = reply.rest().take_rest<GrantStatus>();
        std::copy(answers.begin(), answers.end(), status.begin() + static_cast<long>(first));
        return answers.size() == count;
    });
}

Frame LocalGrants::take_transferred(GrantRef reference) {
    const Reply reply = link_.call(Writer(Call::take_transferred).put(reference));
    return reply.error == 0 ? reply.rest().take<Frame>() : no_frame;
}

std::size_t LocalGrants::granted() const {
    return published(account_.granted);
}
std::size_t LocalGrants::grant_capacity() const {
    return published(account_.grant_capacity);
}

Result<std::vector<host::FoundEntry>> LocalGrants::all() const {
    std::vector<host::FoundEntry> found;
    for (GrantRef next = 0;;) {
        const Reply reply = link_.call(Writer(Call::entries_all).put(next));
        if (reply.error != 0) return Errno{reply.error};
        const std::size_t before = found.size();
        for (const host::FoundEntry& one : reply.rest().take_rest<host::FoundEntry>())
            found.push_back(one);
        if (found.size() == before) return found;
        next = found.back().reference + 1;
    }
}

Window* LocalGrants::window(std::uint64_t granter, Access access, MapHandle by) {
    return windows_.get(granter, access, [&] {
        Reply reply = link_.call(Writer(Call::window).put(by));
        std::pair<Descriptor, std::size_t> found;
        if (reply.error == 0 && reply.packet.descriptors.size() == 1) {
            found.second = reply.rest().take<std::uint64_t>();
            found.first = std::move(reply.packet.descriptors[0]);
        }
        return found;
    });
}

void LocalGrants::map_batch(DomainId granter, std::span<const GrantRef> references, Access access,
                            std::span<MapHandle> out, std::span<GrantStatus> status) {
    Writer request(Call::map);
    const Reply reply = link_.call(request.put(granter).put(access).put_span(references));
    Reader rest = reply.rest();
    const auto serial = rest.take<std::uint64_t>();
    const auto answers = rest.take_rest<MapAnswer>();
    if (answers.size() != references.size()) return;
    std::vector<Frame> frames;
    std::vector<MapHandle> handles;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        status[i] = answers[i].status;
        if (status[i] != GrantStatus::okay) continue;
        frames.push_back(answers[i].frame);
        handles.push_back(answers[i].handle);
    }
    if (handles.empty()) return;
    Window* const peer = window(serial, access, handles[0]);
    if (peer == nullptr || !peer->open(frames)) {
        Writer back(Call::unmap);
        (void)link_.call(back.put_span(std::span<const MapHandle>(handles)));
        std::replace(status.begin(), status.end(), GrantStatus::okay, GrantStatus::no_device_space);
        return;
    }
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (status[i] != GrantStatus::okay) continue;
        out[i] = answers[i].handle;
        const std::size_t index = out[i] & index_mask;
        if (index >= mappings_.size()) mappings_.resize(index + 1);
        mappings_[index] = {peer->page(answers[i].frame), peer, out[i], answers[i].frame};
    }
}

void LocalGrants::map(DomainId granter, std::span<const GrantRef> references, Access access,
                      std::span<MapHandle> out, std::span<GrantStatus> status) {
    assert(references.size() == out.size() && references.size() == status.size());
    std::fill(out.begin(), out.end(), no_handle);
    std::fill(status.begin(), status.end(), GrantStatus::bad_domain);
    in_batches(references.size(), [&](std::size_t first, std::size_t count) {
        map_batch(granter, references.subspan(first, count), access, out.subspan(first, count),
                  status.subspan(first, count));
        return true;
    });
}

/// Closes the pages first, so that they are out of reach when the granter learns that they are
/// free.
void LocalGrants::unmap_batch(std::span<const MapHandle> handles) {
    std::vector<MapHandle> ours;
    std::vector<Frame> frames;
    Window* window = nullptr;
    const auto close = [&] {
        if (window != nullptr) window->close(frames);
        frames.clear();
    };
    for (const MapHandle handle : handles) {
        if (address(handle) == nullptr) continue;
        Mapping& mapping = mappings_[handle & index_mask];
        if (mapping.window != window) close();
        window = mapping.window;
        frames.push_back(mapping.frame);
        ours.push_back(handle);
        mapping = {};
    }
    close();
    Writer request(Call::unmap);
    if (!ours.empty()) (void)link_.call(request.put_span(std::span<const MapHandle>(ours)));
}

void LocalGrants::unmap(std::span<const MapHandle> handles) {
    in_batches(handles.size(), [&](std::size_t first, std::size_t count) {
        unmap_batch(handles.subspan(first, count));
        return true;
    });
}

template <class Operation>
void LocalGrants::operate(Call call, std::span<Operation> operations) {
    for (Operation& operation : operations) operation.status = GrantStatus::bad_domain;
    in_batches(operations.size(), [&](std::size_t first, std::size_t count) {
        Writer request(call);
        const auto batch = operations.subspan(first, count);
        const Reply reply = link_.call(request.put_span(std::span<const Operation>(batch)));
        const auto answers = reply.rest().take_rest<GrantStatus>();
        for (std::size_t i = 0; i < std::min(answers.size(), count); ++i) {
            batch[i].status = answers[i];
        }
        return answers.size() == count;
    });
}

void LocalGrants::copy(std::span<host::CopyOperation> operations) {
    operate(Call::copy, operations);
}

void LocalGrants::transfer(std::span<host::TransferOperation> operations) {
    operate(Call::transfer, operations);
}

}  // namespace xenfs::real::local
