#pragma once
// This part has the server do what needs no data to pass: allocate, free and zero ranges of files,
// and find data and holes.

#include "model/client/attributes.h"

namespace xenfs::client {

/// A server without an operation answers ENOSYS; programs see what a file system without it gives.
class FileRanges : Part {
  public:
    FileRanges(const Shared& shared, PageExchange& exchange, Flusher& flusher,
               Attributes& attributes)
        : Part(shared), exchange_(exchange), flusher_(flusher), attributes_(attributes) {}

    /// As FileSystem::allocate.
    int allocate(Handle handle, std::uint32_t mode, std::uint64_t offset,
                 std::uint64_t length) MAY_YIELD;
    /// As FileSystem::seek.
    Result<std::uint64_t> seek(Handle handle, std::uint64_t offset, host::Seek what) MAY_YIELD;

  private:
    int send_allocate(Node& node, const protocol::FallocateIn& what) MAY_YIELD;
    void drop(const Node& node, std::uint64_t first, std::uint64_t last);

    PageExchange& exchange_;
    Flusher& flusher_;
    Attributes& attributes_;
};

}  // namespace xenfs::client
