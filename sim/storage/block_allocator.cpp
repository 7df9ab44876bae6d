#include "sim/storage/block_allocator.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {

BlockAllocator::BlockAllocator(std::uint64_t first, std::uint64_t end)
    : free_(end - first), total_(end - first), next_(first) {
    assert(first < end);
    extents_[first] = end - first;
}

BlockRange BlockAllocator::allocate(std::uint64_t goal, std::uint64_t count) {
    if (free_ == 0 || count == 0) return {};
    for (const std::uint64_t at : {goal, next_}) {
        auto extent = extents_.upper_bound(at);
        if (extent == extents_.begin()) continue;
        --extent;
        if (at < extent->first + extent->second) return take(extent, at, count);
    }
    auto extent = extents_.lower_bound(next_);
    if (extent == extents_.end()) extent = extents_.begin();
    return take(extent, extent->first, count);
}

BlockRange BlockAllocator::take(Extents::iterator extent, std::uint64_t at, std::uint64_t count) {
    const std::uint64_t first = extent->first;
    const std::uint64_t end = first + extent->second;
    const std::uint64_t taken = std::min(count, end - at);
    if (at == first) {
        extents_.erase(extent);
    } else {
        extent->second = at - first;
    }
    if (at + taken < end) extents_[at + taken] = end - (at + taken);
    free_ -= taken;
    next_ = at + taken;
    return {at, taken};
}

void BlockAllocator::release(BlockRange range) {
    if (range.count == 0) return;
    free_ += range.count;
    assert(free_ <= total_);
    auto after = extents_.lower_bound(range.first);
    assert(after == extents_.end() || range.first + range.count <= after->first);
    if (after != extents_.end() && after->first == range.first + range.count) {
        range.count += after->second;
        after = extents_.erase(after);
    }
    if (after != extents_.begin()) {
        const auto before = std::prev(after);
        assert(before->first + before->second <= range.first);
        if (before->first + before->second == range.first) {
            before->second += range.count;
            return;
        }
    }
    extents_[range.first] = range.count;
}

}  // namespace xenfs::sim
