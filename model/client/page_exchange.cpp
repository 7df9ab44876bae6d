#include "model/client/page_exchange.h"

#include <algorithm>

#include "model/client/call.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;
using protocol::PageMode;

namespace {

constexpr int most_reopens = 8;

}  // namespace

PageExchange::PageExchange(const Shared& shared, TransferChoice& choice, Balloon& balloon,
                           Reopener& reopener)
    : Part(shared),
      choice_(choice),
      balloon_(balloon),
      reopener_(reopener),
      page_gate_(host_.tasks().make_gate()) {}

/// Whether there is another open now. Those that other tasks replace are not counted: each has made
/// progress.
bool PageExchange::may_reopen(Node& node, std::uint64_t fh, int& reopens) {
    const bool replaced = node.open.valid() && node.open.fh() != fh;
    if (replaced) return true;
    return reopens++ < most_reopens && reopener_.reopen(node, fh);
}

void PageExchange::wait_for_page() {
    ++page_waiters_;
    page_gate_->wait(config_.event_timeout);
    --page_waiters_;
}

int PageExchange::get(Node& node, PageRequest& request, PageReceiver& receiver) {
    bool wait = false;
    int reopens = 0;
    for (int attempt = 0;; ++attempt) {
        std::uint32_t count = 0;
        if (!receiver.prepare(request, count)) return ENOMEM;
        const std::uint64_t fh = node.open.fh();
        const int error = ask(node, fh, wait, count, request);
        receiver.receive(request);
        if (error == EBADF && may_reopen(node, fh, reopens)) continue;
        if (error != 0 || request.granted > 0) return error;
        if ((request.reply_flags & protocol::got_end) != 0) return 0;
        if (int refusal = make_room(request.reply_flags, request.count, attempt, wait)) {
            return refusal;
        }
    }
}

int PageExchange::get(Node& node, PageRequest& request) {
    struct Entries final : PageReceiver {
    } entries;
    return get(node, request, entries);
}

int PageExchange::ask(Node& node, std::uint64_t fh, bool wait, std::uint32_t count,
                      PageRequest& request) {
    request.granted = 0;
    request.reply_flags = 0;
    Call call(connection_, Opcode::pages_get, node.id, request.urgency);
    put_get(call, fh, wait, count, request);
    const int error = call.send();
    return error != 0 ? error : take_entries(call, count, request);
}

/// Writes a PAGES_GET, which also carries entries to be released.
void PageExchange::put_get(Call& call, std::uint64_t fh, bool wait, std::uint32_t count,
                           const PageRequest& request) {
    std::array<GrantRef, protocol::max_release_per_request> released;
    const bool flip = request.mode == PageMode::flip_out;
    const std::size_t most = flip ? protocol::max_pages_per_request : released.size();
    protocol::PagesGetIn in{};
    in.fh = fh;
    in.first_page = request.first;
    in.count = count;
    in.mode = static_cast<std::uint16_t>(request.mode);
    in.flags = static_cast<std::uint16_t>(
        (request.only_first ? protocol::get_readahead : 0) | (wait ? protocol::get_wait : 0) |
        (request.wanted != 0 && count > request.wanted ? protocol::get_cached : 0));
    in.head = request.head;
    in.tail = request.tail;
    in.release_count =
        static_cast<std::uint32_t>(pages_.take_released(std::span(released).first(most)));
    in.accept_count = flip ? count : 0;
    in.wanted = request.wanted;
    call.put(in);
    call.put_refs(std::span<const GrantRef>(released).first(in.release_count));
    if (flip) call.put_refs(request.accept.first(count));
}

int PageExchange::take_entries(Call& call, std::uint32_t count, PageRequest& request) {
    const auto out = call.get<protocol::PagesGetOut>();
    const auto got = call.reader().get_array<protocol::PageEntry>(std::min(out.granted, count));
    if (!call.ok() || out.granted > count) return EIO;
    request.granted = out.granted;
    request.reply_flags = out.flags;
    for (std::uint32_t i = 0; i < out.granted; ++i) {
        request.refs[i] = got[i].gref;
        request.entry_flags[i] = got[i].flags;
    }
    return 0;
}

int PageExchange::submit_get(Call& call, const Node& node, PageRequest& request) {
    request.granted = 0;
    request.reply_flags = 0;
    put_get(call, node.open.fh(), false, request.count, request);
    return call.submit();
}

int PageExchange::finish_get(Call& call, PageRequest& request) {
    const int error = call.wait();
    return error != 0 ? error : take_entries(call, request.count, request);
}

/// Called when nothing came. Returns 0 where the request may be repeated at once; it then carries
/// what was given up for it. `wait` is set where nothing is left to give up, but other tasks of
/// ours will soon give entries back.
int PageExchange::make_room(std::uint16_t reply_flags, std::uint32_t pages, int attempt,
                            bool& wait) {
    // each gave something up; a server that asks without end is lying
    constexpr int most_attempts = 1000;
    constexpr int most_mishaps = 8;  // requests whose entries could not be used
    const bool credit = (reply_flags & protocol::got_credit) != 0;
    if (!credit && (reply_flags & protocol::got_release) == 0) {
        // A transfer failed, or the hypervisor had no room for a mapping.
        pages_.shrink_mappings(pages);
        pages_.settle();
        return attempt < most_mishaps ? 0 : ENOMEM;
    }
    ++(credit ? stats_.credit_refusals : stats_.release_refusals);
    choice_.entries_are_short();
    if (wait || attempt >= most_attempts) return ENOMEM;
    const std::uint32_t given = pages_.shrink_mappings(std::max(pages, config_.release_batch));
    pages_.settle();
    if (given == 0 && credit && balloon_.donate_step()) return 0;
    if (pages_.released() > 0) return 0;
    if (entries_out_ == 1 && credit) return ENOMEM;
    wait = true;
    return 0;
}

int PageExchange::commit(Node& node, const PageCommit& what, int& sync_error) {
    for (int reopens = 0;;) {
        const std::uint64_t fh = node.open.fh();
        int error;
        bool refusal;
        {
            Call call(connection_, Opcode::pages_commit, node.id, what.urgency);
            error = submit_commit(call, node, what);
            if (error == 0) error = finish_commit(call, node, sync_error);
            refusal = refused(error, call);
        }
        if (error == EBADF && may_reopen(node, fh, reopens)) continue;
        if (refusal) give_back(what);
        return error;
    }
}

int PageExchange::submit_commit(Call& call, const Node& node, const PageCommit& what) {
    protocol::PagesCommitIn in{};
    in.fh = node.open.fh();
    in.offset = what.offset;
    in.length = what.length;
    in.mode = static_cast<std::uint16_t>(what.mode);
    in.flags = what.flags;
    in.ref_count = static_cast<std::uint32_t>(what.refs.size());
    if ((what.flags & protocol::commit_mtime) != 0) {
        protocol::put_time(node.state.attr().mtime, in.mtime, in.mtimensec);
    }
    call.put(in);
    call.put_refs(what.refs);
    return call.submit();
}

int PageExchange::finish_commit(Call& call, Node& node, int& sync_error) {
    if (int error = call.wait()) return error;
    const auto out = call.get<protocol::PagesCommitOut>();
    if (!call.ok()) return EIO;
    const bool outdated = call.node_outdated();
    connection_.outdate_node(node.id);
    // A commit does not make us a holder, so we would not be told of changes to the size.
    if (!node.state.leased()) node.state.committed(out.file_size, outdated);
    sync_error = static_cast<int>(out.sync_error);
    return 0;
}

std::uint32_t PageExchange::copy_in(std::span<const Frame> frames, std::span<const GrantRef> refs) {
    std::array<host::CopyOperation, PageRequest::most> operations;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        operations[i] = {};
        operations[i].source.frame = frames[i];
        operations[i].destination.domain = connection_.pool();
        operations[i].destination.reference = refs[i];
        operations[i].length = page_size;
    }
    const auto batch = std::span(operations).first(frames.size());
    if (!batch.empty()) host_.grants().copy(batch);
    std::uint32_t good = 0;
    while (good < batch.size() && batch[good].status == GrantStatus::okay) ++good;
    stats_.pages_copied_in += good;
    return good;
}

std::uint32_t PageExchange::flip_in(std::span<const Frame> frames, std::span<const GrantRef> refs) {
    std::array<host::TransferOperation, PageRequest::most> operations;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        operations[i] = {frames[i], connection_.pool(), refs[i], GrantStatus::okay};
    }
    const auto batch = std::span(operations).first(frames.size());
    if (!batch.empty()) host_.grants().transfer(batch);
    std::uint32_t good = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        // Only a page that Xen refused to touch is still ours.
        if (batch[i].status == GrantStatus::bad_page) pages_.give_frame(batch[i].frame);
        if (good == i && batch[i].status == GrantStatus::okay) ++good;
    }
    stats_.pages_flipped_in += good;
    return good;
}

void PageExchange::release(Urgency urgency, std::size_t enough) {
    pages_.settle();
    while (pages_.released() >= enough && connection_.usable()) send_released(urgency);
}

bool PageExchange::put_back(PageRequest& request, std::size_t from) {
    bool waited_for = false;
    for (std::size_t i = from; i < request.granted; ++i) {
        waited_for = waited_for || (request.entry_flags[i] & protocol::entry_fresh) != 0;
        pages_.release_later(request.refs[i]);
    }
    request.granted = static_cast<std::uint32_t>(from);
    return waited_for;
}

void PageExchange::give_back(const PageCommit& refused, Call* call) {
    for (const GrantRef entry : refused.refs) pages_.release_later(entry);
    release_at_once(refused.urgency, call);
}

void PageExchange::release_at_once(Urgency urgency, Call* call) {
    if (call == nullptr) return release(urgency);
    while (pages_.released() > 0 && connection_.usable()) {
        call->begin_next(Opcode::pages_release);
        send_released(*call);
    }
}

/// As many as fit into one request.
void PageExchange::send_released(Urgency urgency) {
    const EntriesOut entries_out(*this);
    Call call(connection_, Opcode::pages_release, 0, urgency);
    send_released(call);
}

void PageExchange::send_released(Call& call) {
    std::array<GrantRef, protocol::max_release_per_request> refs;
    const std::size_t count = pages_.take_released(refs);
    call.put(protocol::PagesReleaseIn{static_cast<std::uint32_t>(count), 0});
    call.put_refs(std::span<const GrantRef>(refs).first(count));
    call.send();
}

}  // namespace xenfs::client
