#include "sim/machine/frame_table.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <stdexcept>

namespace xenfs::sim {

FrameTable::FrameTable(std::size_t pages, std::size_t llc_pages, bool count_unique)
    : pages_(pages),
      records_(static_cast<FrameRecord*>(std::calloc(pages + 1, sizeof(FrameRecord)))),
      count_unique_(count_unique),
      touches_per_epoch_(
          static_cast<std::uint32_t>(std::max<std::size_t>(1, llc_pages / epochs_warm))) {
    if (records_ == nullptr) throw std::bad_alloc();
    if (pages >= no_frame) throw std::invalid_argument("a machine has fewer than 2^32 - 1 frames");
    counts.free_frames = pages;
}

FrameTable::~FrameTable() {
    for (std::size_t frame = 0; frame < next_; ++frame) {
        if (records_[frame].use == FrameRecord::control) std::free(records_[frame].bytes());
    }
}

Frame FrameTable::take(DomainId owner, FrameRecord::Use use, Nanoseconds when) {
    Frame frame;
    if (!free_.empty()) {
        frame = free_.back();
        free_.pop_back();
    } else {
        assert(next_ < pages_ && "accounts never promise more frames than there are");
        frame = static_cast<Frame>(next_++);
    }
    FrameRecord& record = records_[frame];
    assert(record.use == FrameRecord::free && record.entries == 0 && record.mappings == 0);
    record.owner = owner;
    record.use = use & 3;
    record.filled = 0;
    record.empty = 0;
    if (use == FrameRecord::control) {
        void* bytes = std::aligned_alloc(page_size, page_size);
        if (bytes == nullptr) throw std::bad_alloc();
        std::memset(bytes, 0, page_size);
        record.content = reinterpret_cast<std::uint64_t>(bytes);
        ++counts.control_frames;
        changed = true;
    } else if (use == FrameRecord::memory) {
        ++counts.guest_frames;
    } else {
        count_file(1, when);
    }
    return frame;
}

void FrameTable::give(Frame frame) {
    FrameRecord& record = records_[frame];
    assert(record.use != FrameRecord::free && record.mappings == 0);
    if (record.use == FrameRecord::control) {
        std::free(record.bytes());
        record.content = zero_fingerprint;
        --counts.control_frames;
        changed = true;
    } else if (record.use == FrameRecord::memory) {
        if (observer != nullptr) observer->leaves(frame, record.filled, record.content);
        --counts.guest_frames;
    } else {
        if (observer != nullptr) observer->leaves(frame, record.filled, record.content);
        if (count_unique_ && record.filled) {
            contents_.remove(record.content);
            counts.unique = contents_.unique();
        }
        if (!record.empty) count_file(-1, 0);
    }
    record.use = FrameRecord::free;
    record.filled = 0;
    record.entries = 0;
    free_.push_back(frame);
}

void FrameTable::move(Frame frame, DomainId to) {
    FrameRecord& record = records_[frame];
    if (observer != nullptr) observer->leaves(frame, record.filled, record.content);
    record.owner = to;
    if (observer != nullptr && record.filled) observer->arrives(frame, record.content);
}

void FrameTable::discard(Frame frame) {
    FrameRecord& record = records_[frame];
    if (record.use != FrameRecord::file || record.empty) return;
    if (observer != nullptr) observer->leaves(frame, record.filled, record.content);
    if (count_unique_ && record.filled) {
        contents_.remove(record.content);
        counts.unique = contents_.unique();
    }
    record.filled = 0;
    record.empty = 1;
    count_file(-1, 0);
}

void FrameTable::count_again(FrameRecord& record) {
    record.empty = 0;
    count_file(1, now ? now() : 0);
}

void FrameTable::count_file(int change, Nanoseconds when) {
    changed = true;
    if (change < 0) {
        --counts.file_frames;
        return;
    }
    if (++counts.file_frames > counts.file_frames_peak) {
        counts.file_frames_peak = counts.file_frames;
        counts.file_frames_peak_at_ns = when;
        counts.unique_at_frames_peak = counts.unique;
    }
}

void FrameTable::recount(FrameRecord& record, Fingerprint content) {
    if (record.use != FrameRecord::file) return;
    if (record.filled) {
        if (record.content == content) return;
        contents_.remove(record.content);
    }
    contents_.add(content);
    changed = true;
    counts.unique = contents_.unique();
    counts.unique_peak = std::max(counts.unique_peak, counts.unique);
    if (counts.file_frames == counts.file_frames_peak) {
        counts.unique_at_frames_peak = counts.unique;
    }
}

}  // namespace xenfs::sim
