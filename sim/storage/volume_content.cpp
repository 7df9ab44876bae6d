#include <algorithm>
#include <cassert>

#include "sim/machine/content.h"
#include "sim/storage/volume.h"

namespace xenfs::sim {
namespace {
// 256 GiB: contents are an array by page, so a wild offset must not make it huge.
constexpr std::uint64_t max_file_pages = std::uint64_t{1} << 26;
}  // namespace

int Volume::read_content(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return ESTALE;
    const std::uint64_t have = inode->pages.size();
    const std::uint64_t known =
        first_page >= have ? 0 : std::min<std::uint64_t>(out.size(), have - first_page);
    if (known > 0) std::copy_n(inode->pages.begin() + first_page, known, out.begin());
    std::fill(out.begin() + known, out.end(), zero_fingerprint);
    return 0;
}

int Volume::write_content(NodeId node, std::uint64_t first_page, std::span<const Fingerprint> pages,
                          std::uint64_t length) {
    const Inode* found = find(node);
    if (found == nullptr) return ESTALE;
    if (found->directory != nullptr) return EISDIR;
    assert(length <= pages.size() * page_size);
    const std::uint64_t end = first_page + pages.size();
    if (end > max_file_pages) return EFBIG;
    Inode& inode = change(node);
    const bool fits = allocate_pages(inode, first_page, pages.size());
    if (!fits) return ENOSPC;
    if (inode.pages.size() < end) inode.pages.resize(end, zero_fingerprint);
    std::copy(pages.begin(), pages.end(), inode.pages.begin() + first_page);
    inode.attr.size = std::max(inode.attr.size, first_page * page_size + length);
    touch(inode);
    return 0;
}

Result<Attr> Volume::allocate(NodeId node, std::uint32_t mode, std::uint64_t offset,
                              std::uint64_t length) {
    const Inode* found = find(node);
    if (found == nullptr) return Errno{ESTALE};
    if (found->attr.type != FileType::regular) return Errno{ENODEV};
    if (const int error = host::check_allocation(mode, offset, length)) return Errno{error};
    const std::uint64_t end = offset + length;
    const std::uint64_t first_page = offset / page_size;
    const std::uint64_t end_page = (end + page_size - 1) / page_size;
    if (end_page > max_file_pages) return Errno{EFBIG};
    Inode& inode = change(node);
    const bool punch = (mode & host::allocate_punch_hole) != 0;
    if (!punch && !allocate_pages(inode, first_page, end_page - first_page)) return Errno{ENOSPC};
    if (host::allocation_zeroes(mode)) {
        const std::uint64_t known = std::min<std::uint64_t>(end_page, inode.pages.size());
        for (std::uint64_t page = first_page; page < known; ++page) {
            const std::uint64_t from = std::max(offset, page * page_size);
            const std::uint64_t to = std::min(end, (page + 1) * page_size);
            inode.pages[page] = mix(inode.pages[page], zero_fingerprint,
                                    static_cast<std::uint32_t>(from % page_size),
                                    static_cast<std::uint32_t>(to - from));
        }
        if (punch) {
            release_pages(inode, (offset + page_size - 1) / page_size, end / page_size);
        }
    }
    if ((mode & host::allocate_keep_size) == 0) inode.attr.size = std::max(inode.attr.size, end);
    touch(inode);
    return inode.attr;
}

Result<std::uint64_t> Volume::seek(NodeId node, std::uint64_t offset, host::Seek what) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return Errno{ESTALE};
    const std::uint64_t size = inode->attr.size;
    if (offset >= size) return Errno{ENXIO};
    std::uint64_t hole = offset;  // as far as extents without a gap reach
    for (const FileExtent& extent : inode->extents) {
        const std::uint64_t begin = extent.page * page_size;
        const std::uint64_t end = (extent.page + extent.count) * page_size;
        if (end <= hole) continue;
        if (what == host::Seek::data) {
            const std::uint64_t data = std::max(offset, begin);
            if (data >= size) break;
            return data;
        }
        if (begin > hole) break;
        hole = end;
    }
    if (what == host::Seek::data) return Errno{ENXIO};
    return std::min(hole, size);
}

void Volume::extend(NodeId node, std::uint64_t size) {
    const Inode* inode = find(node);
    if (inode == nullptr) return;
    Inode& changed = change(node);
    changed.attr.size = std::max(changed.attr.size, size);
    touch(changed);
}

void Volume::truncate(Inode& inode, std::uint64_t size) {
    if (size < inode.attr.size) {
        const std::uint64_t pages = (size + page_size - 1) / page_size;
        release_pages(inode, pages);
        if (inode.pages.size() > pages) inode.pages.resize(pages);
        const auto kept = static_cast<std::uint32_t>(size % page_size);
        if (kept > 0 && inode.pages.size() == pages) {
            inode.pages.back() = mix(inode.pages.back(), zero_fingerprint, kept, page_size - kept);
        }
    }
    inode.attr.size = size;
}

/// Gives blocks to those pages of the range that have none. False: the disk is full.
bool Volume::allocate_pages(Inode& inode, std::uint64_t first_page, std::uint64_t count) {
    std::vector<FileExtent>& extents = inode.extents;
    const std::uint64_t end = first_page + count;
    std::uint64_t page = first_page;
    while (page < end) {
        // The first extent that begins behind `page`; the one before it may hold the page.
        auto after = std::upper_bound(
            extents.begin(), extents.end(), page,
            [](std::uint64_t at, const FileExtent& extent) { return at < extent.page; });
        std::uint64_t goal = 0;
        if (after != extents.begin()) {
            const FileExtent& before = *std::prev(after);
            if (page < before.page + before.count) {
                page = before.page + before.count;
                continue;
            }
            goal = before.block + (page - before.page);
        }
        const std::uint64_t until = after == extents.end() ? end : std::min(end, after->page);
        const BlockRange taken = allocator_.allocate(goal, until - page);
        if (taken.count == 0) return false;
        inode.attr.blocks += taken.count * (page_size / 512);
        const bool joins = after != extents.begin() &&
                           std::prev(after)->page + std::prev(after)->count == page &&
                           taken.first == goal;
        if (joins) {
            std::prev(after)->count += taken.count;
        } else {
            extents.insert(after, {page, taken.first, taken.count});
        }
        page += taken.count;
    }
    return true;
}

/// Frees the blocks of the pages of [first_page, end_page).
void Volume::release_pages(Inode& inode, std::uint64_t first_page, std::uint64_t end_page) {
    std::vector<FileExtent> kept;
    for (const FileExtent& extent : inode.extents) {
        const std::uint64_t extent_end = extent.page + extent.count;
        const std::uint64_t from = std::clamp(first_page, extent.page, extent_end);
        const std::uint64_t to = std::clamp(end_page, from, extent_end);
        if (from == to) {
            kept.push_back(extent);
            continue;
        }
        allocator_.release({extent.block + (from - extent.page), to - from});
        inode.attr.blocks -= (to - from) * (page_size / 512);
        if (from > extent.page) kept.push_back({extent.page, extent.block, from - extent.page});
        if (to < extent_end) {
            kept.push_back({to, extent.block + (to - extent.page), extent_end - to});
        }
    }
    inode.extents = std::move(kept);
}

void Volume::locate(NodeId node, std::uint64_t first_page, std::uint64_t count,
                    std::vector<BlockRange>& out) const {
    const Inode* inode = find(node);
    if (inode == nullptr) return;
    const std::vector<FileExtent>& extents = inode->extents;
    const std::uint64_t end = first_page + count;
    auto extent =
        std::upper_bound(extents.begin(), extents.end(), first_page,
                         [](std::uint64_t at, const FileExtent& other) { return at < other.page; });
    if (extent != extents.begin()) --extent;
    for (; extent != extents.end() && extent->page < end; ++extent) {
        const std::uint64_t from = std::max(first_page, extent->page);
        const std::uint64_t to = std::min(end, extent->page + extent->count);
        if (from >= to) continue;
        const BlockRange range{extent->block + (from - extent->page), to - from};
        if (!out.empty() && out.back().first + out.back().count == range.first) {
            out.back().count += range.count;
        } else {
            out.push_back(range);
        }
    }
}

}  // namespace xenfs::sim
