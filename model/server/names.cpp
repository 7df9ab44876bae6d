#include "model/server/names.h"

#include <algorithm>

#include "model/server/convert.h"
#include "model/server/texts.h"

namespace xenfs::server {

using host::FileType;
using protocol::check_name;

void Names::entry_changed(Acks& acks, Connection& by, NodeId parent, std::string_view name) {
    const Inodes::Index index = inodes_.find(parent);
    if (index == Inodes::none) return;
    InodeUse directory(inodes_, index);
    directory->attr_valid = false;
    coherence_.entry_changed(acks, *directory, &by, name);
}

void Names::reply_entry(Request& q, Inode& inode, const host::Attr& attr) {
    const bool cacheable = coherence_.hold(inode, q.client);
    protocol::EntryOut out{};
    out.nodeid = inode.node;
    out.entry_valid = out.attr_valid = cacheable ? protocol::valid_until_notice : 0;
    out.attr = to_wire(attr);
    q.reply.put(out);
}

/// Whether a file is kept though it has no name.
bool Names::lost_last_name(NodeId node) const {
    const Inodes::Index index = inodes_.find(node);
    return index != Inodes::none && inodes_[index].nameless_until != 0;
}

int Names::lookup(Request& q) {
    const auto name = q.args.get_string();
    if (!q.args.finished()) return EINVAL;
    if (int e = check_name(name)) return e;
    InodeUse parent(inodes_, q.header.nodeid);
    const bool held = parent->believers.holders().contains(q.client.index);
    const bool cacheable = coherence_.hold(*parent, q.client);
    std::uint64_t asked = attributes_.moment();
    auto found = storage_.lookup(parent->node, name);
    while (found && found->links != 0 && lost_last_name(found->node)) {
        asked = attributes_.moment();  // the name was taken from it meanwhile
        found = storage_.lookup(parent->node, name);
    }
    if (!found) {
        // It stays a holder if it was one: it may have been told of other names.
        if (found.error() != ENOENT) {
            if (!held) coherence_.unhold(*parent, q.client);
            return found.error();
        }
        protocol::EntryOut out{};
        out.entry_valid = cacheable ? protocol::valid_until_notice : 0;
        q.reply.put(out);
        return 0;
    }
    InodeUse child(inodes_, found->node);
    if (!child->attr_valid) attributes_.learn(*child, *found, asked);
    if (coherence_.recall(q, *child, child.index()) != 0) return parked;
    const bool child_cacheable = coherence_.hold(*child, q.client);
    const auto attr = attributes_.attributes(*child);
    if (!attr) return attr.error();
    protocol::EntryOut out{};
    out.nodeid = child->node;
    out.entry_valid = cacheable ? protocol::valid_until_notice : 0;
    out.attr_valid = child_cacheable ? protocol::valid_until_notice : 0;
    out.attr = to_wire(*attr);
    q.reply.put(out);
    return 0;
}

int Names::make_node(Request& q, FileType type, std::uint32_t mode, std::uint32_t umask,
                     std::uint32_t rdev, std::string_view name, std::string_view target) {
    if (!q.args.finished()) return EINVAL;
    if (int e = check_name(name)) return e;
    const std::optional<Replay> before = changes_.replay(q);
    if (!before) changes_.intend_new(q, name);
    const std::uint64_t asked = attributes_.moment();
    const auto made = before ? storage_.getattr(before->node)
                             : storage_.create(q.header.nodeid, name, type, mode & 07777,
                                               {q.header.uid, q.header.gid, umask}, target, rdev);
    if (!made) return made.error();
    changes_.done(q, made->node);
    InodeUse inode(inodes_, made->node);
    attributes_.learn(*inode, *made, asked);
    if (!before) made_by(*inode, q.client);
    {
        InodeUse parent(inodes_, q.header.nodeid);
        coherence_.hold(*parent, q.client);
    }
    entry_changed(q.acks, q.client, q.header.nodeid, name);
    reply_entry(q, *inode, inode->attr);
    return 0;
}

int Names::mknod(Request& q) {
    const auto in = q.args.get<protocol::MknodIn>();
    const auto name = q.args.get_string();
    for (const FileType type : {FileType::regular, FileType::fifo, FileType::socket,
                                FileType::block, FileType::character}) {
        if ((in.mode & 0170000u) == type_bits(type)) {
            return make_node(q, type, in.mode, in.umask, in.rdev, name, {});
        }
    }
    return EINVAL;
}

int Names::mkdir(Request& q) {
    const auto in = q.args.get<protocol::MkdirIn>();
    const auto name = q.args.get_string();
    return make_node(q, FileType::directory, in.mode, in.umask, 0, name, {});
}

int Names::symlink(Request& q) {
    const auto name = q.args.get_string();
    const auto target = q.args.get_string();
    if (q.args.finished()) {
        if (target.empty()) return ENOENT;
        return make_node(q, FileType::symlink, 0777, 0, 0, name, target);
    }
    const auto use = q.args.get<protocol::TextUse>();
    if (!q.args.finished() || !target.empty()) return EINVAL;
    const auto text = Texts::take(q, use.size);
    // The text went with a dead server, which may have made the link before.
    if (!text && !changes_.replay(q)) return EAGAIN;
    return make_node(q, FileType::symlink, 0777, 0, 0, name, text ? *text : std::string_view{});
}

int Names::link(Request& q) {
    const auto in = q.args.get<protocol::LinkIn>();
    const auto name = q.args.get_string();
    if (!q.args.finished()) return EINVAL;
    if (int e = check_name(name)) return e;
    InodeUse inode(inodes_, in.oldnodeid);
    if (coherence_.recall(q, *inode, inode.index()) != 0) return parked;
    const std::optional<Replay> before = changes_.replay(q);
    if (!before) changes_.intend_new(q, name, in.oldnodeid);
    const std::uint64_t asked = attributes_.moment();
    files_.begin_link(*inode);
    const auto linked = before ? storage_.getattr(in.oldnodeid)
                               : storage_.link(in.oldnodeid, q.header.nodeid, name);
    files_.end_link(*inode);
    if (!linked) return linked.error();
    ++links_made_;
    changes_.done(q, in.oldnodeid);
    attributes_.learn_change(*inode, *linked, asked);
    inode->attr.links = std::max(inode->attr.links, linked->links);
    files_.named_again(*inode);
    {
        InodeUse parent(inodes_, q.header.nodeid);
        coherence_.hold(*parent, q.client);
    }
    coherence_.node_changed(q.acks, *inode, &q.client);
    entry_changed(q.acks, q.client, q.header.nodeid, name);
    reply_entry(q, *inode, inode->attr);
    return 0;
}

/// What the file is now that has lost a name; no links where it is gone.
Result<host::Attr> Names::attr_left(NodeId node) {
    const auto left = storage_.getattr(node);
    if (left) return left;
    host::Attr none;
    none.node = node;
    return none;
}

int Names::unlink(Request& q) {
    const auto name = q.args.get_string();
    if (!q.args.finished()) return EINVAL;
    if (int e = check_name(name)) return e;
    const std::optional<Replay> before = changes_.replay(q);
    if (journal_->outlives() && !before) {
        const auto there = storage_.lookup(q.header.nodeid, name);
        if (there) changes_.intend(q, {.name = name, .node = there->node});
    }
    const std::uint64_t linked = links_made_;
    const auto gone = before ? attr_left(before->node) : storage_.unlink(q.header.nodeid, name);
    if (!gone) return gone.error();
    changes_.done(q, gone->node);
    name_gone(q, name, *gone, !before && gone->links == 0, linked);
    const InodeUse inode(inodes_, gone->node);
    reply_gone(q, before ? nullptr : &*inode);
    return 0;
}

/// Another client may have found the file before its maker's request went on.
void Names::made_by(Inode& inode, const Connection& c) {
    if (inode.believers.holders().empty()) inode.sole = c.index;
}

/// `gone` is the file that has lost a name; null: nothing is known of it.
void Names::reply_gone(Request& q, const Inode* gone) {
    protocol::NameGoneOut out{};
    const bool last = gone != nullptr && gone->attr.links == 0;
    if (last && gone->sole == q.client.index) out.flags = protocol::gone_unknown_to_others;
    q.reply.put(out);
}

/// A file's name was taken away from the request's directory. `gone` is what the file is now;
/// `pinned` says that it was the last name, and that the storage keeps the file.
void Names::name_gone(Request& q, std::string_view name, const host::Attr& gone, bool pinned,
                      std::uint64_t linked) {
    entry_changed(q.acks, q.client, q.header.nodeid, name);
    InodeUse inode(inodes_, gone.node);
    if (inode->attr_valid) inode->attr.ctime = std::max(inode->attr.ctime, gone.ctime);
    if (gone.links != 0 || !inode->openers.empty()) {
        coherence_.node_changed(q.acks, *inode, &q.client);
    }
    lost_name(inode, gone.links, pinned, linked);
}

/// `linked` is the count of links that had been made before the storage was asked to take the name:
/// where there are more by now, one may be this file's, which has a name again.
void Names::lost_name(InodeUse& inode, std::uint32_t links, bool pinned, std::uint64_t linked) {
    if (links_made_ != linked) {
        const auto now = storage_.getattr(inode->node);
        if (now) links = now->links;
    } else if (inode->nameless_until != 0) {
        links = 0;  // whoever took another name of it before us was heard after us
    }
    inode->attr.links = links;
    inodes_.changed(*inode);
    if (!pinned) {
        files_.let_go(*inode);
    } else if (links == 0) {
        files_.keep_nameless(*inode, inode.index());
    } else {
        storage_.close_node(inode->node);
    }
}

int Names::rmdir(Request& q) {
    const auto name = q.args.get_string();
    if (!q.args.finished()) return EINVAL;
    if (int e = check_name(name)) return e;
    const std::optional<Replay> before = changes_.replay(q);
    const auto target = before ? attr_left(before->node) : storage_.lookup(q.header.nodeid, name);
    if (!target) return target.error();
    NodeId gone = target->node;
    if (!before) {
        changes_.intend(q, {.name = name, .node = gone});
        const auto removed = storage_.rmdir(q.header.nodeid, name);
        if (!removed) return removed.error();
        gone = *removed;
        changes_.done(q, gone);
    }
    entry_changed(q.acks, q.client, q.header.nodeid, name);
    InodeUse inode(inodes_, gone);
    inode->attr_valid = false;
    coherence_.node_changed(q.acks, *inode, &q.client);
    lost_name(inode, 0, !before, links_made_);
    reply_gone(q, nullptr);
    return 0;
}

int Names::readlink(Request& q) {
    const bool as_text = q.args.left() != 0;
    if (as_text) q.args.get<protocol::TextIn>();
    if (!q.args.finished()) return EINVAL;
    auto target = storage_.readlink(q.header.nodeid);
    if (!target) return target.error();
    if (as_text) return Texts::answer(q, std::move(*target));
    if (target->size() > q.reply.room()) return ENAMETOOLONG;
    q.reply.put_bytes(*target);
    return 0;
}

int Names::readdir(Request& q) {
    const auto in = q.args.get<protocol::ReadIn>();
    if (!q.args.finished()) return EINVAL;
    if (in.fh != 0) {
        const auto file = files_.find(q.client, in.fh);
        if (!file || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    }
    InodeUse directory(inodes_, q.header.nodeid);
    coherence_.hold(*directory, q.client);
    const std::size_t room = std::min<std::size_t>(in.size, q.reply.room());
    const auto entries =
        storage_.readdir(directory->node, in.offset, room / protocol::dirent_size(1) + 1);
    if (!entries) return entries.error();
    std::size_t used = 0;
    for (const host::DirEntry& entry : *entries) {
        const std::size_t size = protocol::dirent_size(entry.name.size());
        if (used + size > room) {
            if (used == 0) return EINVAL;  // as the kernel's getdents: the buffer is too small
            break;
        }
        used += size;
        const protocol::Dirent out{entry.node, entry.next,
                                   static_cast<std::uint32_t>(entry.name.size()),
                                   type_bits(entry.type) >> 12};
        q.reply.put(out);
        q.reply.put_bytes(entry.name);
        constexpr std::string_view zeros("\0\0\0\0\0\0\0", 7);
        q.reply.put_bytes(zeros.substr(0, size - sizeof out - entry.name.size()));
    }
    return 0;
}

int Names::create(Request& q) {
    const auto in = q.args.get<protocol::CreateIn>();
    const auto name = q.args.get_string();
    if (!q.args.finished()) return EINVAL;
    if (int e = check_name(name)) return e;
    // Made by a predecessor, or before this request was parked.
    const std::optional<Replay> before = changes_.replay(q);
    const bool parked_before = q.made != 0;
    const NodeId known = before ? before->node : q.made;
    if (known == 0) changes_.intend_new(q, name);
    const std::uint64_t asked = attributes_.moment();
    auto made = known != 0
                    ? storage_.getattr(known)
                    : storage_.create(q.header.nodeid, name, FileType::regular, in.mode & 07777,
                                      {q.header.uid, q.header.gid, in.umask}, {}, 0);
    if (made) changes_.done(q, made->node);
    const bool existed = !made && made.error() == EEXIST;
    if (existed && (in.flags & protocol::open_exclusive) == 0) {
        made = storage_.lookup(q.header.nodeid, name);
    }
    if (!made) return made.error();
    InodeUse inode(inodes_, made->node);
    {
        InodeUse parent(inodes_, q.header.nodeid);
        coherence_.hold(*parent, q.client);
    }
    if (!existed || !inode->attr_valid) attributes_.learn(*inode, *made, asked);
    if (!existed) q.made = made->node;
    if (!existed && !before && !parked_before) made_by(*inode, q.client);
    if (!existed && !parked_before) entry_changed(q.acks, q.client, q.header.nodeid, name);
    protocol::OpenOut opened{};
    const std::uint32_t flags = existed ? in.flags : in.flags & ~protocol::open_truncate;
    int e = opens_.open_inode(q, inode, flags, !existed, opened);
    if (e == parked) return parked;
    if (e == 0) {
        const auto attr = attributes_.attributes(*inode);
        if (attr) {
            reply_entry(q, *inode, *attr);
        } else {
            e = attr.error();
            files_.remove_opener(*inode, q.client);
        }
    }
    if (e != 0) {
        // Too many files are open, above all. A call that failed leaves no file behind.
        const auto there = existed ? made : storage_.lookup(q.header.nodeid, name);
        if (!existed && there && there->node == inode->node) {
            const std::uint64_t linked = links_made_;
            const auto gone = storage_.unlink(q.header.nodeid, name);
            if (gone) name_gone(q, name, *gone, gone->links == 0, linked);
        }
        return e;
    }
    opened.fh = files_.publish(q.client, inode.index(), flags);
    q.reply.put(opened);
    return 0;
}

}  // namespace xenfs::server
