// Locks lie at the server: fcntl's by byte range, flock's by file.
#include <algorithm>

#include "model/client/client.h"

namespace xenfs::client {

namespace {

protocol::LkIn lock_request(const Node& node, const FileLock& lock) {
    protocol::LkIn in{};
    in.fh = node.fh_valid ? node.fh : 0;
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

}  // namespace

/// Takes a lock again that the successor of a server cannot know.
int Client::present_lock(const Node& node, const FileLock& lock) {
    const protocol::LkIn in = lock_request(node, lock);
    protocol::Reader reply(nullptr, 0);
    return connection_.speak(protocol::Opcode::setlk, node.id, std::as_bytes(std::span(&in, 1)),
                             reply);
}

int Client::lock_node(Node& node, const FileLock& lock, bool wait) {
    Nanoseconds pause = 1'000'000;
    for (;;) {
        // A wait occupies a slot at the server until the lock is free; half of them may be so used.
        const bool park = wait && 2 * waiting_locks_ < config_.slots;
        const auto opcode = park ? protocol::Opcode::setlkw : protocol::Opcode::setlk;
        int error;
        const std::uint64_t fh = node.fh;
        {
            Call call(connection_, opcode, node.id);
            call.put(lock_request(node, lock));
            waiting_locks_ += park ? 1 : 0;
            error = call.send();
            waiting_locks_ -= park ? 1 : 0;
        }
        // Another task's open has replaced the one at the server meanwhile.
        if (error == EBADF && node.fh_valid && node.fh != fh) continue;
        if (error == EAGAIN && wait && !park) {
            clock_.sleep(pause);
            pause = std::min<Nanoseconds>(2 * pause, 100'000'000);
            continue;
        }
        return error;
    }
}

int Client::set_lock(Handle handle, const FileLock& lock, bool wait) {
    clock_.charge(costs_.syscall);
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    Node& node = *file->node;
    NodeUse use(node);
    const int error = lock_node(node, lock, wait);
    if (file = handles_.find(handle); error == 0 && file != nullptr) file->remember(lock);
    if (error == 0 && lock.type != FileLock::Type::unlock) {
        const std::pair<std::uint64_t, bool> owner{lock.owner, lock.whole_file};
        if (file != nullptr && std::find(file->lock_owners.begin(), file->lock_owners.end(),
                                         owner) == file->lock_owners.end()) {
            file->lock_owners.push_back(owner);
        }
    }
    return error;
}

Result<FileLock> Client::get_lock(Handle handle, const FileLock& lock) {
    clock_.charge(costs_.syscall);
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return Errno{EBADF};
    Node& node = *file->node;
    NodeUse use(node);
    for (;;) {
        const std::uint64_t fh = node.fh;
        Call call(connection_, protocol::Opcode::getlk, node.id);
        call.put(lock_request(node, lock));
        const int error = call.send();
        if (error == EBADF && node.fh_valid && node.fh != fh) continue;
        if (error != 0) return Errno{error};
        const auto out = call.get<protocol::LkOut>();
        if (!call.ok()) return Errno{EIO};
        FileLock found = lock;
        found.type = out.lk.type == protocol::lock_read    ? FileLock::Type::shared
                     : out.lk.type == protocol::lock_write ? FileLock::Type::exclusive
                                                           : FileLock::Type::unlock;
        found.owner = 0;  // not told
        found.pid = out.lk.pid;
        found.start = out.lk.start;
        found.length = out.lk.end >= protocol::lock_to_end ? 0 : out.lk.end - out.lk.start + 1;
        return found;
    }
}

}  // namespace xenfs::client
