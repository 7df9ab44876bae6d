#pragma once
// This part has the server do what needs no data to pass: allocate, free and zero ranges of files,
// copy within the export, and find data and holes.

#include "model/client/attributes.h"
#include "model/client/read.h"
#include "model/client/write.h"

namespace xenfs::client {

/// A server without an operation answers ENOSYS; programs see what a file system without it gives.
class FileRanges : Part {
  public:
    FileRanges(const Shared& shared, PageExchange& exchange, Flusher& flusher,
               Attributes& attributes, FileReader& reader, FileWriter& writer)
        : Part(shared),
          exchange_(exchange),
          flusher_(flusher),
          attributes_(attributes),
          reader_(reader),
          writer_(writer) {}

    /// As FileSystem::allocate.
    int allocate(Handle handle, std::uint32_t mode, std::uint64_t offset,
                 std::uint64_t length) MAY_YIELD;
    /// As FileSystem::seek.
    Result<std::uint64_t> seek(Handle handle, std::uint64_t offset, host::Seek what) MAY_YIELD;
    /// As FileSystem::copy; at most protocol::max_copy_bytes and two pages.
    struct Place {
        Handle handle = 0;
        std::uint64_t offset = 0;
    };
    Result<std::size_t> copy(Place from, Place to, std::size_t length) MAY_YIELD;

  private:
    Result<std::size_t> copy_by_hand(Place from, Place to, std::size_t length) MAY_YIELD;
    Result<std::size_t> copy_pages(Node& from, std::uint64_t from_offset, Node& to,
                                   std::uint64_t to_offset, std::size_t length) MAY_YIELD;
    void learn(Node& node, const protocol::Attr& attr, bool outdated);
    int send_allocate(Node& node, const protocol::FallocateIn& what) MAY_YIELD;
    void drop(const Node& node, std::uint64_t first, std::uint64_t last);

    PageExchange& exchange_;
    Flusher& flusher_;
    Attributes& attributes_;
    FileReader& reader_;
    FileWriter& writer_;
};

}  // namespace xenfs::client
