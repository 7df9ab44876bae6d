#include "model/server/range_requests.h"

#include <algorithm>

#include "model/server/convert.h"

namespace xenfs::server {
namespace {

constexpr std::uint64_t most_bytes = std::uint64_t{protocol::max_file_pages} << page_shift;

}  // namespace

RangeRequests::Cut RangeRequests::cut(std::uint64_t offset, std::uint64_t end) {
    Cut made;
    made.first = (offset + page_size - 1) >> page_shift;
    made.end = end >> page_shift;
    const auto part = [](std::uint64_t from, std::uint64_t to) {
        return PagePart{static_cast<std::uint32_t>(from >> page_shift),
                        static_cast<std::uint16_t>(from % page_size),
                        static_cast<std::uint16_t>(to - from)};
    };
    if (made.first > made.end) {  // within one page
        made.head = part(offset, end);
        made.end = made.first;
        return made;
    }
    made.head = part(offset, made.first << page_shift);
    made.tail = part(made.end << page_shift, end);
    return made;
}

int RangeRequests::fallocate(Request& q) {
    const auto in = q.args.get<protocol::FallocateIn>();
    if (!q.args.finished()) return EINVAL;
    if (int e = host::check_allocation(in.mode, in.offset, in.length)) return e;
    if (in.offset + in.length > most_bytes) return EFBIG;
    // What a predecessor did may name an open that the client has replaced since.
    const std::optional<Replay> before = changes_.replay(q);
    const Inodes::Index index =
        before ? inodes_.find_or_make(q.header.nodeid) : opens_.file_for_pages(q, in.fh, true);
    if (index == Inodes::none) return EBADF;
    InodeUse inode(inodes_, index);
    if (coherence_.recall(q, *inode, index) != 0) return parked;
    const bool cacheable = coherence_.hold(*inode, q.client);
    if (const auto attr = attributes_.attributes(*inode); !attr) {
        coherence_.unhold(*inode, q.client);
        return attr.error();
    }
    const bool zeroes = host::allocation_zeroes(in.mode);
    const Cut range = zeroes ? cut(in.offset, in.offset + in.length) : Cut{};
    std::vector<pages::FrameIndex> frames;
    if (!before) {
        const PagePart parts[] = {range.head, range.tail};
        if (int e = attributes_.reserve_parts(q, *inode, parts, frames)) return e;
    }
    const std::uint64_t asked = attributes_.moment();
    const auto changed =
        before ? storage_.getattr(inode->node) : allocate(q, *inode, in, range, frames);
    for (const pages::FrameIndex frame : frames) residency_.put_back(frame);
    if (!changed) {
        inode->attr_valid = false;
        return changed.error();
    }
    if (before) attributes_.learn(*inode, *changed, asked);
    if (zeroes) {
        const std::uint64_t first = in.offset >> page_shift;
        const std::uint64_t last = (in.offset + in.length - 1) >> page_shift;
        coherence_.range_changed(q.acks, *inode, first, last - first + 1, &q.client);
    } else {
        coherence_.node_changed(q.acks, *inode, &q.client);
    }
    protocol::AttrOut out{};
    out.attr_valid = cacheable ? protocol::valid_until_notice : 0;
    out.attr = to_wire(inode->attr);
    q.reply.put(out);
    return 0;
}

/// The storage is told first, since it may refuse. A successor of a server that dies between finds
/// clean pages older than the storage's file and drops them; the rest is done again, since it does
/// no harm while nobody else gets at the pages, and recorded before anybody does.
Result<host::Attr> RangeRequests::allocate(Request& q, Inode& inode,
                                           const protocol::FallocateIn& in, const Cut& range,
                                           std::vector<pages::FrameIndex>& frames) {
    io_.begin_cut(inode);
    const std::uint64_t asked = attributes_.moment();
    const auto was = storage_.getattr(inode.node);
    auto changed = was ? storage_.allocate(inode.node, in.mode, in.offset, in.length) : was;
    if (changed) {
        fill_.drop_pages(inode, range.first, range.end);
        fill_.settled();
        int error = attributes_.zero(q, inode, range.head, &frames);
        if (error == 0) error = attributes_.zero(q, inode, range.tail, &frames);
        if ((in.mode & host::allocate_keep_size) == 0) {
            inode.attr.size = std::max(inode.attr.size, in.offset + in.length);
        }
        // Where pages are dirty our time is newer than what the storage had.
        if (changed->mtime != was->mtime) attributes_.keep_mtime(inode, changed->mtime);
        attributes_.learn_change(inode, *changed, asked);
        journal_->keep_size(inode);
        if (error != 0) {
            changed = Errno{error};
        } else {
            changes_.intend(q, {.node = inode.node});
            changes_.done(q, inode.node);
        }
    }
    io_.end_cut(inode);
    return changed;
}

}  // namespace xenfs::server
