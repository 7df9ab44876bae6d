#include "model/server/attributes.h"

#include <algorithm>
#include <utility>

#include "model/server/convert.h"

namespace xenfs::server {

void Attributes::learn(Inode& inode, const host::Attr& from_storage, std::uint64_t asked) {
    const host::Attr before = inode.attr;
    // Pages may have been filled by the size that the outside change has left. Or the answer comes
    // from before a write-back or a removal that has ended meanwhile.
    const bool late = asked < std::max(outside_change_, inode.changed_at);
    const bool outdated = late && before.node != 0;
    if (!outdated) {
        inode.stored_size = from_storage.size;
        inode.stored_mtime = from_storage.mtime;
    }
    inode.attr = from_storage;
    inode.attr.node = inode.node;
    // Our stamps and the storage's differ by a tick of its clock.
    inode.attr.ctime = std::max(before.ctime, from_storage.ctime);
    if (inode.size_ahead || outdated) {
        inode.attr.size = before.size;
        inode.attr.mtime = before.mtime;
    }
    if (has_dirty(inode)) inode.attr.keep_pages(before);
    if (outdated && before.links == 0) inode.attr.links = 0;
    inode.attr_valid = !late;
}

Result<host::Attr> Attributes::attributes(Inode& inode) {
    if (!inode.attr_valid) {
        const std::uint64_t asked = moment();
        const auto attr = storage_.getattr(inode.node);
        if (!attr) return Errno{attr.error()};
        learn(inode, *attr, asked);
    }
    return inode.attr;
}

Result<host::Attr> Attributes::reconcile(Inode& inode) {
    const auto stored = storage_.getattr(inode.node);
    if (!stored) {
        inode.attr_valid = false;
        return stored;
    }
    const host::Attr before = inode.attr;
    // Pages may be dirty though the storage has the size: they were written to while it was told.
    const std::uint64_t end = dirty_end(inode, before.size);
    const bool ahead = std::exchange(inode.size_ahead, false) || end != 0;
    // A change that was heard of since the call is still to be looked at.
    learn(inode, *stored, moment());
    if (ahead) {
        inode.size_ahead = true;
        inode.attr.size = std::max(stored->size, end);
        inode.attr.mtime = std::max(stored->mtime, before.mtime);
    }
    journal_->keep_size(inode);
    return inode.attr;
}

int Attributes::getattr(Request& q) {
    q.args.get<protocol::GetattrIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    if (coherence_.recall(q, *inode, inode.index()) != 0) return parked;
    const bool cacheable = coherence_.hold(*inode, q.client);
    const auto attr = attributes(*inode);
    if (!attr) {
        coherence_.unhold(*inode, q.client);
        return attr.error();
    }
    protocol::AttrOut out{};
    out.attr_valid = cacheable ? protocol::valid_until_notice : 0;
    out.attr = to_wire(*attr);
    q.reply.put(out);
    return 0;
}

int Attributes::setattr(Request& q) {
    const auto in = q.args.get<protocol::SetattrIn>();
    if (!q.args.finished()) return EINVAL;
    using host::SetAttr;
    SetAttr change;
    const WorldTime now = host_.clock().world();
    if (in.valid & protocol::fattr_mode) change.valid |= SetAttr::mode_;
    if (in.valid & protocol::fattr_uid) change.valid |= SetAttr::uid_;
    if (in.valid & protocol::fattr_gid) change.valid |= SetAttr::gid_;
    if (in.valid & protocol::fattr_size) change.valid |= SetAttr::size_;
    if (in.valid & (protocol::fattr_atime | protocol::fattr_atime_now)) {
        change.valid |= SetAttr::atime_;
    }
    if (in.valid & (protocol::fattr_mtime | protocol::fattr_mtime_now)) {
        change.valid |= SetAttr::mtime_;
    }
    if (in.valid & protocol::fattr_kill_suidgid) change.valid |= SetAttr::set_id_;
    change.value.mode = in.mode & 07777;
    change.value.uid = in.uid;
    change.value.gid = in.gid;
    change.value.size = in.size;
    change.value.atime =
        in.valid & protocol::fattr_atime_now ? now : protocol::time_from(in.atime, in.atimensec);
    change.value.mtime =
        in.valid & protocol::fattr_mtime_now ? now : protocol::time_from(in.mtime, in.mtimensec);

    InodeUse inode(inodes_, q.header.nodeid);
    if (coherence_.recall(q, *inode, inode.index()) != 0) return parked;
    const bool cacheable = coherence_.hold(*inode, q.client);
    auto attr = attributes(*inode);
    if (!attr) {
        coherence_.unhold(*inode, q.client);
        return attr.error();
    }
    const bool resize = (change.valid & SetAttr::size_) != 0;
    if (resize) {
        if (attr->type == host::FileType::directory) return EISDIR;
        if (attr->type != host::FileType::regular) return EINVAL;
        if (in.size > std::uint64_t{protocol::max_file_pages} << page_shift) return EFBIG;
    }
    const std::optional<Replay> before = changes_.replay(q);
    std::vector<pages::FrameIndex> frames;
    const std::uint64_t asked = moment();
    if (resize && !before) {
        if (in.size < inode->attr.size) {
            const PagePart cut = tail_of(in.size);
            if (int e = reserve_parts(q, *inode, {&cut, 1}, frames)) return e;
        }
        changes_.intend(q, {.node = inode->node, .size = in.size});
    }
    const auto changed = before   ? storage_.getattr(inode->node)
                         : resize ? this->resize(q, *inode, change, &frames)
                                  : storage_.setattr(inode->node, change);
    for (const pages::FrameIndex frame : frames) residency_.put_back(frame);
    if (!changed) {
        inode->attr_valid = false;
        return changed.error();
    }
    if (resize) changes_.done(q, inode->node);
    if (resize || (change.valid & SetAttr::mtime_) != 0) keep_mtime(*inode, changed->mtime);
    learn_change(*inode, *changed, asked);
    journal_->keep_size(*inode);
    if (resize) {
        coherence_.all_changed(q.acks, *inode, &q.client);
    } else {
        coherence_.node_changed(q.acks, *inode, &q.client);
    }
    protocol::AttrOut out{};
    out.attr_valid = cacheable ? protocol::valid_until_notice : 0;
    out.attr = to_wire(inode->attr);
    q.reply.put(out);
    return 0;
}

void Attributes::keep_mtime(Inode& inode, WorldTime mtime) {
    inode.attr.mtime = mtime;
    // Writing dirty pages back would move the storage's time on.
    inode.size_ahead = inode.size_ahead || has_dirty(inode);
}

bool Attributes::has_dirty(const Inode& inode) const {
    const auto dirty = [&](std::uint32_t file) {
        return file != no_file && cache_.has_dirty(file);
    };
    return dirty(inode.file) || std::any_of(inode.files.begin(), inode.files.end(), dirty);
}

std::uint64_t Attributes::dirty_end(const Inode& inode, std::uint64_t size) const {
    std::vector<cache::Slot> dirty;
    if (inode.file != no_file) cache_.dirty_of(inode.file, dirty);
    for (const std::uint32_t file : inode.files) {
        if (file != no_file) cache_.dirty_of(file, dirty);
    }
    std::uint64_t end = 0;
    for (const cache::Slot slot : dirty) {
        end = std::max(end, (std::uint64_t{cache_.key(slot).page} + 1) << page_shift);
    }
    return std::min(end, size);
}

int Attributes::reserve_parts(Request& q, const Inode& inode, std::span<const PagePart> parts,
                              std::vector<pages::FrameIndex>& frames) {
    std::uint32_t shared = 0;
    const auto look = [&](std::uint32_t file, const PagePart& part) {
        if (file == no_file || part.length == 0) return;
        const cache::Slot slot = cache_.find({file, part.page});
        if (slot != cache::kNoSlot && pool_[cache_.frame(slot)].users > 1) ++shared;
    };
    for (const PagePart& part : parts) {
        look(inode.file, part);
        for (const std::uint32_t file : inode.files) look(file, part);
    }
    while (frames.size() < shared) {
        const pages::FrameIndex frame = room_.take_frame(*q.worker);
        if (frame == pages::no_index) {
            for (const pages::FrameIndex taken : frames) residency_.put_back(taken);
            return room_.park(q, Lack::frames, shared, 0, false);
        }
        frames.push_back(frame);
    }
    return 0;
}

Result<host::Attr> Attributes::resize(Request& q, Inode& inode, const host::SetAttr& change,
                                      std::vector<pages::FrameIndex>* frames) {
    io_.begin_cut(inode);
    const int error = truncate(q, inode, change.value.size, frames);
    const auto changed =
        error != 0 ? Result<host::Attr>(Errno{error}) : storage_.setattr(inode.node, change);
    if (changed) inode.size_ahead = false;
    io_.end_cut(inode);
    return changed;
}

/// Forgets pages beyond the new end and zeroes the rest of the last one. The size comes first: no
/// page beyond it is filled from then on.
int Attributes::truncate(Request& q, Inode& inode, std::uint64_t size,
                         std::vector<pages::FrameIndex>* frames) {
    const std::uint64_t old = inode.attr.size;
    inode.attr.size = size;
    if (size >= old) return 0;
    // A successor must not find the pages gone and the old size. It repeats all that follows, until
    // the storage has been told and the size is kept again.
    journal_->keep_cut(inode, size);
    fill_.drop_pages(inode, (size + page_size - 1) >> page_shift);
    fill_.settled();
    return zero(q, inode, tail_of(size), frames);
}

int Attributes::zero(Request& q, Inode& inode, const PagePart& part,
                     std::vector<pages::FrameIndex>* frames) {
    if (part.length == 0) return 0;
    const auto zero_in = [&](std::uint32_t file) MAY_YIELD {
        if (file == no_file) return 0;
        io_.begin_at_once(inode);
        const cache::Slot slot = cache_.find({file, part.page});
        if (slot == cache::kNoSlot || cache_.state(slot) == cache::PageState::loading) {
            io_.end(inode);
            return 0;
        }
        residency_.pin(slot);
        bool moved = false;
        const bool done = sharing_.make_private(q, nullptr, inode, slot, moved, frames);
        if (done) {
            residency_.forget_content(cache_.frame(slot));
            host_.memory().zero(residency_.page_of(slot), part.offset, part.length);
            // A write-back that was under way may have stored the old tail and the new size: then
            // the storage's own truncate finds nothing to cut.
            write_back_.dirtied(inode, inodes_.find(inode.node), slot);
        }
        residency_.unpin(slot);
        io_.end(inode);
        return done ? 0 : ENOMEM;
    };
    if (int e = zero_in(inode.file)) return e;
    for (std::size_t i = 0; i < inode.files.size(); ++i) {
        if (int e = zero_in(inode.files[i])) return e;
    }
    return 0;
}

int Attributes::statfs(Request& q) {
    if (!q.args.finished()) return EINVAL;
    const auto st = storage_.statfs();
    if (!st) return st.error();
    protocol::StatfsOut out{};
    out.blocks = st->blocks;
    out.bfree = st->blocks_free;
    out.bavail = st->blocks_available;
    out.files = st->files;
    out.ffree = st->files_free;
    out.bsize = out.frsize = st->block_size;
    out.namelen = st->name_max;
    q.reply.put(out);
    return 0;
}

void Attributes::forget_node(Connection& c, NodeId node) {
    const Inodes::Index index = inodes_.find(node);
    if (index == Inodes::none) return;
    InodeUse inode(inodes_, index);
    coherence_.unhold(*inode, c);
}

int Attributes::forget(Request& q) {
    q.args.get<protocol::ForgetIn>();
    if (!q.args.finished()) return EINVAL;
    forget_node(q.client, q.header.nodeid);
    return 0;
}

int Attributes::batch_forget(Request& q) {
    const auto in = q.args.get<protocol::BatchForgetIn>();
    const auto nodes = q.args.get_array<protocol::ForgetOne>(in.count);
    if (!q.args.finished()) return EINVAL;
    for (const auto& forgotten : nodes) forget_node(q.client, forgotten.nodeid);
    return 0;
}

}  // namespace xenfs::server
