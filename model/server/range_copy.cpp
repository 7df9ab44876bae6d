// COPY_FILE_RANGE: the storage copies, so that no data passes the ring and blocks may be shared.
#include <algorithm>

#include "model/server/convert.h"
#include "model/server/range_requests.h"

namespace xenfs::server {
namespace {

constexpr std::uint64_t most_bytes = std::uint64_t{protocol::max_file_pages} << page_shift;

}  // namespace

int RangeRequests::copy_file_range(Request& q) {
    const auto in = q.args.get<protocol::CopyFileRangeIn>();
    if (!q.args.finished() || in.flags != 0) return EINVAL;
    if (in.off_out % page_size != 0 || in.len % page_size != 0 || in.len == 0) return EINVAL;
    if (in.off_out > most_bytes || in.len > most_bytes - in.off_out) return EFBIG;
    // What a predecessor did may name opens that the client has replaced since.
    const std::optional<Replay> before = changes_.replay(q);
    const Inodes::Index from_index =
        before ? inodes_.find_or_make(q.header.nodeid) : opens_.file_for_pages(q, in.fh_in, false);
    const Inodes::Index to_index = before
                                       ? inodes_.find_or_make(in.nodeid_out)
                                       : opens_.file_for_pages(q, in.nodeid_out, in.fh_out, true);
    if (from_index == Inodes::none || to_index == Inodes::none) return EBADF;
    InodeUse from(inodes_, from_index), to(inodes_, to_index);
    if (coherence_.recall(q, *from, from_index) != 0) return parked;
    if (coherence_.recall(q, *to, to_index) != 0) return parked;
    if (const auto attr = attributes_.attributes(*from); !attr) return attr.error();
    const bool cacheable = coherence_.hold(*to, q.client);
    if (const auto attr = attributes_.attributes(*to); !attr) {
        coherence_.unhold(*to, q.client);
        return attr.error();
    }
    const std::uint64_t left = from->attr.size > in.off_in ? from->attr.size - in.off_in : 0;
    std::uint64_t length = std::min({in.len, left, protocol::max_copy_bytes});
    length -= length % page_size;
    const bool overlap = in.off_in < in.off_out + length && in.off_out < in.off_in + length;
    if (from_index == to_index && overlap) return EINVAL;

    std::uint64_t copied = 0;
    if (before) {
        copied = q.intent->size;
        const std::uint64_t asked = attributes_.moment();
        const auto attr = storage_.getattr(to->node);
        if (!attr) return attr.error();
        attributes_.learn(*to, *attr, asked);
    } else if (length != 0) {
        if (int e = give_to_storage(*from, in.off_in, length)) return e;
        const auto done = copy(q, from->node, *to, in, length);
        if (!done) return done.error();
        copied = *done;
    }
    if (copied != 0) {
        coherence_.range_changed(q.acks, *to, in.off_out >> page_shift, copied >> page_shift,
                                 &q.client);
    }
    protocol::CopyFileRangeOut out{};
    out.size = static_cast<std::uint32_t>(copied);
    out.out.attr_valid = cacheable ? protocol::valid_until_notice : 0;
    out.out.attr = to_wire(to->attr);
    q.reply.put(out);
    return 0;
}

/// The storage's file is to hold the range as it is here.
int RangeRequests::give_to_storage(Inode& inode, std::uint64_t offset, std::uint64_t length) {
    const std::uint64_t end = offset + length;
    const std::uint64_t end_page = (end + page_size - 1) >> page_shift;
    if (int e = write_back_.write_range(inode, offset >> page_shift, end_page)) return e;
    if (!inode.size_ahead) return 0;
    const auto stored = storage_.getattr(inode.node);
    if (!stored || stored->size >= end) return stored.error();
    // It ends with a hole, and dirty pages behind the range. Its time is told with those.
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = inode.attr.size;
    const auto told = storage_.setattr(inode.node, change);
    if (!told) return told.error();
    inode.stored_size = told->size;
    inode.stored_mtime = told->mtime;
    journal_->keep_stored(inode);
    return 0;
}

/// As allocate(): the storage first, then the pages here, then the record.
Result<std::uint64_t> RangeRequests::copy(Request& q, NodeId from, Inode& to,
                                          const protocol::CopyFileRangeIn& in,
                                          std::uint64_t length) {
    io_.begin_cut(to);
    auto copied = storage_.copy_range(from, in.off_in, to.node, in.off_out, length);
    const std::uint64_t asked = attributes_.moment();
    const auto attr = storage_.getattr(to.node);
    if (!attr) copied = Errno{attr.error()};
    const std::uint64_t first = in.off_out >> page_shift;
    const std::uint64_t whole = copied ? *copied >> page_shift : 0;
    fill_.drop_pages(to, first, first + whole);
    if (whole << page_shift < length) drop_clean(to, first + whole);
    fill_.settled();
    if (copied) {
        copied = whole << page_shift;
        to.attr.size = std::max(to.attr.size, in.off_out + *copied);
        attributes_.keep_mtime(to, attr->mtime);
        attributes_.learn_change(to, *attr, asked);
        journal_->keep_size(to);
        changes_.intend(q, {.node = to.node, .size = *copied});
        changes_.done(q, to.node);
    } else {
        to.attr_valid = false;
    }
    io_.end_cut(to);
    return copied;
}

/// The storage may have copied a part of the page, which does not count.
void RangeRequests::drop_clean(const Inode& inode, std::uint64_t page) {
    const auto drop = [&](std::uint32_t file) {
        if (file == no_file) return;
        const cache::Slot slot = cache_.find({file, static_cast<std::uint32_t>(page)});
        if (slot == cache::kNoSlot || cache_.state(slot) != cache::PageState::clean) return;
        residency_.drop(slot);
    };
    drop(inode.file);
    for (const std::uint32_t file : inode.files) drop(file);
}

}  // namespace xenfs::server
