#include "real/xen/pool_frames.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace xenfs::real::xen {

PoolFrames::PoolFrames(xc_interface* control, xenforeignmemory_handle* foreign, DomainId domain,
                       PoolRecord& record)
    : control_(control), foreign_(foreign), domain_(domain), record_(record) {
    regions_.resize((record.frames() + region_frames - 1) / region_frames);
    for (std::uint32_t place = 0; place < regions_.size(); ++place) find(place);
}

PoolFrames::~PoolFrames() {
    for (const Region& region : regions_) {
        if (region.address != nullptr) {
            xenforeignmemory_unmap(foreign_, region.address, region.size);
        }
    }
}

/// Maps a region that a predecessor had.
void PoolFrames::find(std::uint32_t place) {
    std::vector<xen_pfn_t> pages;
    const Frame first = place * region_frames;
    while (pages.size() < region_frames && record_.has(first + static_cast<Frame>(pages.size()))) {
        pages.push_back(record_.machine_frame(first + static_cast<Frame>(pages.size())));
    }
    if (pages.empty()) return;
    if (!map(place, pages)) {
        throw XenError(std::string("cannot map the predecessor's pool again: ") +
                       std::strerror(errno));
    }
    Region& region = regions_[place];
    for (std::uint32_t i = 0; i < region.size; ++i) {
        if (is_out(first + i)) {
            ++region.used;
        } else {  // the predecessor may have died between the release and the zeros
            std::memset(region.address + std::size_t{i} * page_size, 0, page_size);
            waiting_.insert(first + i);
        }
    }
    owned_ += region.used;
}

bool PoolFrames::map(std::uint32_t place, std::span<const xen_pfn_t> pages) {
    std::vector<int> errors(pages.size());
    void* const address = xenforeignmemory_map(foreign_, domain_, PROT_READ | PROT_WRITE,
                                               pages.size(), pages.data(), errors.data());
    if (address == nullptr) return false;
    regions_[place] = {static_cast<std::byte*>(address), static_cast<std::uint32_t>(pages.size()),
                       0};
    held_ += pages.size();
    return true;
}

/// Frames that wait still count at Xen. A domain may be over its limit; it only gets no more.
void PoolFrames::set_maxmem() {
    const std::size_t allowed = std::max(limit_, held_);
    if (xc_domain_setmaxmem(control_, domain_, allowed * (page_size / 1024)) != 0) {
        throw XenError(std::string("cannot set the pool domain's memory limit: ") +
                       std::strerror(errno));
    }
}

void PoolFrames::set_limit(std::size_t frames) {
    const std::size_t before = limit_;
    limit_ = frames;
    try {
        set_maxmem();
    } catch (...) {
        limit_ = before;
        throw;
    }
}

/// Adds one region of up to `frames` frames. Returns false where Xen has no memory for it.
bool PoolFrames::grow(std::size_t frames) {
    auto found = std::find_if(regions_.begin(), regions_.end(),
                              [](const Region& region) { return region.address == nullptr; });
    if (found == regions_.end()) found = regions_.emplace(regions_.end());
    const auto place = static_cast<std::uint32_t>(found - regions_.begin());
    const Frame first = place * region_frames;
    // One array passes the PV domain's frame numbers in and machine frame numbers out.
    std::vector<xen_pfn_t> pages(frames);
    for (std::size_t i = 0; i < frames; ++i) pages[i] = first + i;
    const int came = xc_domain_populate_physmap(control_, domain_, frames, 0, 0, pages.data());
    if (came <= 0) return false;
    pages.resize(static_cast<std::size_t>(came));
    if (!map(place, pages)) {
        xc_domain_decrease_reservation_exact(control_, domain_, pages.size(), 0, pages.data());
        return false;
    }
    for (std::size_t i = 0; i < pages.size(); ++i) {
        const Frame frame = first + static_cast<Frame>(i);
        record_.set(frame, pages[i], 0);
        waiting_.insert(frame);
    }
    return true;
}

std::size_t PoolFrames::allocate(std::span<Frame> out) {
    const std::size_t wanted = std::min(out.size(), limit_ - std::min(limit_, owned_));
    while (waiting_.size() < wanted) {
        const std::size_t room = limit_ - std::min(limit_, held_);
        if (room == 0 || !grow(std::min<std::size_t>(region_frames, room))) break;
    }
    std::size_t got = 0;
    while (got < wanted && !waiting_.empty()) {
        const Frame frame = *waiting_.begin();
        waiting_.erase(waiting_.begin());
        record_.set(frame, record_.machine_frame(frame), PoolRecord::handed_out);
        ++regions_[frame / region_frames].used;
        out[got++] = frame;
    }
    owned_ += got;
    return got;
}

Frame PoolFrames::allocate_shared() {
    Frame frame = no_frame;
    if (allocate({&frame, 1}) != 1) return no_frame;
    std::memset(bytes(frame), 0, page_size);
    record_.set(frame, record_.machine_frame(frame), PoolRecord::handed_out | PoolRecord::shared);
    return frame;
}

void PoolFrames::release(std::span<const Frame> frames) {
    for (const Frame frame : frames) {
        std::byte* const at = bytes(frame);
        assert(at != nullptr && "a frame that is not handed out");
        record_.set(frame, record_.machine_frame(frame), 0);
        // Xen does not scrub what a live domain gives back, so the next owner would read it.
        std::memset(at, 0, page_size);
        --regions_[frame / region_frames].used;
        waiting_.insert(frame);
    }
    owned_ -= frames.size();
    for (const Frame frame : frames) {
        const Region& region = regions_[frame / region_frames];
        if (region.address != nullptr && region.used == 0) give_back(frame / region_frames);
    }
}

void PoolFrames::give_back(std::uint32_t place) {
    Region& region = regions_[place];
    const Frame first = place * region_frames;
    std::vector<xen_pfn_t> pages(region.size);
    for (std::uint32_t i = 0; i < region.size; ++i) {
        pages[i] = record_.machine_frame(first + i);
        waiting_.erase(first + i);
        record_.clear(first + i);
    }
    xenforeignmemory_unmap(foreign_, region.address, region.size);
    xc_domain_decrease_reservation_exact(control_, domain_, pages.size(), 0, pages.data());
    held_ -= region.size;
    region = {};
    set_maxmem();
}

std::vector<host::OwnedFrame> PoolFrames::all() const {
    std::vector<host::OwnedFrame> found;
    for (Frame frame = 0; frame < regions_.size() * region_frames; ++frame) {
        if (bytes(frame) == nullptr) continue;
        found.push_back({frame, (record_.flags(frame) & PoolRecord::shared) != 0});
    }
    return found;
}

std::byte* PoolFrames::bytes(Frame frame) const {
    const std::size_t place = frame / region_frames;
    if (place >= regions_.size() || frame % region_frames >= regions_[place].size ||
        !is_out(frame)) {
        return nullptr;
    }
    return regions_[place].address + std::size_t{frame % region_frames} * page_size;
}

}  // namespace xenfs::real::xen
