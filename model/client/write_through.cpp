// Writing without a lease: into the shared cache's frames, committed before the write returns.
#include <algorithm>
#include <array>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using policies::Mechanism;
using protocol::PageMode;

namespace {

constexpr std::uint32_t most_pages = 128;  ///< of one write-through request

}  // namespace

/// Asks for entries to write [first_page, + count) until some come or there is no hope. The caller
/// counts as EntriesOut until it has committed or given them back.
int Client::get_for_write(Node& node, const protocol::PagesGetIn& what, bool urgent,
                          std::span<GrantRef> refs, std::span<std::uint32_t> flags,
                          std::uint32_t& granted) {
    granted = 0;
    bool wait = false;
    for (int attempt = 0;; ++attempt) {
        protocol::PagesGetIn in = what;
        in.flags = wait ? protocol::get_wait : 0;
        in.fh = node.fh_valid ? node.fh : 0;
        std::uint16_t reply_flags = 0;
        int error = 0;
        {
            Call call(connection_, protocol::Opcode::pages_get, node.id, urgent);
            std::array<GrantRef, protocol::max_release_per_request> released;
            in.release_count = static_cast<std::uint32_t>(pages_.take_released(released));
            call.put(in);
            call.put_refs(std::span<const GrantRef>(released).first(in.release_count));
            error = call.send();
            if (error == 0) {
                const auto out = call.get<protocol::PagesGetOut>();
                const auto got =
                    call.reader().get_array<protocol::PageEntry>(std::min(out.granted, what.count));
                if (!call.ok() || out.granted > what.count) return EIO;
                granted = out.granted;
                reply_flags = out.flags;
                for (std::uint32_t i = 0; i < granted; ++i) {
                    refs[i] = got[i].gref;
                    flags[i] = got[i].flags;
                }
            }
        }
        if (error == EBADF && attempt < 8 && open_again(node, in.fh)) continue;
        if (error != 0 || granted > 0) return error;
        if (int refusal = make_room(reply_flags, what.count, attempt, wait)) return refusal;
    }
}

int Client::commit(Node& node, std::uint64_t offset, std::uint64_t length, PageMode mode,
                   std::span<const GrantRef> refs, std::uint16_t flags, bool urgent) {
    for (int attempt = 0;; ++attempt) {
        Call call(connection_, protocol::Opcode::pages_commit, node.id, urgent);
        protocol::PagesCommitIn in{};
        in.fh = node.fh_valid ? node.fh : 0;
        in.offset = offset;
        in.length = length;
        in.mode = static_cast<std::uint16_t>(mode);
        in.flags = flags;
        in.ref_count = static_cast<std::uint32_t>(refs.size());
        if ((flags & protocol::commit_mtime) != 0) {
            in.mtime = static_cast<std::uint64_t>(node.attr.mtime / second);
            in.mtimensec = static_cast<std::uint32_t>(node.attr.mtime % second);
        }
        call.put(in);
        call.put_refs(refs);
        const int error = call.send();
        if (error == EBADF && attempt < 8 && open_again(node, in.fh)) continue;
        if (error != 0) return error;
        const auto out = call.get<protocol::PagesCommitOut>();
        if (!call.ok()) return EIO;
        const bool doomed = call.node_doomed();
        connection_.doom_node(node.id);
        if (!node.lease) {
            // Its times are the server's; its size is known if we are told of changes to it, which
            // a commit by itself does not bring about.
            const bool told = node.size_valid && !doomed;
            forget_attributes(node);
            node.attr.size = out.file_size;
            node.size_valid = told;
        }
        return 0;
    }
}

/// Copies own frames into the cache's; how many went well, from the first.
std::uint32_t Client::copy_in(std::span<const Frame> frames, std::span<const GrantRef> refs) {
    std::array<host::CopyOperation, protocol::max_pages_per_request> operations;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        operations[i] = {};
        operations[i].source.frame = frames[i];
        operations[i].destination.domain = connection_.pool();
        operations[i].destination.reference = refs[i];
        operations[i].length = page_size;
    }
    const auto batch = std::span(operations).first(frames.size());
    if (!batch.empty()) host_.grants().copy(batch);
    std::uint32_t good = 0;
    while (good < batch.size() && batch[good].status == GrantStatus::okay) ++good;
    stats_.pages_copied_in += good;
    return good;
}

/// Gives own frames away; how many arrived, from the first. All are lost to us.
std::uint32_t Client::flip_in(std::span<const Frame> frames, std::span<const GrantRef> refs) {
    std::array<host::TransferOperation, protocol::max_pages_per_request> operations;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        operations[i] = {frames[i], connection_.pool(), refs[i], GrantStatus::okay};
    }
    const auto batch = std::span(operations).first(frames.size());
    if (!batch.empty()) host_.grants().transfer(batch);
    std::uint32_t good = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        // Only a page that Xen would not touch is still ours.
        if (batch[i].status == GrantStatus::bad_page) pages_.give_frame(batch[i].frame);
        if (good == i && batch[i].status == GrantStatus::okay) ++good;
    }
    stats_.pages_flipped_in += good;
    return good;
}

/// Stores straight into the cache's frames, mapped for the moment.
int Client::store_mapped(Node&, std::span<const host::Piece> pieces, Buffer from,
                         std::span<const GrantRef> refs, std::uint32_t& good) {
    std::array<MapHandle, most_pages> handles;
    std::array<GrantStatus, most_pages> status;
    std::array<host::Piece, most_pages> mapped;
    const std::size_t count = pieces.size();
    host_.grants().map(connection_.pool(), refs.first(count), Access::read_write,
                       std::span(handles).first(count), std::span(status).first(count));
    good = 0;
    std::size_t all = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (status[i] != GrantStatus::okay) continue;
        if (good == i) {
            mapped[good] = pieces[i];
            mapped[good++].page = host::Page::of_mapping(handles[i]);
        }
        handles[all++] = handles[i];
    }
    if (good > 0) memory_.store(std::span<const host::Piece>(mapped).first(good), from);
    if (all > 0) host_.grants().unmap(std::span<const MapHandle>(handles).first(all));
    stats_.pages_stored_mapped += good;
    return 0;
}

/// Stores whole pages into frames of our own and copies or flips those.
int Client::store_staged(Node&, std::uint32_t count, Buffer from, std::size_t buffer_offset,
                         std::span<const GrantRef> refs, bool flip, std::uint32_t& good) {
    std::array<Frame, most_pages> frames;
    std::array<host::Piece, most_pages> pieces;
    good = 0;
    const auto wanted = std::span<Frame>(frames).first(count);
    const auto got = static_cast<std::uint32_t>(pages_.take_or_make_frames(wanted));
    if (got == 0) return ENOMEM;
    for (std::uint32_t i = 0; i < got; ++i) {
        pieces[i] = {host::Page::of_frame(frames[i]), 0, page_size,
                     buffer_offset + std::size_t{i} * page_size};
    }
    memory_.store(std::span<const host::Piece>(pieces).first(got), from);
    const auto own = std::span<const Frame>(frames).first(got);
    if (flip) {
        good = flip_in(own, refs.first(got));
        return 0;
    }
    good = copy_in(own, refs.first(got));
    for (const Frame frame : own) pages_.give_frame(frame);
    return 0;
}

/// Our own copies of pages that were just written elsewhere are old now.
void Client::written(Node& node, std::uint64_t first, std::uint32_t count,
                     std::span<const std::uint32_t> flags) {
    for (std::uint32_t i = 0; i < count; ++i) {
        const Slot slot = pages_.find(node.file(), first + i);
        if (slot != kNoSlot && !pages_.ready(slot)) {
            pages_.set_flag(slot, page_doomed);
        } else if (slot != kNoSlot &&
                   (pages_.has(slot, page_own) || (flags[i] & protocol::entry_moved) != 0)) {
            pages_.drop(slot);
        }
    }
    pages_.drop_range(node.kernel_file(), first, first + count - 1);
}

/// One step of a write: a run of whole pages, or a part of one. `stored`: bytes that were
/// committed.
int Client::store_through(Node& node, std::uint64_t offset, Buffer from, std::size_t buffer_offset,
                          bool sync, std::size_t& stored) {
    stored = 0;
    const std::size_t length = from.length - buffer_offset;
    const std::uint64_t first = offset >> page_shift;
    const auto in_page = static_cast<std::uint16_t>(offset % page_size);
    const bool part = in_page != 0 || length < page_size;
    const auto count =
        part ? 1u
             : static_cast<std::uint32_t>(std::min<std::size_t>(length / page_size, most_pages));
    const auto piece_length =
        part ? static_cast<std::uint16_t>(std::min<std::size_t>(page_size - in_page, length))
             : static_cast<std::uint16_t>(page_size);
    // Part of a page is stored in place: copied in from a frame of ours it would carry old bytes
    // over what another guest writes beside it.
    const Mechanism mechanism =
        part ? Mechanism::map
             : decide(node, policies::TransferRequest::Use::write, count).mechanism;
    const bool flip = mechanism == Mechanism::flip;
    const PageMode mode = flip ? PageMode::flip_in : PageMode::copy_in;

    std::array<GrantRef, most_pages> refs;
    std::array<std::uint32_t, most_pages> flags;
    protocol::PagesGetIn in{};
    in.first_page = first;
    in.count = count;
    in.mode = static_cast<std::uint16_t>(mode);
    in.head = in_page;
    in.tail = part ? static_cast<std::uint16_t>(page_size - in_page - piece_length) : 0;
    std::uint32_t granted = 0;
    const EntriesOut entries_out(*this);
    if (int error = get_for_write(node, in, false, refs, flags, granted)) return error;

    std::uint32_t good = 0;
    int error = 0;
    const auto entries = std::span<const GrantRef>(refs).first(granted);
    if (mechanism == Mechanism::map) {
        std::array<host::Piece, most_pages> pieces;
        for (std::uint32_t i = 0; i < granted; ++i) {
            pieces[i] = {{}, in_page, piece_length, buffer_offset + std::size_t{i} * page_size};
        }
        error = store_mapped(node, std::span<const host::Piece>(pieces).first(granted), from,
                             entries, good);
    } else {
        error = store_staged(node, granted, from, buffer_offset, entries, flip, good);
    }
    for (std::uint32_t i = good; i < granted; ++i) pages_.release_later(refs[i]);
    if (error != 0) return error;
    if (good == 0) return 0;  // every entry was revoked before we came to use it: again
    const std::size_t bytes = part ? piece_length : std::size_t{good} * page_size;
    error = commit(node, offset, bytes, mode, entries.first(good), sync ? protocol::commit_sync : 0,
                   false);
    if (flip) {  // the page is another frame now
        for (std::uint32_t i = 0; i < good; ++i) flags[i] |= protocol::entry_moved;
    }
    written(node, first, good, flags);
    wake_page_waiters();
    if (error == 0) stored = bytes;
    if (error == 0 && node.lease) {
        node.attr.size = std::max(node.attr.size, offset + bytes);
        node.attr.mtime = node.attr.ctime = wall_clock();
        node.changed = true;
    }
    return error;
}

}  // namespace xenfs::client
