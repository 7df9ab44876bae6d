// LSEEK: where a file has data, and where holes. What is dirty here the storage does not know yet.
#include <algorithm>

#include "model/server/range_requests.h"

namespace xenfs::server {

int RangeRequests::lseek(Request& q) {
    const auto in = q.args.get<protocol::LseekIn>();
    if (!q.args.finished()) return EINVAL;
    if (in.whence != protocol::seek_data && in.whence != protocol::seek_hole) return EINVAL;
    const Inodes::Index index = opens_.file_for_pages(q, in.fh, false);
    if (index == Inodes::none) return EBADF;
    InodeUse inode(inodes_, index);
    if (coherence_.recall(q, *inode, index) != 0) return parked;
    if (const auto attr = attributes_.attributes(*inode); !attr) return attr.error();
    io_.begin(*inode);  // not while the file is cut here and not yet in the storage
    const auto found = in.whence == protocol::seek_data ? next_data(*inode, in.offset)
                                                        : next_hole(*inode, in.offset);
    io_.end(*inode);
    if (!found) return found.error();
    q.reply.put(protocol::LseekOut{*found});
    return 0;
}

/// Ascending, each once.
std::vector<std::uint32_t> RangeRequests::dirty_pages(const Inode& inode) const {
    std::vector<cache::Slot> slots;
    if (inode.file != no_file) cache_.dirty_of(inode.file, slots);
    for (const std::uint32_t file : inode.files) {
        if (file != no_file) cache_.dirty_of(file, slots);
    }
    std::vector<std::uint32_t> pages;
    pages.reserve(slots.size());
    for (const cache::Slot slot : slots) pages.push_back(cache_.key(slot).page);
    std::sort(pages.begin(), pages.end());
    pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
    return pages;
}

/// What the storage says, whose file may end before ours within a page that is data as a whole.
Result<std::uint64_t> RangeRequests::stored(const Inode& inode, std::uint64_t offset,
                                            host::Seek what) {
    const auto attr = storage_.getattr(inode.node);
    if (!attr) return Errno{attr.error()};
    const std::uint64_t end = attr->size;
    const std::uint64_t page_end = (end + page_size - 1) >> page_shift << page_shift;
    const bool behind = offset >= end && offset < page_end;
    const auto found = storage_.seek(inode.node, behind ? end - 1 : offset, what);
    if (!found) return found;
    return std::max(*found == end ? page_end : *found, offset);
}

/// The pages are listed before the storage is asked: what is written back meanwhile is in one of
/// the two.
Result<std::uint64_t> RangeRequests::next_data(const Inode& inode, std::uint64_t offset) {
    const auto pages = dirty_pages(inode);
    const auto clean = stored(inode, offset, host::Seek::data);
    if (!clean && clean.error() != ENXIO) return clean;
    std::uint64_t found = clean ? *clean : inode.attr.size;
    const auto dirty = std::lower_bound(pages.begin(), pages.end(), offset >> page_shift);
    if (dirty != pages.end()) {
        found = std::min(found, std::max(offset, std::uint64_t{*dirty} << page_shift));
    }
    if (found >= inode.attr.size) return Errno{ENXIO};
    return found;
}

Result<std::uint64_t> RangeRequests::next_hole(const Inode& inode, std::uint64_t offset) {
    if (offset >= inode.attr.size) return Errno{ENXIO};
    const auto pages = dirty_pages(inode);
    while (offset < inode.attr.size) {
        const auto clean = stored(inode, offset, host::Seek::hole);
        if (!clean && clean.error() != ENXIO) return clean;
        const std::uint64_t found = clean ? *clean : offset;  // the storage's file ends before
        std::uint64_t page = found >> page_shift;
        auto dirty = std::lower_bound(pages.begin(), pages.end(), page);
        if (dirty == pages.end() || *dirty != page) {
            offset = found;
            break;
        }
        for (; dirty != pages.end() && *dirty == page; ++dirty) ++page;
        offset = page << page_shift;
    }
    return std::min(offset, inode.attr.size);
}

}  // namespace xenfs::server
