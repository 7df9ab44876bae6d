// What is known of nodes for how long; locks; extended attributes.
#include <algorithm>

#include "sim/arms/remote_fs.h"

namespace xenfs::sim {

RemoteFs::Info& RemoteFs::info(NodeId node) {
    if (node >= infos_.size()) infos_.resize(node + node / 2 + 64);
    if (!infos_[node]) infos_[node] = std::make_unique<Info>();
    return *infos_[node];
}

bool RemoteFs::in_time(Nanoseconds since, Nanoseconds timeout) const {
    return timeout == host::forever || clock_.now() < since + timeout;
}

/// Attributes came from the server. A change that is not our own makes cached pages stale.
void RemoteFs::learn(const Call& call, bool own_change) {
    const Attr& attr = call->reply.attr;
    Info& of = info(attr.node);
    const bool other = of.known && (attr.mtime != of.attr.mtime || attr.size != of.attr.size);
    // While something of it is not at the server, the guest's own idea of size and data stands.
    const bool writing = of.writes > 0 || (of.local_end > 0 && vfs_->pages().dirty(attr.node));
    if (other && !own_change && !of.expired && !writing && !options_.keep_pages_at_open &&
        attr.type == FileType::regular && vfs_->pages().has_pages(attr.node)) {
        ++stats_.pages_stale;
        vfs_->pages().invalidate(attr.node);
    }
    // An answer to what was asked before the last write ended may be older than that.
    if (!writing && (own_change || call->number > of.written)) of.local_end = 0;
    of.attr = attr;
    of.known = true;
    of.expired = false;
    of.fetched = clock_.now();
}

int RemoteFs::ask(NodeId node) {
    ++stats_.attributes_asked;
    const Call made = call(RemoteOp::getattr, 0, [node](RemoteServer& server, RemoteReply& reply) {
        server.getattr(node, reply);
    });
    if (made->reply.error == 0) learn(made, false);
    if (made->reply.error == ESTALE) lost(node);
    return made->reply.error;
}

void RemoteFs::lost(NodeId node) {
    vfs_->pages().forget(node);
    info(node) = Info{};
}

Result<Attr> RemoteFs::getattr(NodeId node) {
    const Info& of = info(node);
    if (!of.known || of.expired || !in_time(of.fetched, options_.attribute_timeout_ns)) {
        if (const int error = ask(node)) return Errno{error};
    }
    Attr attr = info(node).attr;
    attr.size = size_of(node);
    return attr;
}

Result<Attr> RemoteFs::setattr(NodeId node, const SetAttr& change) {
    const bool cut = (change.valid & SetAttr::size_) != 0;
    if (cut) {
        // What is dirty goes first, so that no late write makes the file longer again.
        if (const int error = vfs_->pages().flush(node)) return Errno{error};
    }
    const Call made =
        call(RemoteOp::setattr, 64, [node, change](RemoteServer& server, RemoteReply& reply) {
            const auto attr = server.vfs().setattr(node, change);
            reply.error = attr.error();
            if (attr) reply.attr = *attr;
        });
    if (made->reply.error != 0) return Errno{made->reply.error};
    if (cut) info(node).local_end = 0;
    learn(made, true);
    return made->reply.attr;
}

Result<StatFs> RemoteFs::statfs() {
    return call(RemoteOp::statfs, 0,
                [](RemoteServer& server, RemoteReply& reply) {
                    reply.statfs = *server.vfs().statfs();
                })
        ->reply.statfs;
}

Result<std::string> RemoteFs::getxattr(NodeId node, std::string_view name) {
    const Call made =
        call(RemoteOp::xattr, name.size(),
             [node, key = std::string(name)](RemoteServer& server, RemoteReply& reply) {
                 auto value = server.vfs().getxattr(node, key);
                 reply.error = value.error();
                 if (value) reply.text = *value;
                 reply.payload_bytes = reply.text.size();
             });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return made->reply.text;
}

int RemoteFs::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    return call(RemoteOp::xattr, name.size() + value.size(),
                [node, key = std::string(name), text = std::string(value), flags](
                    RemoteServer& server, RemoteReply& reply) {
                    reply.error = server.vfs().setxattr(node, key, text, flags);
                })
        ->reply.error;
}

Result<std::vector<std::string>> RemoteFs::listxattr(NodeId node) {
    const Call made = call(RemoteOp::xattr, 0, [node](RemoteServer& server, RemoteReply& reply) {
        auto names = server.vfs().listxattr(node);
        reply.error = names.error();
        if (names) reply.names = *names;
        for (const std::string& name : reply.names) reply.payload_bytes += name.size() + 1;
    });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return made->reply.names;
}

int RemoteFs::removexattr(NodeId node, std::string_view name) {
    return call(RemoteOp::xattr, name.size(),
                [node, key = std::string(name)](RemoteServer& server, RemoteReply& reply) {
                    reply.error = server.vfs().removexattr(node, key);
                })
        ->reply.error;
}

/// At the server, owners of different guests are different: the guest's number is mixed in.
int RemoteFs::set_lock(NodeId node, const files::FileLock& lock, bool may_wait) {
    if (options_.local_locks) {
        while (!own_locks_.set(node, lock)) {
            if (!may_wait) return EAGAIN;
            unlocked_->wait();
        }
        if (lock.type != files::FileLock::Type::exclusive) unlocked_->wake_all();
        return 0;
    }
    files::FileLock wanted = lock;
    wanted.owner ^= std::uint64_t{guest_.id()} << 48;
    for (;;) {
        const Call made =
            call(RemoteOp::lock, 64, [node, wanted](RemoteServer& server, RemoteReply& reply) {
                if (!server.locks().set(node, wanted)) reply.error = EAGAIN;
            });
        if (made->reply.error != EAGAIN || !may_wait) return made->reply.error;
        clock_.sleep(lock_retry_ns_);
    }
}

Result<files::FileLock> RemoteFs::get_lock(NodeId node, const files::FileLock& lock) {
    if (options_.local_locks) return own_locks_.conflict(node, lock);
    files::FileLock wanted = lock;
    wanted.owner ^= std::uint64_t{guest_.id()} << 48;
    files::FileLock found =
        call(RemoteOp::lock, 64, [node, wanted](RemoteServer& server, RemoteReply& reply) {
            reply.lock = server.locks().conflict(node, wanted);
        })->reply.lock;
    found.owner ^= std::uint64_t{guest_.id()} << 48;
    return found;
}

void RemoteFs::drop_locks(NodeId node, std::uint64_t owner, bool whole_file) {
    if (options_.local_locks) {
        if (own_locks_.drop(node, owner, whole_file)) unlocked_->wake_all();
        return;
    }
    const std::uint64_t there = owner ^ (std::uint64_t{guest_.id()} << 48);
    call(RemoteOp::lock, 64, [node, there, whole_file](RemoteServer& server, RemoteReply&) {
        server.locks().drop(node, there, whole_file);
    });
}

void RemoteFs::drop_caches() {
    for (auto& of : infos_) {
        if (of) of->expired = true;
    }
}

Counters RemoteFs::counters() const {
    const std::string prefix = protocol_.name + "_";
    Counters counters = {{prefix + "requests", stats_.requests},
                         {"remote_hypercalls", 2 * stats_.requests},
                         {prefix + "attributes_asked", stats_.attributes_asked},
                         {prefix + "files_stale", stats_.pages_stale},
                         {prefix + "ring_waits", stats_.ring_waits},
                         {prefix + "ring_bytes_copied", stats_.bytes_copied},
                         {prefix + "daemon_wakes", server_.stats().wakes},
                         {prefix + "bytes_in", server_.stats().bytes_in},
                         {prefix + "bytes_out", server_.stats().bytes_out}};
    for (std::size_t i = 0; i < remote_ops; ++i) {
        counters.emplace_back(prefix + remote_op_names[i], stats_.operations[i]);
    }
    return counters;
}

}  // namespace xenfs::sim
