#include "workloads/replay/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

#include "model/cache/memory.h"

namespace xenfs::workloads::replay {
namespace {

/// The source before us.
cache::ArrayMemory small{};

constexpr std::size_t kHuge = std::size_t{2} << 20;

std::size_t rounded(std::size_t bytes) {
    return (bytes + kHuge - 1) & ~(kHuge - 1);
}

void* allocate(std::size_t bytes) {
    if (bytes < kHuge) return small.allocate_zeroed(bytes);
    // One huge page more than needed, then cut to an aligned range.
    const std::size_t length = rounded(bytes);
    void* mapping = mmap(nullptr, length + kHuge, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return nullptr;
    char* const start = static_cast<char*>(mapping);
    const auto address = reinterpret_cast<std::uintptr_t>(mapping);
    const std::size_t before = rounded(address) - address;
    if (before > 0) munmap(start, before);
    if (before < kHuge) munmap(start + before + length, kHuge - before);
    madvise(start + before, length, MADV_HUGEPAGE);
    return start + before;
}

void release(void* memory, std::size_t bytes) {
    if (bytes < kHuge) {
        small.release(memory, bytes);
    } else {
        munmap(memory, rounded(bytes));
    }
}

}  // namespace

void use_huge_pages() {
    if (small.allocate_zeroed != nullptr) return;
    small = cache::set_array_memory({.allocate_zeroed = allocate, .release = release});
}

}  // namespace xenfs::workloads::replay
