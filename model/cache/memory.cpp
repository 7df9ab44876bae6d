#include "model/cache/memory.h"

#include <cstdlib>
#include <cstring>

namespace xenfs::cache {
namespace {

// calloc, so that untouched parts of a large array cost no memory, aligned to a cache line: what
// calloc returned is kept in the word before the array.
constexpr std::size_t kLineBytes = 64;

void* allocate_lines(std::size_t bytes) {
    char* const raw = static_cast<char*>(std::calloc(1, bytes + kLineBytes + sizeof(void*)));
    if (raw == nullptr) return nullptr;
    const auto least = reinterpret_cast<std::uintptr_t>(raw) + sizeof(void*);
    const std::size_t skip = sizeof(void*) + (kLineBytes - least % kLineBytes) % kLineBytes;
    std::memcpy(raw + skip - sizeof(void*), &raw, sizeof(raw));
    return raw + skip;
}

void release_lines(void* memory, std::size_t) {
    void* raw = nullptr;
    std::memcpy(&raw, static_cast<char*>(memory) - sizeof(raw), sizeof(raw));
    std::free(raw);
}

ArrayMemory current{.allocate_zeroed = allocate_lines, .release = release_lines};

}  // namespace

ArrayMemory set_array_memory(ArrayMemory memory) {
    return std::exchange(current, memory);
}

ArrayMemory array_memory() {
    return current;
}

}  // namespace xenfs::cache
