#pragma once
// What a page's fingerprint becomes when it is written in part.

#include "model/host/types.h"

namespace xenfs::sim {

/// The fingerprint of a page that held `old` after `length` bytes at `offset` were replaced. `data`
/// is the fingerprint that the caller gives for this page of its file (zero_fingerprint: zeros).
///
/// A caller's fingerprint is that of the whole page as it will be (a capture knows nothing finer),
/// so it is taken as it is where the rest of the page is known to agree: a whole page, the start of
/// an empty page, a page that has that content already. Else old, new and range are mixed, so that
/// equal histories give equal contents and different ones differ (but for 1 in 2^64).
inline Fingerprint written_fingerprint(Fingerprint old, Fingerprint data, std::uint32_t offset,
                                       std::uint32_t length) {
    if (length == page_size || old == data) return data;
    if (old == zero_fingerprint && offset == 0) return data;
    std::uint64_t x = old ^ (data * 0x9e3779b97f4a7c15u);
    x ^= (std::uint64_t{offset} << 32 | length) * 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 29;
    return x == zero_fingerprint ? 1 : x;
}

}  // namespace xenfs::sim
