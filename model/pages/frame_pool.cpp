#include "model/pages/frame_pool.h"

#include <algorithm>
#include <array>

namespace xenfs::pages {

FrameIndex FramePool::place(Frame frame) {
    FrameIndex index;
    if (vacant_.empty()) {
        index = static_cast<FrameIndex>(records_.size());
        records_.emplace_back();
    } else {
        index = vacant_.back();
        vacant_.pop_back();
    }
    records_[index] = {};
    records_[index].frame = frame;
    most_owned_ = std::max(most_owned_, ++owned_);
    return index;
}

void FramePool::restore(std::span<const Frame> by_index) {
    assert(records_.empty() && "frames are restored into an empty pool");
    records_.resize(by_index.size());
    for (FrameIndex index = 0; index < by_index.size(); ++index) {
        records_[index].frame = by_index[index];
        records_[index].users = by_index[index] == no_frame ? 0 : 1;
        if (by_index[index] == no_frame) {
            vacant_.push_back(index);
        } else {
            ++owned_;
        }
    }
}

void FramePool::prepare(std::uint32_t count) {
    std::array<Frame, 64> batch;
    while (free() < count && headroom() != 0) {
        const std::size_t want = std::min<std::size_t>({batch.size(), headroom(), count - free()});
        const std::size_t got = frames_.allocate(std::span(batch).first(want));
        for (std::size_t i = 0; i < got; ++i) free_.push_back(place(batch[i]));
        refused_ = got < want;
        if (refused_) return;
    }
}

std::uint32_t FramePool::reserve(std::uint32_t n) {
    if (headroom() < n) shrink(n - headroom());
    n = std::min(n, headroom());
    reserved_ += n;
    return n;
}

FrameIndex FramePool::take() {
    if (free_.empty()) prepare(1);
    if (free_.empty()) return no_index;
    const FrameIndex index = free_.back();
    free_.pop_back();
    records_[index].users = 1;
    return index;
}

FrameIndex FramePool::adopt(Frame frame) {
    const FrameIndex index = place(frame);
    records_[index].users = 1;
    return index;
}

void FramePool::gone(FrameIndex index) {
    PoolFrame& f = record(index);
    assert(f.users <= 1 && f.grants == 0);
    f = {};
    --owned_;
    vacant_.push_back(index);
}

std::uint32_t FramePool::shrink(std::uint32_t n) {
    std::uint32_t done = 0;
    std::array<Frame, 64> batch;
    while (done < n && !free_.empty()) {
        std::size_t length = 0;
        while (length < batch.size() && done < n && !free_.empty()) {
            const FrameIndex index = free_.back();
            free_.pop_back();
            batch[length++] = records_[index].frame;
            gone(index);
            ++done;
        }
        frames_.release(std::span(batch).first(length));
    }
    return done;
}

}  // namespace xenfs::pages
