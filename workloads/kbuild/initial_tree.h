#pragma once
// The tree that a captured command found: to populate a simulated volume before a replay.

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "model/files/file_system.h"
#include "workloads/capture/capture.h"
#include "workloads/process/path.h"

namespace xenfs::workloads {

struct InitialEntry {
    std::string path;  ///< absolute, with the guest's prefixes applied
    host::FileType type = host::FileType::regular;
    std::uint32_t mode = 0;  ///< permission bits
    std::string_view symlink_target;
    std::uint64_t size = 0;                 ///< bytes; regular files
    std::span<const Fingerprint> contents;  ///< a fingerprint for each page; regular files
    FileId file = kNone;                    ///< equal for hard links; regular files
};

/// Which part of the tree: what the prefixes make a guest's own, or what all guests share.
enum class TreePart : std::uint8_t { all, own, shared };

/// Calls `entry` for each initial file, directory and symlink, parents first. Directories that lead
/// to a mapped prefix ("/guests", "/guests/3") come with it, mode 0755; the root never comes.
void for_each_initial(const Capture& capture, const PrefixMap& prefixes, TreePart part,
                      const std::function<void(const InitialEntry&)>& entry);

/// The same, written through file operations (as root, sizes and contents included): for tests and
/// small trees. Existing directories are left as they are. Throws std::runtime_error.
void write_initial_tree(files::FileSystem& fs, const Capture& capture, const PrefixMap& prefixes,
                        TreePart part = TreePart::all);

}  // namespace xenfs::workloads
