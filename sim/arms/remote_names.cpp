// Names.
#include "sim/arms/remote_fs.h"

namespace xenfs::sim {

using client::EntryCache;

/// Names of a directory are kept together: the clock starts at the first that was learnt since they
/// were last dropped (a kernel has one for each name).
bool RemoteFs::names_valid(NodeId directory) {
    Info& of = info(directory);
    if (options_.entry_timeout_ns > 0 && in_time(of.names_since, options_.entry_timeout_ns)) {
        return true;
    }
    of.names_since = clock_.now();
    return false;
}

Result<Attr> RemoteFs::lookup(NodeId parent, const Name& name) {
    // What finds nothing ends with its first request(s).
    const auto index = static_cast<std::size_t>(RemoteOp::lookup);
    ++stats_.operations[index];
    const auto body = [parent, text = std::string(name.text)](RemoteServer& server,
                                                              RemoteReply& reply) {
        server.lookup(parent, text, reply);
    };
    Call made;
    for (unsigned trip = 0; trip < protocol_.absent_trips; ++trip) {
        made = request(RemoteOp::lookup, name.text.size(), 0, trip == 0 ? body : Body{});
    }
    if (made->reply.error != 0) return Errno{made->reply.error};
    for (unsigned trip = protocol_.absent_trips; trip < protocol_.trips[index]; ++trip) {
        request(RemoteOp::lookup, 0, 0, {});
    }
    learn(made, false);
    Attr attr = made->reply.attr;
    attr.size = size_of(attr.node);
    return attr;
}

Result<Attr> RemoteFs::create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                              Owner who, std::string_view target, std::uint32_t rdev) {
    const Call made =
        call(RemoteOp::create, name.text.size() + target.size() + 16,
             [parent, text = std::string(name.text), type, mode, who, to = std::string(target),
              rdev](RemoteServer& server, RemoteReply& reply) {
                 const Name key{std::string_view(text)};
                 Result<NodeId> node = Errno{EINVAL};
                 if (type == FileType::directory) {
                     node = server.vfs().mkdir(parent, key, mode, who);
                 } else if (type == FileType::symlink) {
                     node = server.vfs().symlink(parent, key, to, who);
                 } else {
                     node = server.vfs().mknod(parent, key, type, mode, rdev, who);
                 }
                 reply.error = node.error();
                 if (node) server.getattr(*node, reply);
             });
    info(parent).expired = true;
    if (made->reply.error != 0) return Errno{made->reply.error};
    learn(made, true);
    return made->reply.attr;
}

Result<Attr> RemoteFs::link(NodeId node, NodeId parent, const Name& name) {
    const Call made = call(
        RemoteOp::link, name.text.size(),
        [node, parent, text = std::string(name.text)](RemoteServer& server, RemoteReply& reply) {
            const auto linked = server.vfs().link(node, parent, std::string_view(text));
            reply.error = linked.error();
            if (linked) server.getattr(node, reply);
        });
    info(parent).expired = true;
    if (made->reply.error != 0) return Errno{made->reply.error};
    learn(made, true);
    Attr attr = made->reply.attr;
    attr.size = size_of(node);
    return attr;
}

Result<Attr> RemoteFs::unlink(NodeId parent, const Name& name) {
    const Call made =
        call(RemoteOp::remove, name.text.size(),
             [parent, text = std::string(name.text)](RemoteServer& server, RemoteReply& reply) {
                 // The guest knows which node it was; the protocol does not say it.
                 const auto node = server.vfs().lookup(parent, std::string_view(text));
                 if (node) server.getattr(*node, reply);
                 reply.error = server.vfs().unlink(parent, std::string_view(text));
             });
    info(parent).expired = true;
    if (made->reply.error != 0) return Errno{made->reply.error};
    Attr attr = made->reply.attr;
    if (attr.links > 0) --attr.links;
    if (attr.links == 0 && !vfs_->is_open(attr.node)) {
        lost(attr.node);
    } else {
        Info& of = info(attr.node);
        of.attr.links = attr.links;
        of.expired = true;
    }
    return attr;
}

int RemoteFs::rmdir(NodeId parent, const Name& name) {
    const NodeId node = vfs_->names().find(parent, name);
    const Call made =
        call(RemoteOp::remove, name.text.size(),
             [parent, text = std::string(name.text)](RemoteServer& server, RemoteReply& reply) {
                 reply.error = server.vfs().rmdir(parent, std::string_view(text));
             });
    info(parent).expired = true;
    if (made->reply.error == 0 && node != EntryCache::unknown && node != EntryCache::negative) {
        info(node) = Info{};
    }
    return made->reply.error;
}

int RemoteFs::rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                     const Name& new_name, std::uint32_t flags) {
    const NodeId moved = vfs_->names().find(old_parent, old_name);
    const NodeId replaced = vfs_->names().find(new_parent, new_name);
    const auto is_node = [](NodeId node) {
        return node != EntryCache::unknown && node != EntryCache::negative;
    };
    const Call made = call(RemoteOp::rename, old_name.text.size() + new_name.text.size(),
                           [=, from = std::string(old_name.text), to = std::string(new_name.text)](
                               RemoteServer& server, RemoteReply& reply) {
                               reply.error =
                                   server.vfs().rename(old_parent, std::string_view(from),
                                                       new_parent, std::string_view(to), flags);
                           });
    info(old_parent).expired = info(new_parent).expired = true;
    if (made->reply.error != 0) return made->reply.error;
    if (is_node(moved)) info(moved).expired = true;
    if (is_node(replaced) && replaced != moved) {
        Info& of = info(replaced);
        of.expired = true;
        if (flags == 0 && of.attr.links == 1 && !vfs_->is_open(replaced)) lost(replaced);
    }
    return 0;
}

Result<std::vector<DirEntry>> RemoteFs::readdir(NodeId directory, std::uint64_t offset,
                                                std::size_t max_entries) {
    const Call made =
        call(RemoteOp::readdir, 0,
             [directory, offset, max_entries](RemoteServer& server, RemoteReply& reply) {
                 auto entries = server.vfs().readdir(directory, offset, max_entries);
                 reply.error = entries.error();
                 if (!entries) return;
                 reply.entries = std::move(*entries);
                 for (const DirEntry& entry : reply.entries) {
                     reply.payload_bytes += 24 + entry.name.size();
                 }
             });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return std::move(made->reply.entries);
}

Result<std::string> RemoteFs::readlink(NodeId node) {
    const Call made = call(RemoteOp::readlink, 0, [node](RemoteServer& server, RemoteReply& reply) {
        auto target = server.vfs().readlink(node);
        reply.error = target.error();
        if (target) reply.text = *target;
        reply.payload_bytes = reply.text.size();
    });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return made->reply.text;
}

}  // namespace xenfs::sim
