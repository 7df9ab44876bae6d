// Counts of a capture: what `xenfs-capture info` and `diff` print.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

struct Summary {
    std::uint64_t processes = 0, jobs = 0, ops = 0;
    std::array<std::uint64_t, kOpCodes> by_code{};
    std::uint64_t opens = 0, opens_enoent = 0,
                  negative_lookups = 0;  // the last: ENOENT by name, any operation
    std::uint64_t bytes_read = 0, bytes_written = 0, bytes_mapped = 0;
    std::uint64_t files = 0, files_initial = 0, files_written = 0,
                  temporaries = 0;  // temporaries: made and unlinked
    std::uint64_t paths = 0, directories = 0, symlinks = 0;
    std::uint64_t pages = 0, unique_pages = 0;  // over all versions
    std::uint64_t initial_pages = 0, unique_initial_pages = 0;
    std::uint64_t output_pages = 0,
                  unique_output_pages =
                      0;  // last versions of written files that outlived the command
    std::uint64_t user_ns = 0, system_ns = 0;
    std::uint64_t predecessor_edges = 0, kbuild_targets = 0, kbuild_dependencies = 0;
};
[[nodiscard]] Summary summarize(const Capture& capture);

// How much of b's outputs (last versions of written files that outlived the command) is already
// there in a.
struct Overlap {
    std::uint64_t pages = 0;          // b's output pages
    std::uint64_t in_a_outputs = 0;   // their content is in one of a's output pages
    std::uint64_t in_a_anywhere = 0;  // or in any page of any version in a
    std::uint64_t same_place = 0;     // a has the same page at the same path and page number
    std::uint64_t files = 0,
                  identical_files = 0;  // b's output files; those with equal path and content in a
};
[[nodiscard]] Overlap compare(const Capture& a, const Capture& b);

[[nodiscard]] std::string info_text(const Capture& capture);
[[nodiscard]] std::string info_json(const Capture& capture);

}  // namespace xenfs::workloads
