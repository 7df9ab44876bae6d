#pragma once
// The FileReader reads: pages that are there are used at once, others are fetched.

#include <array>
#include <span>

#include "model/client/attributes.h"
#include "model/client/fetch.h"
#include "model/client/handles.h"

namespace xenfs::client {

/// how many pages are handled between two checks for missing ones
inline constexpr std::size_t chunk_pages = 128;

class FileReader : Part {
  public:
    FileReader(const Shared& shared, Attributes& attributes, PageFetch& fetch)
        : Part(shared), attributes_(attributes), fetch_(fetch) {}

    Result<std::size_t> read(Handle handle, std::uint64_t offset, Buffer into) MAY_YIELD;

    /// Walks over [offset, offset + length) of the node, which lies before the end of the file.
    /// `use(pieces, slots, end)` gets the pages that are there, in order, in at most `most` pieces
    /// altogether; missing ones are fetched in between. `use` must not yield. Returns the bytes
    /// used, which are fewer than `length` after `most` pieces or where somebody truncated the
    /// file.
    template <class Use>
    Result<std::size_t> walk(Node& node, Handle handle, std::uint64_t offset, std::size_t length,
                             std::size_t most, Use&& use) MAY_YIELD;

  private:
    using Pieces = std::array<host::Piece, chunk_pages>;
    using Slots = std::array<Slot, chunk_pages>;
    bool read_one(Node& node, OpenFile& file, std::uint64_t offset, Buffer into);
    std::size_t gather(const Node& node, std::uint64_t offset, std::size_t length,
                       std::size_t buffer_offset, std::span<host::Piece> pieces,
                       std::span<Slot> slots, std::size_t& bytes);
    int fetch_for(Node& node, Handle handle, std::uint64_t offset, std::size_t done,
                  std::size_t length, std::size_t most) MAY_YIELD;
    /// Sets where the reader continues. The handle may have been closed while it yielded.
    void expect(Handle handle, std::uint64_t page) {
        if (OpenFile* const file = handles_.find(handle)) file->order.expect(page);
    }
    Attributes& attributes_;
    PageFetch& fetch_;
};

template <class Use>
Result<std::size_t> FileReader::walk(Node& node, Handle handle, std::uint64_t offset,
                                     std::size_t length, std::size_t most, Use&& use) {
    const NodeUse node_use(node);
    Pieces pieces;
    Slots slots;
    std::size_t done = 0, used = 0;
    int error = 0;
    while (done < length && used < most && error == 0) {
        std::size_t bytes;
        const auto room = std::span<host::Piece>(pieces).first(std::min(chunk_pages, most - used));
        const std::size_t count =
            gather(node, offset + done, length - done, done, room, slots, bytes);
        if (count == 0) {
            error = fetch_for(node, handle, offset, done, length, most - used);
            continue;
        }
        const auto there = std::span<const Slot>(slots).first(count);
        pages_.cache().touch(there);
        clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
        stats_.page_hits += count;
        done += bytes;
        used += count;
        use(std::span<const host::Piece>(room.first(count)), there, offset + done);
    }
    expect(handle, (offset + done + page_size - 1) >> page_shift);
    if (done == 0 && error != 0 && error != ENODATA) return Errno{error};
    return done;
}

}  // namespace xenfs::client
