#pragma once
// Contents as fingerprints: what a program writes, and what a page holds after it was written in
// part.

#include "model/host/types.h"

namespace xenfs::workloads {

/// Mixes 64 bits so that each output bit depends on each input bit (the finaliser of SplitMix64;
/// Steele, Lea, Flood, OOPSLA 2014).
constexpr std::uint64_t mix64(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

constexpr std::uint64_t mix64(std::uint64_t a, std::uint64_t b) {
    return mix64(a ^ mix64(b));
}

/// A made-up page, never the page of zeros.
constexpr Fingerprint made_content(std::uint64_t a, std::uint64_t b, std::uint64_t c = 0) {
    const Fingerprint f = mix64(a, mix64(b, c));
    return f == zero_fingerprint ? 1 : f;
}

/// The content of a page that held `old` after bytes [offset, offset + length) of it were written
/// from a page of content `data`. Exact in three cases, since `data` stands for a page whose other
/// bytes are zero or those that its writer will still write: a whole page, a page of zeros, and a
/// page that is `data` already. Else a mix of all that it depends on, so that equal histories give
/// equal contents.
constexpr Fingerprint overwrite(Fingerprint old, Fingerprint data, std::uint32_t offset,
                                std::uint32_t length) {
    if (length == page_size || old == zero_fingerprint || old == data) return data;
    return made_content(old, data, (std::uint64_t{offset} << 32) | length);
}

}  // namespace xenfs::workloads
