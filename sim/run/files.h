// Result files: written whole or not at all.
#pragma once

#include <string>
#include <string_view>

namespace xenfs::sim {

/// Writes beside `file` under a temporary name, syncs, then renames: a full disk or an interrupt
/// leaves an earlier `file` as it was, and no half of a new one. "-" is standard output. Throws
/// InputError: "out.json: cannot be written: No space left on device".
void write_whole(const std::string& file, std::string_view text);

}  // namespace xenfs::sim
