#pragma once
#include "model/host/types.h"

namespace xenfs::sim {

/// Returns the content of a page that held `old` after `length` bytes at `offset` were overwritten;
/// `data` is what the writer says of that page of its file (zero_fingerprint: zeros). This one rule
/// holds for frames, and for pages that a simulated disk cuts short.
///
/// A writer's fingerprint is that of the whole page as it will be (a capture knows nothing finer),
/// so it is taken as it is where that is possible: a whole page, a page of zeros, a page that has
/// that content already. Otherwise old, new and range are mixed: equal histories give equal
/// contents, different ones differ (but for 1 in 2^64).
Fingerprint mix(Fingerprint old, Fingerprint data, std::uint32_t offset, std::uint32_t length);

}  // namespace xenfs::sim
