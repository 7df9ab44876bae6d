#pragma once
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include "model/host/types.h"
#include "real/local/segment.h"

namespace xenfs::real::local {

/// A peer's whole segment in this process's address space, closed (PROT_NONE) except for the pages
/// that are mapped now: touching another one faults, as on Xen. A window for reading is made from a
/// descriptor that was opened read-only, so mprotect cannot make it writable.
///
/// Neighbouring frames that are open form one kernel VMA; a process has 65 530 of them by default
/// (vm.max_map_count), which bounds how scattered its mappings may be.
class Window {
  public:
    Window(Descriptor segment, std::size_t pages, Access access);

    /// Adds one mapping of each frame. Returns false where the kernel refuses (vm.max_map_count);
    /// nothing has changed then.
    bool open(std::span<const Frame> frames);
    void close(std::span<const Frame> frames);

    std::byte* page(Frame frame) const { return mapped_.data() + std::size_t{frame} * page_size; }
    std::size_t pages() const { return mapped_.length() / page_size; }
    /// Opens the page as the window is: for reading only, or for writing too.
    int descriptor() const { return segment_.get(); }
    std::size_t mappings() const { return mappings_; }

  private:
    struct Free {
        void operator()(std::uint32_t* counts) const { std::free(counts); }
    };
    bool protect(std::span<const Frame> frames, int protection);
    Descriptor segment_;
    Mapped mapped_;
    int protection_;
    std::size_t mappings_ = 0;
    std::unique_ptr<std::uint32_t[], Free> counts_;  ///< by frame; memory that exists once touched
};

/// The windows of one domain: for each peer one for reading and one for writing. Peers are told
/// apart by their serial numbers (host_state.h), since a later domain of the same id has other
/// memory.
class Windows {
  public:
    /// Returns the window, and makes it by `fetch` (descriptor and pages) where there is none; null
    /// where that fails.
    using Fetch = std::function<std::pair<Descriptor, std::size_t>()>;
    Window* get(std::uint64_t serial, Access access, const Fetch& fetch);

  private:
    std::map<std::pair<std::uint64_t, Access>, std::unique_ptr<Window>> windows_;
};

}  // namespace xenfs::real::local
