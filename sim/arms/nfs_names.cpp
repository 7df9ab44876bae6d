#include "sim/arms/nfs_fs.h"

namespace xenfs::sim {

using client::EntryCache;

/// Cached names are good while the directory's mtime is the one that they were learnt under, and
/// that is asked for again when trust in it runs out.
bool NfsFs::names_valid(NodeId directory) {
    if (!trusted(info(directory))) {
        ++stats_.revalidations;
        if (ask(directory) != 0) return false;
    }
    if (check_access(directory) != 0) return false;
    Info& of = info(directory);
    if (of.names_mtime == of.attr.mtime) return true;
    of.names_mtime = of.attr.mtime;
    return false;
}

Result<Attr> NfsFs::lookup(NodeId parent, const Name& name) {
    if (const int error = check_access(parent)) return Errno{error};
    const Call made =
        call(NfsProcedure::lookup, name.text.size(),
             [parent, text = std::string(name.text)](NfsServer& server, NfsReply& reply) {
                 server.lookup(parent, text, reply);
             });
    const NfsReply& reply = made->reply;
    if (reply.error == 0 || reply.error == ENOENT) learn_directory(parent, reply, false);
    if (reply.error != 0) return Errno{reply.error};
    learn(reply.attr, false);
    info(reply.attr.node).fresh = true;
    return info(reply.attr.node).attr;
}

Result<Attr> NfsFs::create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                           Owner who, std::string_view target, std::uint32_t rdev) {
    const Call made = call(NfsProcedure::create, name.text.size() + target.size() + 64,
                           [parent, text = std::string(name.text), type, mode, who,
                            to = std::string(target), rdev](NfsServer& server, NfsReply& reply) {
                               server.create(parent, text, type, mode, who, to, rdev, reply);
                           });
    const NfsReply& reply = made->reply;
    learn_directory(parent, reply, true);
    if (reply.error != 0) return Errno{reply.error};
    learn(reply.attr, true);
    Info& of = info(reply.attr.node);
    of.fresh = of.access = true;
    return of.attr;
}

Result<Attr> NfsFs::link(NodeId node, NodeId parent, const Name& name) {
    const Call made =
        call(NfsProcedure::link, name.text.size(),
             [node, parent, text = std::string(name.text)](NfsServer& server, NfsReply& reply) {
                 server.link(node, parent, text, reply);
             });
    const NfsReply& reply = made->reply;
    learn_directory(parent, reply, true);
    if (reply.error != 0) return Errno{reply.error};
    learn(reply.attr, true);
    return info(node).attr;
}

Result<Attr> NfsFs::unlink(NodeId parent, const Name& name) {
    NodeId node = vfs_->names().find(parent, name);
    if (node == EntryCache::unknown) {
        const Result<Attr> found = lookup(parent, name);
        if (!found) return found;
        node = found->node;
    }
    if (node != EntryCache::negative && vfs_->is_open(node) && info(node).silly.empty() &&
        info(node).attr.links == 1) {
        // An open file's last name is not removed but changed, to one that nobody looks for; it
        // goes with the last close.
        const std::string silly = ".nfs" + std::to_string(node);
        const int error = rename(parent, name, parent, std::string_view(silly), 0);
        if (error != 0) return Errno{error};
        ++stats_.silly_renames;
        Info& of = info(node);
        of.silly = silly;
        of.silly_parent = parent;
        return of.attr;
    }
    const Call made =
        call(NfsProcedure::remove, name.text.size(),
             [parent, text = std::string(name.text)](NfsServer& server, NfsReply& reply) {
                 server.remove(parent, text, false, reply);
             });
    const NfsReply& reply = made->reply;
    learn_directory(parent, reply, true);
    if (reply.error != 0) return Errno{reply.error};
    learn(reply.attr, true);
    if (reply.attr.links == 0) info(reply.attr.node).trust = 0;
    return reply.attr;
}

int NfsFs::rmdir(NodeId parent, const Name& name) {
    const Call made =
        call(NfsProcedure::remove, name.text.size(),
             [parent, text = std::string(name.text)](NfsServer& server, NfsReply& reply) {
                 server.remove(parent, text, true, reply);
             });
    learn_directory(parent, made->reply, true);
    const NodeId node = vfs_->names().find(parent, name);
    if (made->reply.error == 0 && node != EntryCache::unknown && node != EntryCache::negative) {
        info(node).trust = 0;
    }
    return made->reply.error;
}

int NfsFs::rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
                  std::uint32_t flags) {
    NodeId moved = vfs_->names().find(old_parent, old_name);
    if (moved == EntryCache::unknown) {  // Linux walks to it before it renames
        const Result<Attr> found = lookup(old_parent, old_name);
        if (!found) return found.error();
        moved = found->node;
    }
    if (moved == EntryCache::negative) return ENOENT;
    const NodeId replaced = vfs_->names().find(new_parent, new_name);
    const bool known = replaced != EntryCache::unknown && replaced != EntryCache::negative;
    if (known && flags == 0 && replaced != moved && vfs_->is_open(replaced) &&
        info(moved).attr.type != FileType::directory &&
        info(replaced).attr.type != FileType::directory && info(replaced).attr.links == 1) {
        const Result<Attr> aside = unlink(new_parent, new_name);
        if (!aside && aside.error() != ENOENT) return aside.error();
    }
    const Call made = call(NfsProcedure::rename, old_name.text.size() + new_name.text.size(),
                           [=, from = std::string(old_name.text), to = std::string(new_name.text)](
                               NfsServer& server, NfsReply& reply) {
                               server.rename(old_parent, from, new_parent, to, flags, reply);
                           });
    learn_directory(new_parent, made->reply, true);
    if (old_parent != new_parent) {
        // Its change is our own, but the reply tells of the other directory only.
        vfs_->names().forget_directory(old_parent);
        info(old_parent).trust = 0;
        info(old_parent).names_mtime.reset();
    }
    // Times and link counts of the files concerned have changed.
    if (known) info(replaced).trust = 0;
    info(moved).trust = 0;
    return made->reply.error;
}

Result<std::vector<DirEntry>> NfsFs::readdir(NodeId directory, std::uint64_t offset,
                                             std::size_t max_entries) {
    if (const int error = check_access(directory)) return Errno{error};
    const Call made = call(NfsProcedure::readdir, 0,
                           [directory, offset, max_entries](NfsServer& server, NfsReply& reply) {
                               server.readdir(directory, offset, max_entries, reply);
                           });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return std::move(made->reply.entries);
}

Result<std::string> NfsFs::readlink(NodeId node) {
    const Call made = call(NfsProcedure::readlink, 0, [node](NfsServer& server, NfsReply& reply) {
        server.readlink(node, reply);
    });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return made->reply.text;
}

}  // namespace xenfs::sim
