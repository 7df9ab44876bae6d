// Writing without a lease stores into the shared cache's frames, and commits before the write
// returns.
#include <algorithm>
#include <array>

#include "model/client/convert.h"
#include "model/client/write.h"

namespace xenfs::client {

using policies::Mechanism;
using protocol::PageMode;

namespace {

constexpr std::uint32_t most_pages = 128;  ///< the most of one write-through request

}  // namespace

/// One step writes a run of whole pages, or a part of one page.
struct FileWriter::Through {
    PageRequest request;
    bool part = false;
    bool map = false, flip = false;  ///< copied where neither
    std::uint16_t in_page = 0;       ///< where the data begins in its first page
    std::uint16_t piece_length = 0;  ///< how many bytes go into each page
    std::size_t buffer_offset = 0;

    Through(std::uint64_t offset, std::size_t length, std::size_t at_buffer)
        : part(offset % page_size != 0 || length < page_size),
          in_page(static_cast<std::uint16_t>(offset % page_size)),
          buffer_offset(at_buffer) {
        const std::size_t piece = part ? std::min(page_size - in_page, length) : page_size;
        piece_length = static_cast<std::uint16_t>(piece);
        request.first = offset >> page_shift;
        request.count = static_cast<std::uint32_t>(
            part ? 1 : std::min<std::size_t>(length / page_size, most_pages));
        request.head = in_page;
        request.tail = static_cast<std::uint16_t>(page_size - in_page - piece);
    }
    host::Piece piece(host::Page page, std::size_t i) const {
        return {page, in_page, piece_length, buffer_offset + i * page_size};
    }
};

/// Stores directly into the cache's frames, which are mapped for this only.
int FileWriter::store_mapped(const Through& step, Buffer from, std::uint32_t& good) {
    std::array<MapHandle, most_pages> handles;
    std::array<GrantStatus, most_pages> status;
    std::array<host::Piece, most_pages> mapped;
    const auto entries = step.request.entries();
    const std::size_t count = entries.size();
    host_.grants().map(connection_.pool(), entries, Access::read_write,
                       std::span(handles).first(count), std::span(status).first(count));
    good = 0;
    std::size_t all = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (status[i] != GrantStatus::okay) continue;
        if (good == i) mapped[good++] = step.piece(host::Page::of_mapping(handles[i]), i);
        handles[all++] = handles[i];
    }
    if (good > 0) memory_.store(std::span<const host::Piece>(mapped).first(good), from);
    if (all > 0) host_.grants().unmap(std::span<const MapHandle>(handles).first(all));
    stats_.pages_stored_mapped += good;
    return 0;
}

/// Stores whole pages into frames of our own, and copies or flips those.
int FileWriter::store_staged(const Through& step, Buffer from, std::uint32_t& good) {
    std::array<Frame, most_pages> frames;
    std::array<host::Piece, most_pages> pieces;
    good = 0;
    const auto entries = step.request.entries();
    const std::size_t got =
        pages_.take_or_make_frames(std::span<Frame>(frames).first(entries.size()));
    if (got == 0) return ENOMEM;
    for (std::size_t i = 0; i < got; ++i) {
        pieces[i] = step.piece(host::Page::of_frame(frames[i]), i);
    }
    memory_.store(std::span<const host::Piece>(pieces).first(got), from);
    const auto own = std::span<const Frame>(frames).first(got);
    if (step.flip) {
        good = exchange_.flip_in(own, entries.first(got));
        return 0;
    }
    good = exchange_.copy_in(own, entries.first(got));
    for (const Frame frame : own) pages_.give_frame(frame);
    return 0;
}

/// Drops our own copies of pages that were just written elsewhere, and mappings of pages that have
/// another frame now.
void FileWriter::outdate_own(Node& node, const Through& step, std::uint32_t count) {
    const std::uint64_t first = step.request.first;
    for (std::uint32_t i = 0; i < count; ++i) {
        const Slot slot = pages_.find(node.file(), first + i);
        if (slot == kNoSlot) continue;
        const bool moved = step.flip || (step.request.entry_flags[i] & protocol::entry_moved) != 0;
        if (!pages_.ready(slot)) {
            pages_.set_flag(slot, page_outdated);
        } else if (pages_.has(slot, page_own) || moved) {
            pages_.drop(slot);
        }
    }
    pages_.drop_range(node.kernel_file(), first, first + count - 1);
}

/// `stored` says how many bytes were committed.
int FileWriter::store_through(Node& node, std::uint64_t offset, Buffer from,
                              std::size_t buffer_offset, bool sync, std::size_t& stored) {
    stored = 0;
    Through step(offset, from.length - buffer_offset, buffer_offset);
    PageRequest& request = step.request;  // survives yields: a local's
    // Part of a page is stored in place. If it were copied in from a frame of ours, old bytes would
    // overwrite what another guest writes beside it.
    const Mechanism mechanism =
        step.part ? Mechanism::map
                  : choice_.decide(node, TransferChoice::Use::write, request.count).mechanism;
    step.map = mechanism == Mechanism::map;
    step.flip = mechanism == Mechanism::flip;
    request.mode = step.flip ? PageMode::flip_in : PageMode::copy_in;
    const PageExchange::EntriesOut entries_out(exchange_);
    if (int error = exchange_.get(node, request)) return error;

    std::uint32_t good = 0;
    int error = step.map ? store_mapped(step, from, good) : store_staged(step, from, good);
    if (exchange_.put_back(request, good)) exchange_.release_at_once(request.urgency);
    if (error != 0) return error;
    if (good == 0) return 0;  // every entry was revoked before we used it; try again
    const std::size_t bytes = step.part ? step.piece_length : good * page_size;
    PageCommit what;
    what.offset = offset;
    what.length = bytes;
    what.mode = request.mode;
    what.refs = request.entries().first(good);
    what.flags = sync ? protocol::commit_sync : 0;
    error = exchange_.commit(node, what);
    outdate_own(node, step, good);
    exchange_.page_changed();
    if (error == ESTALE) return 0;  // another guest cut the file meanwhile: again
    if (error != 0) return error;
    stored = bytes;
    if (node.state.leased()) node.state.wrote(offset + bytes, clock_.world());
    return 0;
}

}  // namespace xenfs::client
