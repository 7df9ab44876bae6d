#pragma once
// What MemoryFileSystem keeps of one node; for its own source files.

#include "workloads/process/memory_file_system.h"

namespace xenfs::workloads {

struct MemoryFileSystem::Node {
    host::Attr attr;
    std::map<std::string, NodeId, std::less<>> entries;  // directories
    NodeId parent = 0;                                   // directories
    std::string target;                                  // symlinks
    std::map<std::uint64_t, Fingerprint> pages;          // by number; absent: zeros
    std::string bytes;  // where callers pass bytes; short of attr.size: zeros
    std::map<std::string, std::string, std::less<>> xattrs;
    std::vector<files::FileLock> locks;
    std::size_t opens = 0;
};

}  // namespace xenfs::workloads
