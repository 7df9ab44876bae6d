#include "model/cache/memory.h"

#include <cstdlib>

namespace xenfs::cache {
namespace {

ArrayMemory current{[](std::size_t bytes) { return std::calloc(1, bytes); },
                    [](void* memory, std::size_t) { std::free(memory); }};

}  // namespace

ArrayMemory set_array_memory(ArrayMemory memory) {
    return std::exchange(current, memory);
}

ArrayMemory array_memory() {
    return current;
}

}  // namespace xenfs::cache
