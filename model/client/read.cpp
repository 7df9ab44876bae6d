#include "model/client/read.h"

#include <algorithm>

#include "model/client/convert.h"

namespace xenfs::client {

/// Lists the pieces of [offset, offset + length) up to the first page that is not there, without a
/// yield.
std::size_t FileReader::gather(const Node& node, std::uint64_t offset, std::size_t length,
                               std::size_t buffer_offset, std::span<host::Piece> pieces,
                               std::span<Slot> slots, std::size_t& bytes) {
    std::size_t count = 0;
    bytes = 0;
    while (bytes < length && count < pieces.size()) {
        const std::uint64_t at = offset + bytes;
        const Slot slot = pages_.find(node.file(), at >> page_shift);
        if (slot == kNoSlot || !pages_.ready(slot)) break;
        const auto in_page = static_cast<std::uint16_t>(at % page_size);
        const auto part =
            static_cast<std::uint16_t>(std::min<std::size_t>(page_size - in_page, length - bytes));
        pieces[count] = {pages_.page(slot), in_page, part, buffer_offset + bytes};
        slots[count++] = slot;
        bytes += part;
    }
    return count;
}

/// Fetches the page at offset + done, which is missing, and those behind it; at most `most` are
/// wanted.
int FileReader::fetch_for(Node& node, Handle handle, std::uint64_t offset, std::size_t done,
                          std::size_t length, std::size_t most) {
    const std::uint64_t page = (offset + done) >> page_shift;
    const std::uint64_t last = (offset + length - 1) >> page_shift;
    const auto need =
        static_cast<std::uint32_t>(std::min<std::uint64_t>({last - page + 1, most, chunk_pages}));
    // A read that crosses into pages not there yet is sequential by itself.
    if (done > 0) expect(handle, page);
    OpenFile* const file = handles_.find(handle);
    const std::uint32_t window =
        file == nullptr
            ? 0
            : file->order.window(page, config_.readahead, protocol::max_pages_per_request - need);
    const int error = fetch_.fetch(node, page, need, window, PageFetch::Use::read);
    if (error == 0) expect(handle, page + need);
    return error;
}

/// Serves the common read of one page that is there. Returns false where this read is another.
bool FileReader::read_one(Node& node, OpenFile& file, std::uint64_t offset, Buffer into) {
    const std::size_t in_page = offset % page_size;
    const std::uint64_t end = offset + into.length;
    if (!node.state.size_known() || end > node.state.size() || in_page + into.length > page_size ||
        into.length == 0) {
        return false;
    }
    const Slot slot = pages_.find(node.file(), offset >> page_shift);
    if (slot == kNoSlot || !pages_.ready(slot)) return false;
    const host::Piece piece{pages_.page(slot), static_cast<std::uint16_t>(in_page),
                            static_cast<std::uint16_t>(into.length), 0};
    pages_.cache().touch(slot);
    clock_.charge(costs_.syscall + costs_.page_hit);
    memory_.load(std::span<const host::Piece>(&piece, 1), into);
    ++stats_.page_hits;
    node.uses.was_read(into.length, pages_.has(slot, page_once));
    if (pages_.has(slot, page_once) &&
        (in_page + into.length == page_size || end == node.state.size())) {
        pages_.used_up(slot);
        if (pages_.unmaps_at_once()) pages_.settle();
    }
    file.order.expect((end + page_size - 1) >> page_shift);
    return true;
}

Result<std::size_t> FileReader::read(Handle handle, std::uint64_t offset, Buffer into) {
    OpenFile* const file = handles_.find(handle);
    const bool readable = file != nullptr && file->read;
    if (readable && read_one(*file->node, *file, offset, into)) return into.length;
    clock_.charge(costs_.syscall);
    if (!readable) return Errno{EBADF};
    const NodeUse use(*file->node);
    Node& node = *use;
    if (node.state.attr().type == FileType::directory) return Errno{EISDIR};
    if (int error = attributes_.need_size(node)) return Errno{error};
    if (offset >= node.state.size()) return std::size_t{0};
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.length, node.state.size() - offset));
    const auto done = walk(
        node, handle, offset, length, SIZE_MAX,
        [&](std::span<const host::Piece> pieces, std::span<const Slot> slots, std::uint64_t end) {
            memory_.load(pieces, into);
            std::size_t bytes = 0;
            for (const host::Piece& piece : pieces) bytes += piece.length;
            node.uses.was_read(bytes, pages_.has(slots[0], page_once));
            for (std::size_t i = 0; i < slots.size(); ++i) {
                if (!pages_.has(slots[i], page_once)) continue;
                const bool whole = pieces[i].page_offset + pieces[i].length == page_size ||
                                   (i + 1 == slots.size() && end == node.state.size());
                if (whole) pages_.used_up(slots[i]);
            }
            fetch_.drop_outdated();
        });
    if (pages_.unmaps_at_once()) pages_.settle();
    return done;
}

}  // namespace xenfs::client
