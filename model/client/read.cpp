// Reading: what is there is loaded at once, what is not is fetched.
#include <algorithm>
#include <array>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

/// The pieces of [offset, offset + length) up to the first page that is not there. No yield.
std::size_t Client::gather(const Node& node, std::uint64_t offset, std::size_t length,
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

/// How many pages to fetch beyond those wanted: doubling while the file is read in order.
std::uint32_t Client::plan_window(OpenFile& file, std::uint64_t page, std::uint64_t pages) {
    if (config_.readahead == 0 || page != file.next_page) {
        file.window = 0;
        return 0;
    }
    file.window = std::min(std::max(4u, 2 * file.window), config_.readahead);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(file.window, pages));
}

Result<std::size_t> Client::read(Handle handle, std::uint64_t offset, Buffer into) {
    OpenFile* file = handles_.find(handle);
    if (file == nullptr || !file->read) {
        clock_.charge(costs_.syscall);
        return Errno{EBADF};
    }
    // Most reads want one page that is there.
    Node& node = *file->node;
    const std::uint64_t page = offset >> page_shift;
    const std::size_t in_page = offset % page_size;
    if (node.size_valid && offset + into.length <= node.attr.size &&
        in_page + into.length <= page_size && into.length > 0) {
        const Slot slot = pages_.find(node.file(), page);
        if (slot != kNoSlot && pages_.ready(slot)) {
            const host::Piece piece{pages_.page(slot), static_cast<std::uint16_t>(in_page),
                                    static_cast<std::uint16_t>(into.length), 0};
            pages_.cache().touch(slot);
            clock_.charge(costs_.syscall + costs_.page_hit);
            memory_.load(std::span<const host::Piece>(&piece, 1), into);
            ++stats_.page_hits;
            node.uses.was_read(into.length, pages_.has(slot, page_once));
            if (pages_.has(slot, page_once) &&
                (in_page + into.length == page_size || offset + into.length == node.attr.size)) {
                pages_.used_up(slot);
                if (pages_.unmaps_at_once()) pages_.settle();
            }
            file->next_page = (offset + into.length + page_size - 1) >> page_shift;
            return into.length;
        }
    }
    clock_.charge(costs_.syscall);
    return read_pages(node, *file, offset, into);
}

Result<std::size_t> Client::read_pages(Node& node, OpenFile& file, std::uint64_t offset,
                                       Buffer into) {
    if (node.attr.type == FileType::directory) return Errno{EISDIR};
    if (!node.size_valid) {
        NodeUse use(node);
        if (int error = refresh(node)) return Errno{error};
    }
    if (offset >= node.attr.size) return std::size_t{0};
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.length, node.attr.size - offset));

    std::array<host::Piece, chunk_pages> pieces;
    std::array<Slot, chunk_pages> slots;
    std::size_t done = 0;
    int error = 0;
    while (done < length) {
        std::size_t bytes;
        const std::size_t count =
            gather(node, offset + done, length - done, done, pieces, slots, bytes);
        if (count > 0) {
            pages_.cache().touch(std::span<const Slot>(slots).first(count));
            clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
            memory_.load(std::span<const host::Piece>(pieces).first(count), into);
            stats_.page_hits += count;
            done += bytes;
            node.uses.was_read(bytes, pages_.has(slots[0], page_once));
            for (std::size_t i = 0; i < count; ++i) {
                if (!pages_.has(slots[i], page_once)) continue;
                const bool end = pieces[i].page_offset + pieces[i].length == page_size ||
                                 (i + 1 == count && offset + done == node.attr.size);
                if (end) pages_.used_up(slots[i]);
            }
            if (!doomed_.empty()) drop_doomed();
            continue;
        }
        NodeUse use(node);
        const std::uint64_t page = (offset + done) >> page_shift;
        const std::uint64_t last = (offset + length - 1) >> page_shift;
        const auto need = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(last - page + 1, protocol::max_pages_per_request / 2));
        // A read that crosses into pages not there yet goes on in order by itself.
        if (done > 0) file.next_page = page;
        const std::uint32_t window =
            plan_window(file, page, protocol::max_pages_per_request - need);
        error = fetch(node, page, need, window, policies::TransferRequest::Use::read);
        if (error == ENODATA) {  // the file ends before: somebody truncated it
            error = 0;
            break;
        }
        if (error != 0) break;
        file.next_page = page + need;
    }
    file.next_page = (offset + done + page_size - 1) >> page_shift;
    if (pages_.unmaps_at_once()) pages_.settle();
    if (done == 0 && error != 0) return Errno{error};
    return done;
}

}  // namespace xenfs::client
