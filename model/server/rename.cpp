// A name that is moved may take another file's.
#include "model/server/convert.h"
#include "model/server/names.h"

namespace xenfs::server {

using protocol::check_name;

namespace {

constexpr std::uint32_t rename_exchange = 2, rename_flags = 7;

/// Nothing else goes with an exchange.
bool valid_rename(std::uint32_t flags) {
    return (flags & rename_exchange) != 0 ? flags == rename_exchange : flags <= rename_flags;
}

}  // namespace

int Names::rename(Request& q) {
    protocol::Rename2In in{};
    in.newdir = q.args.get<protocol::RenameIn>().newdir;
    return rename_to(q, in);
}

int Names::rename2(Request& q) {
    return rename_to(q, q.args.get<protocol::Rename2In>());
}

int Names::rename_to(Request& q, const protocol::Rename2In& in) {
    const auto old_name = q.args.get_string();
    const auto new_name = q.args.get_string();
    if (!q.args.finished() || !valid_rename(in.flags)) return EINVAL;
    if (int e = check_name(old_name)) return e;
    if (int e = check_name(new_name)) return e;
    const std::optional<Replay> before = changes_.replay(q);
    const auto moved =
        before ? storage_.getattr(before->node) : storage_.lookup(q.header.nodeid, old_name);
    if (!moved) return moved.error();
    auto replaced = storage_.lookup(in.newdir, new_name);
    NodeId pinned = 0;
    const std::uint64_t linked = links_made_;
    if (!before) {
        changes_.intend(q, {.name = old_name,
                            .new_name = new_name,
                            .new_parent = in.newdir,
                            .node = moved->node,
                            .replaced = replaced ? replaced->node : 0,
                            .flags = in.flags});
        const auto gone = storage_.rename(q.header.nodeid, old_name, in.newdir, new_name, in.flags);
        if (!gone) return gone.error();
        pinned = *gone;
        changes_.done(q, moved->node);
    } else if (before->replaced != 0) {
        replaced = attr_left(before->replaced);
    } else {
        replaced = Errno{ENOENT};
    }
    entry_changed(q.acks, q.client, q.header.nodeid, old_name);
    entry_changed(q.acks, q.client, in.newdir, new_name);
    const auto touched = [&](NodeId node)
                             MAY_YIELD {  // its ctime changed, a directory's parent too
                                 const Inodes::Index index = inodes_.find(node);
                                 if (index == Inodes::none) return;
                                 InodeUse inode(inodes_, index);
                                 if (inode->size_ahead) {
                                     inode->attr.ctime = host_.clock().world();
                                 } else {
                                     inode->attr_valid = false;
                                 }
                                 coherence_.node_changed(q.acks, *inode, &q.client);
                             };
    touched(moved->node);
    const bool another = replaced && replaced->node != moved->node;
    const bool exchanged = (in.flags & rename_exchange) != 0;
    if (another && exchanged) touched(replaced->node);
    // Another worker may have given the name to the pinned file since the name was looked up.
    NodeId gone = pinned;
    std::uint32_t left = 0;
    if (pinned == 0 && another && !exchanged) {
        left = before ? replaced->links : attr_left(replaced->node)->links;
        // The storage pins what loses its last name. This file has others, or another worker took
        // the name from it meanwhile and has accounted for that.
        if (before || left != 0) {
            gone = replaced->node;
        } else {
            touched(replaced->node);
        }
    }
    if (gone == 0) {
        reply_gone(q, nullptr);
        return 0;
    }
    InodeUse inode(inodes_, gone);
    inode->attr.ctime = host_.clock().world();
    coherence_.node_changed(q.acks, *inode, &q.client);
    lost_name(inode, left, pinned != 0, linked);
    reply_gone(q, before ? nullptr : &*inode);
    return 0;
}

}  // namespace xenfs::server
