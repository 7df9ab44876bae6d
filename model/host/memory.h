#pragma once
#include <span>

#include "model/host/types.h"

namespace xenfs::host {

/// A page that this domain can address: a frame of its own, or a mapping of a peer's frame.
struct Page {
    enum class Kind : std::uint8_t { none, frame, mapping };
    std::uint32_t id = 0;
    Kind kind = Kind::none;

    static Page of_frame(Frame frame) { return {frame, Kind::frame}; }
    static Page of_mapping(MapHandle handle) { return {handle, Kind::mapping}; }
};

/// The data that a program reads or writes; it passes through the core unseen. A real host uses
/// `bytes`. The simulator uses `pages`: one fingerprint for each page of the *file* that the range
/// touches, in order, so that pages[0] belongs to file page offset / page_size. Null where the
/// caller does not need the data (a simulated read). Not owned.
struct Buffer {
    std::byte* bytes = nullptr;
    Fingerprint* pages = nullptr;
    std::size_t length = 0;  ///< bytes
};

/// A piece of a page and the piece of a caller's buffer that belongs to it.
struct Piece {
    Page page;
    std::uint16_t page_offset = 0;
    std::uint16_t length = 0;       ///< bytes, 1 … page_size
    std::size_t buffer_offset = 0;  ///< bytes
};

/// Page contents. The core says what shall happen to them; the host does it, or charges for it. A
/// simulated page that is written in part gets a fingerprint mixed from the old one, the new data's
/// and the range, so that equal histories give equal contents.
class Memory {
  public:
    virtual ~Memory() = default;
    virtual void load(std::span<const Piece> pieces, Buffer into) = 0;
    virtual void store(std::span<const Piece> pieces, Buffer from) = 0;
    virtual void zero(Page page, std::uint16_t offset, std::uint16_t length) = 0;
    virtual void copy(Page from, Page to) = 0;  ///< a whole page
    virtual void hash(std::span<const Page> pages, std::span<Fingerprint> out) = 0;
    virtual bool equal(Page a, Page b) = 0;
    /// Returns the bytes themselves, for pages of rings and messages only (those from
    /// allocate_shared).
    virtual std::byte* bytes(Page page) = 0;
    /// Allocates a zeroed frame of this domain that has bytes behind it on every host, for rings.
    virtual Result<Frame> allocate_shared() = 0;
    virtual void release_shared(Frame frame) = 0;
};

}  // namespace xenfs::host
