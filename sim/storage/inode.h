#pragma once
// What a volume keeps of one file.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/host/storage.h"
#include "sim/storage/block_allocator.h"
#include "sim/storage/directory.h"

namespace xenfs::sim {

using host::Attr;

/// Pages [page, page + count) of a file lie in blocks [block, block + count) of its volume.
struct FileExtent {
    std::uint64_t page = 0, block = 0, count = 0;
};

/// Copied when a volume changes a file that it shares with its base image.
struct Inode {
    Attr attr;
    NodeId parent = 0;                ///< of a directory: where its name is; the root's is itself
    std::vector<Fingerprint> pages;   ///< as on the disk; pages behind the last are zeros
    std::vector<FileExtent> extents;  ///< by page, not overlapping
    std::unique_ptr<Directory> directory;
    std::string target;  ///< of a symbolic link
    std::map<std::string, std::string, std::less<>> xattrs;

    Inode() = default;
    Inode(const Inode& other)
        : attr(other.attr),
          parent(other.parent),
          pages(other.pages),
          extents(other.extents),
          directory(other.directory ? std::make_unique<Directory>(*other.directory) : nullptr),
          target(other.target),
          xattrs(other.xattrs) {}
    Inode& operator=(const Inode&) = delete;
};

}  // namespace xenfs::sim
