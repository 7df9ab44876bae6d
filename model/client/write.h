#pragma once
// The FileWriter writes. Under the file's exclusive lease, data goes into frames of our own that
// reach the server later (flush.h); without it, data goes through to the server before the write
// returns (write_through.cpp).

#include "model/client/attributes.h"
#include "model/client/fetch.h"
#include "model/client/handles.h"
#include "model/client/locks.h"

namespace xenfs::client {

/// What one write is to be, which may differ from what its file was opened for (fcntl(2) changes
/// O_APPEND, pwritev2(2) asks for one durable write).
struct WriteMode {
    bool append = false;
    bool synchronous = false;
};

/// Where a write went, which for an append only the writer of it learns.
struct Written {
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
};

/// Invariant: a page becomes dirty only while FileState::may_dirty(), with no yield between the
/// check and the mark.
class FileWriter : Part {
  public:
    FileWriter(const Shared& shared, TransferChoice& choice, PageExchange& exchange,
               Flusher& flusher, PageFetch& fetch, Attributes& attributes, Locks& locks)
        : Part(shared),
          choice_(choice),
          exchange_(exchange),
          flusher_(flusher),
          fetch_(fetch),
          attributes_(attributes),
          locks_(locks) {}

    /// Writes as the file was opened.
    Result<std::size_t> write(Handle handle, std::uint64_t offset, Buffer from) MAY_YIELD;
    Result<Written> write(Handle handle, std::uint64_t offset, Buffer from,
                          WriteMode mode) MAY_YIELD;

  private:
    Result<Written> append(Node& node, Buffer from, bool sync) MAY_YIELD;
    Result<std::size_t> write_at(Node& node, std::uint64_t offset, Buffer from,
                                 bool sync) MAY_YIELD;
    // Writing under the lease
    std::size_t store_leased(Node& node, std::uint64_t offset, Buffer from,
                             std::size_t buffer_offset);
    Slot writable_slot(Node& node, std::uint64_t page, bool whole);
    int prepare_page(Node& node, std::uint64_t page, bool whole, bool& through) MAY_YIELD;
    // Writing through (write_through.cpp)
    struct Through;
    int store_through(Node& node, std::uint64_t offset, Buffer from, std::size_t buffer_offset,
                      bool sync, std::size_t& stored) MAY_YIELD;
    int store_mapped(const Through& step, Buffer from, std::uint32_t& good);
    int store_staged(const Through& step, Buffer from, std::uint32_t& good);
    void outdate_own(Node& node, const Through& step, std::uint32_t count);
    TransferChoice& choice_;
    PageExchange& exchange_;
    Flusher& flusher_;
    PageFetch& fetch_;
    Attributes& attributes_;
    Locks& locks_;
    std::uint64_t appends_ = 0;  ///< numbers the owners of append locks
};

}  // namespace xenfs::client
