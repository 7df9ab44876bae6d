#include "real/xen/guest_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fstream>

namespace xenfs::real::xen {
namespace {

constexpr const char* balloon_target = "/sys/devices/system/xen_memory/xen_memory0/target_kb";
constexpr const char* balloon_now = "/sys/devices/system/xen_memory/xen_memory0/info/current_kb";
constexpr std::size_t page_kib = page_size / 1024;

std::size_t read_kib(const char* path) {
    std::size_t value = 0;
    std::ifstream(path) >> value;
    return value;
}

}  // namespace

GuestMemory::GuestMemory(std::size_t pages, DomainId peer)
    : peer_(peer),
      sharer_(opened<GrantSharer>(xengntshr_open(quiet_logger(), 0), "/dev/xen/gntalloc",
                                  "is this a Xen domain, and the module xen-gntalloc loaded?")),
      capacity_(pages),
      limit_(pages),
      used_(pages) {
    if (pages == 0) return;
    void* const at = mmap(nullptr, pages * page_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        throw XenError("cannot reserve " + std::to_string(pages) +
                       " pages of memory: " + std::strerror(errno));
    }
    memory_ = static_cast<std::byte*>(at);
    for (std::size_t i = pages; i > 0; --i) free_.push_back(static_cast<Frame>(i - 1));
}

GuestMemory::~GuestMemory() {
    for (const auto& [frame, page] : shared_) xengntshr_unshare(sharer_.get(), page.address, 1);
    if (memory_ != nullptr) munmap(memory_, capacity_ * page_size);
}

std::size_t GuestMemory::allocate(std::span<Frame> out) {
    std::size_t got = 0;
    while (got < out.size() && owned_ + donated_ < limit_ && !free_.empty()) {
        out[got] = free_.back();
        free_.pop_back();
        used_[out[got++]] = true;
        ++owned_;
    }
    return got;
}

void GuestMemory::release(std::span<const Frame> frames) {
    for (const Frame frame : frames) {
        assert(frame < capacity_ && used_[frame]);
        madvise(memory_ + std::size_t{frame} * page_size, page_size, MADV_DONTNEED);
        used_[frame] = false;
        free_.push_back(frame);
        --owned_;
    }
}

bool GuestMemory::has_balloon() {
    return access(balloon_target, W_OK) == 0;
}

/// Sets the driver's goal and waits for it, for 5 s at most. Returns how many pages moved.
std::size_t GuestMemory::balloon_to(std::size_t goal_kib, std::size_t before_kib) {
    std::ofstream(balloon_target) << goal_kib;
    std::size_t now_kib = before_kib;
    for (int tries = 0; tries < 500 && now_kib != goal_kib; ++tries) {
        usleep(10'000);
        now_kib = read_kib(balloon_now);
    }
    return (std::max(now_kib, before_kib) - std::min(now_kib, before_kib)) / page_kib;
}

std::size_t GuestMemory::donate(std::size_t pages) {
    const std::size_t want = std::min(pages, limit_ - std::min(limit_, owned_ + donated_));
    const std::size_t before = read_kib(balloon_now);
    if (want == 0 || !has_balloon() || before <= want * page_kib) return 0;
    const std::size_t went = std::min(want, balloon_to(before - want * page_kib, before));
    donated_ += went;
    return went;
}

std::size_t GuestMemory::reclaim(std::size_t pages) {
    const std::size_t want = std::min(pages, donated_);
    if (want == 0 || !has_balloon()) return 0;
    const std::size_t before = read_kib(balloon_now);
    const std::size_t came = std::min(want, balloon_to(before + want * page_kib, before));
    donated_ -= came;
    return came;
}

void GuestMemory::set_limit(std::size_t frames) {
    limit_ = std::min(frames, capacity_);
}

Result<Frame> GuestMemory::allocate_shared() {
    std::uint32_t reference = 0;
    void* const at = xengntshr_share_pages(sharer_.get(), peer_, 1, &reference, 1);
    if (at == nullptr) return Errno{errno != 0 ? errno : ENOMEM};
    std::memset(at, 0, page_size);
    const Frame frame = next_shared_++;
    shared_[frame] = {static_cast<std::byte*>(at), reference};
    return frame;
}

void GuestMemory::release_shared(Frame frame) {
    const auto found = shared_.find(frame);
    assert(found != shared_.end());
    // Where the peer still has the page mapped, the kernel keeps page and entry until it is
    // unmapped.
    xengntshr_unshare(sharer_.get(), found->second.address, 1);
    shared_.erase(found);
}

GrantRef GuestMemory::reference_of(Frame frame) const {
    const auto found = shared_.find(frame);
    return found != shared_.end() ? found->second.reference : no_grant;
}

bool GuestMemory::is_shared(GrantRef reference) const {
    return std::any_of(shared_.begin(), shared_.end(),
                       [&](const auto& each) { return each.second.reference == reference; });
}

std::byte* GuestMemory::address(Frame frame) const {
    if (frame < capacity_) {
        return used_[frame] ? memory_ + std::size_t{frame} * page_size : nullptr;
    }
    const auto found = shared_.find(frame);
    return found != shared_.end() ? found->second.address : nullptr;
}

}  // namespace xenfs::real::xen
