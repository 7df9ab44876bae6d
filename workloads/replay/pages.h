// From requests to the pages they touch.
#pragma once

#include <cstdint>

#include "model/cache/types.h"
#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {

/// Calls `visit(PageKey)` for each 4 KiB page that a read or write touches, in order; for nothing
/// else, and not for empty requests. Offsets were checked by the reader (kMaxOffsetBytes).
template <class Visit>
void for_each_page(const Request& request, Visit&& visit) {
    if (request.access != Access::read && request.access != Access::write) return;
    if (request.length_bytes == 0) return;
    const std::uint64_t first = request.offset_bytes / cache::kPageSizeBytes;
    const std::uint64_t last =
        (request.offset_bytes + request.length_bytes - 1) / cache::kPageSizeBytes;
    for (std::uint64_t page = first; page <= last; ++page) {
        visit(cache::PageKey{.file = request.file, .page = static_cast<std::uint32_t>(page)});
    }
}

}  // namespace xenfs::workloads::replay
