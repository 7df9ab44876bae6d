#include "model/client/locks.h"

#include <algorithm>

namespace xenfs::client {

using protocol::Opcode;

namespace {

protocol::LkIn lock_request(const Node& node, const FileLock& lock) {
    protocol::LkIn in{};
    in.fh = node.open.fh();
    in.owner = lock.owner;
    in.lk.start = lock.start;
    in.lk.end = lock.length == 0 ? protocol::lock_to_end : lock.start + lock.length - 1;
    in.lk.type = lock.type == FileLock::Type::shared      ? protocol::lock_read
                 : lock.type == FileLock::Type::exclusive ? protocol::lock_write
                                                          : protocol::lock_unlock;
    in.lk.pid = lock.pid;
    in.lk_flags = lock.whole_file ? protocol::lk_flock : 0;
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

int Locks::present(const Node& node, const FileLock& lock) {
    const protocol::LkIn in = lock_request(node, lock);
    protocol::Reader reply(nullptr, 0);
    return connection_.ask_directly(Opcode::setlk, node.id, std::as_bytes(std::span(&in, 1)),
                                    reply);
}

int Locks::set(Node& node, const FileLock& lock, bool wait) {
    Nanoseconds pause = 1'000'000;
    for (;;) {
        // A wait occupies a slot until the lock is free; half of them may be so used, and never the
        // last one, by which the lock's holder lets go of it.
        const bool waits =
            wait && 2 * waiting_ < config_.slots && waiting_ + 1 < connection_.ordinary_slots();
        const int error = with_open(node, [&](std::uint64_t) MAY_YIELD {
            Call call(connection_, waits ? Opcode::setlkw : Opcode::setlk, node.id);
            call.put(lock_request(node, lock));
            waiting_ += waits ? 1 : 0;
            const int answer = call.send();
            waiting_ -= waits ? 1 : 0;
            return answer;
        });
        if (error != EAGAIN || !wait || waits) return error;
        clock_.sleep(pause);
        pause = std::min<Nanoseconds>(2 * pause, 100'000'000);
    }
}

int Locks::set(Handle handle, const FileLock& lock, bool wait) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    const NodeUse node(*file->node);
    const int error = set(*node, lock, wait);
    if (error != 0) return error;
    if (OpenFile* const still = handles_.find(handle)) {
        still->locks.remember(lock);
        return 0;
    }
    // The file was closed meanwhile, so nothing would end the lock.
    if (lock.type == FileLock::Type::unlock) return 0;
    FileLock undo = lock;
    undo.type = FileLock::Type::unlock;
    set(*node, undo, false);
    return EBADF;
}

void Locks::release_all(Handle handle) {
    HeldLocks::Owner owner;
    for (;;) {
        OpenFile* const file = handles_.find(handle);
        if (file == nullptr || !file->locks.take_owner(owner)) return;
        FileLock all;
        all.type = FileLock::Type::unlock;
        all.owner = owner.first;
        all.whole_file = owner.second;
        set(handle, all, false);
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
