// O_APPEND: where the end of the file is, is decided and written to in one go, whoever else
// appends. In this guest one task at a time appends to a file. Under the exclusive lease that is
// all; a recall waits for it. Without the lease, guests exclude each other by a lock at the server.
#include "model/client/client.h"

namespace xenfs::client {

Result<std::size_t> Client::append(Node& node, Buffer from, bool sync) {
    while ((node.appending || (node.lease && node.recalled)) && connection_.usable()) {
        wait_for_page();
    }
    struct Turn {
        Client& client;
        Node& node;
        Turn(Client& c, Node& n) : client(c), node(n) { node.appending = true; }
        ~Turn() {
            node.appending = node.append_lease = false;
            client.wake_page_waiters();
        }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
    } const turn(*this, node);
    node.append_lease = node.lease;
    FileLock lock;
    lock.start = protocol::append_byte;
    lock.length = 1;
    lock.type = FileLock::Type::exclusive;
    lock.owner = ++appends_ | std::uint64_t{1} << 63;
    const bool locked = !node.lease;
    if (locked) {
        if (int error = lock_node(node, lock, true)) return Errno{error};
    }
    int error = need_size(node);
    Result<std::size_t> done =
        error != 0 ? Result<std::size_t>(Errno{error}) : write_at(node, node.attr.size, from, sync);
    if (locked) {
        lock.type = FileLock::Type::unlock;
        error = lock_node(node, lock, false);
        if (error != 0 && !done) return Errno{error};
    }
    return done;
}

}  // namespace xenfs::client
