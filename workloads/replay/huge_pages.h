// Huge pages for the cache's arrays.
#pragma once

namespace xenfs::workloads::replay {

/// Has the arrays of caches made from now on mapped aligned to 2 MiB with MADV_HUGEPAGE; small
/// arrays stay where they were. Untouched parts cost no memory. Call at a program's start.
void use_huge_pages();

}  // namespace xenfs::workloads::replay
