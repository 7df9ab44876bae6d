#include "model/client/write.h"

#include <algorithm>
#include <array>

#include "model/client/convert.h"
#include "model/client/read.h"

namespace xenfs::client {

/// Returns the page as a frame of our own that may be stored into at once, or kNoSlot where that
/// would need a yield. `whole` says that its old content does not matter.
Slot FileWriter::writable_slot(Node& node, std::uint64_t page, bool whole) {
    const Slot slot = pages_.find(node.file(), page);
    const bool there = slot != kNoSlot;
    if (there && !pages_.ready(slot)) return kNoSlot;
    if (there && pages_.has(slot, page_own)) return slot;
    // Processes that have the shared frame mapped must see the write there.
    if (there && (pages_.has(slot, page_writable) || pages_.cache().pins(slot) > 0)) return kNoSlot;
    const bool fresh = page >= node.state.pages();
    if (!there && !whole && !fresh) return kNoSlot;

    Frame frame;
    if (there) pages_.cache().pin(slot);  // making room must not take it
    const bool got = pages_.room_for_own(1) && pages_.take_frames(std::span<Frame>(&frame, 1)) == 1;
    if (there) pages_.cache().unpin(slot);
    if (!got) return kNoSlot;
    if (there) {
        if (!whole) memory_.copy(pages_.page(slot), host::Page::of_frame(frame));
        pages_.replace_by_own(slot, frame);
        return slot;
    }
    const Slot added = pages_.add_loading(node.file(), page);
    if (added == kNoSlot) {
        pages_.give_frame(frame);
        return kNoSlot;
    }
    if (!whole) memory_.zero(host::Page::of_frame(frame), 0, page_size);
    pages_.become_own(added, frame);
    return added;
}

/// Stores as much as it can without a yield, and returns the bytes stored.
std::size_t FileWriter::store_leased(Node& node, std::uint64_t offset, Buffer from,
                                     std::size_t buffer_offset) {
    std::array<host::Piece, chunk_pages> pieces;
    std::array<Slot, chunk_pages> slots;
    std::size_t count = 0, bytes = 0;
    const std::size_t length = from.length - buffer_offset;
    while (bytes < length && count < pieces.size()) {
        const std::uint64_t at = offset + bytes;
        const auto in_page = static_cast<std::uint16_t>(at % page_size);
        const auto part =
            static_cast<std::uint16_t>(std::min<std::size_t>(page_size - in_page, length - bytes));
        // Only a page that is overwritten entirely is whole; writable_slot() zeroes one that begins
        // behind the end of the file.
        const Slot slot = writable_slot(node, at >> page_shift, part == page_size);
        if (slot == kNoSlot) break;
        pages_.cache().pin(slot);  // making room for the next page must not take this one
        pieces[count] = {pages_.page(slot), in_page, part, buffer_offset + bytes};
        slots[count++] = slot;
        bytes += part;
    }
    if (count == 0) return 0;
    memory_.store(std::span<const host::Piece>(pieces).first(count), from);
    pages_.drop_range(node.kernel_file(), offset >> page_shift, (offset + bytes - 1) >> page_shift);
    flusher_.will_dirty(node);
    node.state.wrote(offset + bytes, clock_.world());
    const std::uint32_t dirty = pages_.dirty_pages(node.file());
    for (std::size_t i = 0; i < count; ++i) {
        pages_.mark_dirty(slots[i]);
        pages_.cache().unpin(slots[i]);
    }
    node.state.dirtied(pages_.dirty_pages(node.file()) - dirty);
    pages_.cache().touch(std::span<const Slot>(slots).first(count));
    clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
    stats_.page_hits += count;
    return bytes;
}

/// Removes what kept writable_slot() from succeeding; the caller tries again. `through` says that
/// this page can only be written in the shared frame.
int FileWriter::prepare_page(Node& node, std::uint64_t page, bool whole, bool& through) {
    through = false;
    const Slot slot = pages_.find(node.file(), page);
    if (slot != kNoSlot && !pages_.ready(slot)) {
        ++stats_.waits_for_page;
        exchange_.wait_for_page();
        return 0;
    }
    if (slot != kNoSlot && !pages_.has(slot, page_own) &&
        (pages_.has(slot, page_writable) || pages_.cache().pins(slot) > 0)) {
        through = true;
        return 0;
    }
    if (slot == kNoSlot && !whole && page < node.state.pages()) {
        const int error = fetch_.fetch(node, page, 1, 0, PageFetch::Use::read);
        return error == ENODATA ? 0 : error;
    }
    return flusher_.flush_oldest();
}

Result<std::size_t> FileWriter::write(Handle handle, std::uint64_t offset, Buffer from) {
    const OpenFile* const file = handles_.find(handle);
    const WriteMode mode =
        file == nullptr ? WriteMode{} : WriteMode{file->append, file->synchronous};
    const auto done = write(handle, offset, from, mode);
    if (!done) return Errno{done.error()};
    return done->bytes;
}

Result<Written> FileWriter::write(Handle handle, std::uint64_t offset, Buffer from,
                                  WriteMode mode) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr || !file->write) return Errno{EBADF};
    const NodeUse use(*file->node);
    Node& node = *use;
    Written done{offset, 0};
    if (mode.append) {
        const auto appended = append(node, from, mode.synchronous);
        if (!appended) return appended;
        done = *appended;
    } else {
        const auto bytes = write_at(node, offset, from, mode.synchronous);
        if (!bytes) return Errno{bytes.error()};
        done.bytes = *bytes;
    }
    if (mode.synchronous && done.bytes > 0 && node.state.leased()) {
        clock_.charge(costs_.syscall);
        if (int error = flusher_.sync(node, false)) return Errno{error};
    }
    return done;
}

Result<Written> FileWriter::append(Node& node, Buffer from, bool sync) {
    AppendTurn turn(shared_, exchange_, locks_, node);
    if (int error = turn.begin(++appends_)) return Errno{error};
    int error = attributes_.need_size(node);
    const std::uint64_t end = node.state.size();
    const Result<std::size_t> bytes =
        error != 0 ? Result<std::size_t>(Errno{error}) : write_at(node, end, from, sync);
    error = turn.end();
    if (!bytes) return Errno{error != 0 ? error : bytes.error()};
    return Written{end, *bytes};
}

/// With `sync`, what goes through is on the disk when it returns; what stays under the lease is
/// not.
Result<std::size_t> FileWriter::write_at(Node& node, std::uint64_t offset, Buffer from, bool sync) {
    if (pages_of(offset + from.length) > protocol::max_file_pages) return Errno{EFBIG};

    std::size_t done = 0;
    int error = 0;
    while (done < from.length && error == 0) {
        bool through = !node.state.leased();
        if (node.state.recalled() || node.changing) {
            exchange_.wait_for_page();
            continue;
        }
        if (!through && !node.state.size_known()) {
            // Which pages have content to keep is not known yet: the open that got the lease is
            // still asking.
            error = attributes_.refresh(node);
            continue;
        }
        if (!through) {
            done += store_leased(node, offset + done, from, done);
            if (done == from.length) break;
            const std::uint64_t at = offset + done;
            const bool whole = at % page_size == 0 && from.length - done >= page_size;
            error = prepare_page(node, at >> page_shift, whole, through);
        }
        if (!through || error != 0) continue;
        if (!node.state.leased() && (pages_.dirty_pages(node.file()) > 0 || node.flushing)) {
            error = flusher_.flush(node);  // what we wrote before under the lease goes first
            continue;
        }
        std::size_t stored = 0;
        error = store_through(node, offset + done, from, done, sync, stored);
        done += stored;
    }
    if (done == 0 && error != 0) return Errno{error};
    return done;
}

}  // namespace xenfs::client
