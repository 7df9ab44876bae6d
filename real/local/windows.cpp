#include "real/local/windows.h"

#include <sys/mman.h>

#include <cassert>
#include <new>
#include <vector>

namespace xenfs::real::local {

Window::Window(Descriptor segment, std::size_t segment_pages, Access access)
    : segment_(std::move(segment)),
      mapped_(segment_.get(), segment_pages * page_size, PROT_NONE),
      protection_(access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE),
      counts_(static_cast<std::uint32_t*>(std::calloc(segment_pages, sizeof(std::uint32_t)))) {
    if (counts_ == nullptr) throw std::bad_alloc();
}

/// Changes runs of neighbours, with one system call each.
bool Window::protect(std::span<const Frame> frames, int protection) {
    for (std::size_t first = 0; first < frames.size();) {
        std::size_t end = first + 1;
        while (end < frames.size() && frames[end] == frames[end - 1] + 1) ++end;
        if (mprotect(page(frames[first]), (end - first) * page_size, protection) != 0) return false;
        first = end;
    }
    return true;
}

bool Window::open(std::span<const Frame> frames) {
    std::vector<Frame> fresh;
    for (const Frame frame : frames) {
        if (counts_[frame]++ == 0) fresh.push_back(frame);
    }
    mappings_ += frames.size();
    if (protect(fresh, protection_)) return true;
    close(frames);
    return false;
}

void Window::close(std::span<const Frame> frames) {
    std::vector<Frame> idle;
    for (const Frame frame : frames) {
        assert(counts_[frame] > 0);
        if (--counts_[frame] == 0) idle.push_back(frame);
    }
    mappings_ -= frames.size();
    // Where the kernel has no room to split a VMA the page stays open, which is less strict only.
    (void)protect(idle, PROT_NONE);
}

Window* Windows::get(std::uint64_t serial, Access access, const Fetch& fetch) {
    const auto found = windows_.find({serial, access});
    if (found != windows_.end()) return found->second.get();
    // Peers come and go, so an idle window may be that of a dead one.
    std::erase_if(windows_, [](const auto& each) { return each.second->mappings() == 0; });
    auto [descriptor, pages] = fetch();
    if (!descriptor || pages == 0) return nullptr;
    auto& made = windows_[{serial, access}];
    made = std::make_unique<Window>(std::move(descriptor), pages, access);
    return made.get();
}

}  // namespace xenfs::real::local
