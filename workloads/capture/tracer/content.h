// Fingerprints of files' pages as they lie on the disk now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

struct Content {
    std::uint64_t size_bytes = 0;
    std::vector<Fingerprint> pages;
};

// XXH3-64 of one page (kPageBytes bytes) by the rule of Fingerprint.
[[nodiscard]] Fingerprint fingerprint_of_page(const void* page);

// Larger files get made-up fingerprints (of their name, their size and the page's number): hashing
// terabytes would hold the command up for the sake of pages that nobody reads.
inline constexpr std::uint64_t kMaxHashedBytes = std::uint64_t{4} << 30;

// Content of the open file `fd`; `name` only serves made-up fingerprints. A page that cannot be
// read counts as zeros.
[[nodiscard]] Content read_content(int fd, const std::string& name);
// The same by name; empty content if it cannot be opened.
[[nodiscard]] Content read_content(const std::string& file);

}  // namespace xenfs::workloads
