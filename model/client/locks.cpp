#include "model/client/locks.h"

#include <algorithm>

namespace xenfs::client {

using protocol::Opcode;

namespace {

protocol::LkIn lock_request(const Node& node, const FileLock& lock, LockTicket ticket = 0) {
    protocol::LkIn in{};
    in.fh = node.open.fh();
    in.owner = lock.owner;
    in.lk.start = lock.start;
    in.lk.end = lock.length == 0 ? protocol::lock_to_end : lock.start + lock.length - 1;
    in.lk.type = lock.type == FileLock::Type::shared      ? protocol::lock_read
                 : lock.type == FileLock::Type::exclusive ? protocol::lock_write
                                                          : protocol::lock_unlock;
    in.lk.pid = lock.pid;
    in.lk_flags = (lock.whole_file ? std::uint32_t{protocol::lk_flock} : 0) |
                  (lock.ofd ? std::uint32_t{protocol::lk_ofd} : 0);
    in.ticket = ticket;
    return in;
}

FileLock lock_found(const FileLock& asked, const protocol::LkOut& out) {
    FileLock found = asked;
    found.type = out.lk.type == protocol::lock_read    ? FileLock::Type::shared
                 : out.lk.type == protocol::lock_write ? FileLock::Type::exclusive
                                                       : FileLock::Type::unlock;
    found.owner = 0;  // it is not told who
    found.pid = out.lk.pid;
    found.start = out.lk.start;
    found.length = out.lk.end >= protocol::lock_to_end ? 0 : out.lk.end - out.lk.start + 1;
    return found;
}

}  // namespace

Locks::Locks(const Shared& shared) : Part(shared), settled_gate_(host_.tasks().make_gate()) {
    connection_.on_lock_granted([this](LockTicket ticket) { settle(ticket, 0); });
}

int Locks::set(Node& node, const FileLock& lock, bool wait) {
    if (wait) return await(node, 0, lock);
    HeldLocks::Locks before = held_.give_up(node.id, lock);
    bool outlived = false;
    int error;
    do {
        error = with_open(node, [&](std::uint64_t) MAY_YIELD {
            Call call(connection_, Opcode::setlk, node.id);
            call.put(lock_request(node, lock));
            const int answer = call.send();
            outlived = call.outlived();
            return answer;
        });
    } while (error == 0 && outlived);
    if (error == 0) {
        held_.set(node.id, lock);
    } else {
        held_.restore(node.id, lock, std::move(before));
    }
    return error;
}

int Locks::set(Handle handle, const FileLock& lock, bool wait) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    const NodeUse node(*file->node);
    const bool unlocks = lock.type == FileLock::Type::unlock;
    if (wait && !unlocks) return await(*node, handle, lock);
    const int error = set(*node, lock, false);
    if (error != 0) return error;
    if (OpenFile* const still = handles_.find(handle)) {
        still->lock_owners.note(lock);
        return 0;
    }
    // The file was closed meanwhile, so nothing would end the lock.
    if (unlocks) return 0;
    FileLock undo = lock;
    undo.type = FileLock::Type::unlock;
    set(*node, undo, false);
    return EBADF;
}

int Locks::await(Node& node, Handle handle, const FileLock& lock) {
    constexpr int pending = -1;
    int result = pending;
    std::unique_ptr<host::Gate> gate;
    begin(node, handle, lock, [&](int error) {
        result = error;
        if (gate != nullptr) gate->wake_one();
    });
    if (result == pending) gate = host_.tasks().make_gate();
    while (result == pending) gate->wait();
    return result;
}

LockTicket Locks::begin(Handle handle, const FileLock& lock, std::function<void(int)> settled) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) {
        settled(EBADF);
        return 0;
    }
    const NodeUse node(*file->node);
    return begin(*node, handle, lock, std::move(settled));
}

LockTicket Locks::begin(Node& node, Handle handle, const FileLock& lock,
                        std::function<void(int)> settled) {
    do {
        ++last_ticket_;
    } while (last_ticket_ == 0 || find(last_ticket_) != nullptr);
    const LockTicket ticket = last_ticket_;
    waiting_.push_back({ticket, NodeUse(node), handle, lock, std::move(settled)});
    ask(ticket);
    return ticket;
}

Locks::Waiting* Locks::find(LockTicket ticket) {
    for (Waiting& waiting : waiting_) {
        if (waiting.ticket == ticket) return &waiting;
    }
    return nullptr;
}

/// Asks until a server has answered that still lives: what its predecessor said of the wait after
/// the waits were presented, the successor does not know.
void Locks::ask(LockTicket ticket) {
    for (;;) {
        const Waiting* const asked = find(ticket);
        if (asked == nullptr) return;
        const NodeUse node(*asked->node);
        const FileLock lock = asked->lock;
        protocol::LkwOut out{};
        bool outlived = false;
        const int error = with_open(*node, [&](std::uint64_t) MAY_YIELD {
            Call call(connection_, Opcode::setlkw, node->id);
            call.put(lock_request(*node, lock, ticket));
            if (const int answer = call.send()) return answer;
            out = call.get<protocol::LkwOut>();
            outlived = call.outlived();
            return call.ok() ? 0 : EIO;
        });
        if (outlived) continue;
        if (error != 0 || out.queued == 0) return settle(ticket, error);
        Waiting* const waiting = find(ticket);
        if (waiting == nullptr) return;  // the grant has overtaken the answer
        waiting->queued = true;
        if (waiting->cancelled != 0) interrupt(ticket);
        return;
    }
}

/// Ends a wait, if it has not ended already. Does not yield.
void Locks::settle(LockTicket ticket, int error) {
    const auto at = std::find_if(waiting_.begin(), waiting_.end(),
                                 [&](const Waiting& one) { return one.ticket == ticket; });
    if (at == waiting_.end()) return;
    std::list<Waiting> ended;
    ended.splice(ended.begin(), waiting_, at);
    OpenFile* const file = handles_.find(at->handle);
    if (error == 0) held_.set(at->node->id, at->lock);
    if (error == 0 && file != nullptr) file->lock_owners.note(at->lock);
    settled_gate_->wake_all();
    at->settled(error);
}

void Locks::cancel(LockTicket ticket, int error) {
    Waiting* const waiting = find(ticket);
    if (waiting == nullptr || waiting->cancelled != 0) return;
    waiting->cancelled = error;
    if (waiting->queued) interrupt(ticket);  // else ask() does so when it has the answer
}

/// Takes a wait back that was cancelled. Where the server has granted it already, the notice that
/// says so is on its way.
void Locks::interrupt(LockTicket ticket) {
    Call call(connection_, Opcode::interrupt, 0);
    call.put(protocol::InterruptIn{ticket});
    const int error = call.send();
    const Waiting* const waiting = find(ticket);
    if (error == ENOENT || waiting == nullptr) return;
    // A server that has been silent for too long may grant it after all. Then the lock ends with
    // its handle.
    OpenFile* const file = handles_.find(waiting->handle);
    if (error != 0 && file != nullptr) file->lock_owners.note(waiting->lock);
    settle(ticket, waiting->cancelled);
}

void Locks::end_waits() {
    while (!waiting_.empty()) settle(waiting_.front().ticket, EIO);
}

int Locks::present_locks() {
    for (const auto& [id, lock] : held_.all()) {
        const Node* const node = nodes_.find(id);
        if (node == nullptr) continue;
        const protocol::LkIn in = lock_request(*node, lock);
        protocol::Reader reply(nullptr, 0);
        const int error =
            connection_.ask_directly(Opcode::setlk, id, std::as_bytes(std::span(&in, 1)), reply);
        if (error == server_gone || error == EPROTO) return error;
    }
    return 0;
}

/// In the order in which they began, which is that in which the successor grants them.
int Locks::present_waits() {
    std::vector<LockTicket> tickets;
    for (const Waiting& one : waiting_) {
        if (one.queued) tickets.push_back(one.ticket);
    }
    for (const LockTicket ticket : tickets) {
        const Waiting* const waiting = find(ticket);
        if (waiting == nullptr) continue;
        if (waiting->cancelled != 0) {
            settle(ticket, waiting->cancelled);
            continue;
        }
        const NodeId node = waiting->node->id;
        const protocol::LkIn in = lock_request(*waiting->node, waiting->lock, ticket);
        protocol::Reader reply(nullptr, 0);
        const int error =
            connection_.ask_directly(Opcode::setlkw, node, std::as_bytes(std::span(&in, 1)), reply);
        if (error == server_gone || error == EPROTO) return error;
        if (error != 0) settle(ticket, error);
    }
    return 0;
}

void Locks::release_all(Handle handle) {
    for (;;) {
        const auto its = std::find_if(waiting_.begin(), waiting_.end(),
                                      [&](const Waiting& one) { return one.handle == handle; });
        if (its == waiting_.end()) break;
        const LockTicket ticket = its->ticket;
        cancel(ticket, EBADF);
        while (find(ticket) != nullptr) settled_gate_->wait();
    }
    LockOwners::Owner owner;
    for (;;) {
        OpenFile* const file = handles_.find(handle);
        if (file == nullptr || !file->lock_owners.take(owner)) return;
        const NodeId node = file->node->id;
        FileLock all;
        all.type = FileLock::Type::unlock;
        all.owner = owner.first;
        all.whole_file = owner.second;
        set(handle, all, false);
        held_.set(node, all);  // a file that is closed has no lock to come back to
    }
}

Result<FileLock> Locks::get(Handle handle, const FileLock& lock) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return Errno{EBADF};
    const NodeUse node(*file->node);
    FileLock found;
    const int error = with_open(*node, [&](std::uint64_t) MAY_YIELD {
        Call call(connection_, Opcode::getlk, node->id);
        call.put(lock_request(*node, lock));
        if (int answer = call.send()) return answer;
        found = lock_found(lock, call.get<protocol::LkOut>());
        return call.ok() ? 0 : EIO;
    });
    if (error != 0) return Errno{error};
    return found;
}

int AppendTurn::begin(std::uint64_t number) {
    while ((node_.appending || node_.state.recalled()) && connection_.usable()) {
        exchange_.wait_for_page();
    }
    node_.appending = mine_ = true;
    node_.append_lease = node_.state.leased();
    if (node_.append_lease) return 0;
    lock_.start = protocol::append_byte;
    lock_.length = 1;
    lock_.type = FileLock::Type::exclusive;
    lock_.owner = number | std::uint64_t{1} << 63;
    const int error = locks_.set(node_, lock_, true);
    locked_ = error == 0;
    return error;
}

int AppendTurn::end() {
    if (!locked_) return 0;
    lock_.type = FileLock::Type::unlock;
    return locks_.set(node_, lock_, false);
}

AppendTurn::~AppendTurn() {
    if (!mine_) return;
    node_.appending = node_.append_lease = false;
    exchange_.page_changed();
}

}  // namespace xenfs::client
