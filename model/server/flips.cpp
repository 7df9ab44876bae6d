// Page flips: frames that change their owner instead of data that is copied.
#include "model/server/page_requests.h"

#include <algorithm>

namespace xenfs::server {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;

/// Each page's data goes out in a frame of its own, to the client's accept entries; the reply names
/// entries of the pool for the frames that the client pays with. Returns how many, in w.refs.
std::size_t PageRequests::flip_out(Request& q, std::span<const Slot> slots,
                                   std::span<const std::uint32_t> accept, Lack& lack) {
    Worker& w = *q.worker;
    if (!host_.capabilities().transfer) return 0;
    // Frames first (this may yield), then entries and transfers in one go.
    residency_.prepare(static_cast<std::uint32_t>(slots.size()));
    std::size_t ready = 0;
    while (ready < slots.size()) {
        const pages::FrameIndex frame = room_.take_frame(w);
        if (frame == pages::no_index) {
            if (ready == 0) lack = Lack::frames;
            break;
        }
        w.frames[ready++] = frame;
    }
    // A transfer to a domain at its limit loses the page: room for the frames that come back.
    room_.evict_clean(w, static_cast<std::uint32_t>(ready));
    bool credit_short = false;
    const std::size_t paid = ready == 0
                                 ? 0
                                 : residency_.accept(q.client.account, pages::EntryKind::payment,
                                                     std::span(w.refs).first(ready), credit_short);
    if (ready != 0 && paid == 0) lack = credit_short ? Lack::credit : Lack::frames;
    std::array<host::TransferOperation, max_pages_per_request> operations;
    for (std::size_t i = 0; i < paid; ++i) {
        const Frame frame = pool_[w.frames[i]].frame;
        if (pool_[cache_.frame(slots[i])].writers != 0) {
            w.entry_flags[i] |= protocol::entry_volatile;
        }
        host_.memory().copy(residency_.page_of(slots[i]), host::Page::of_frame(frame));
        operations[i] = {frame, q.client.device.guest, accept[i], GrantStatus::okay};
    }
    host_.grants().transfer(std::span(operations).first(paid));
    std::size_t sent = 0;
    while (sent < paid && operations[sent].status == GrantStatus::okay) ++sent;
    for (std::size_t i = 0; i < ready; ++i) {
        const GrantStatus status = i < paid ? operations[i].status : GrantStatus::bad_page;
        if (i < paid && status != GrantStatus::bad_page) {
            // The frame is the client's now, or lost, as Xen does it.
            ++(status == GrantStatus::okay ? stats_.flipped_out : stats_.flip_lost);
            residency_.sent_away(w.frames[i]);
        } else {
            residency_.put_back(w.frames[i]);
        }
    }
    // Frames that arrived after a failed one are the client's all the same, and paid for.
    residency_.cancel(q.client.account, std::span(w.refs).first(paid).subspan(sent));
    return sent;
}

std::size_t PageRequests::flip_in_accept(Request& q, std::uint32_t count, Lack& lack) {
    Worker& w = *q.worker;
    if (!host_.capabilities().transfer) return 0;
    if (w.queues && room_.waits_for(Lack::frames)) {
        lack = Lack::frames;
        return 0;
    }
    room_.evict_clean(w, count);
    bool credit_short = false;
    const std::size_t offered = residency_.accept(q.client.account, pages::EntryKind::accept,
                                                  std::span(w.refs).first(count), credit_short);
    if (offered == 0) lack = credit_short ? Lack::credit : Lack::frames;
    for (std::size_t i = 0; i < offered; ++i) {
        journal_->keep_entry(w.refs[i], q.client.index, q.header.unique);
    }
    // Whatever the client maps of these pages is stale after its commit.
    std::fill_n(w.entry_flags.begin(), offered, std::uint8_t{protocol::entry_moved});
    return offered;
}

/// Installs the frames that arrived as pages first, first + 1, … None is taken unless all came.
int PageRequests::flip_in_commit(Request& q, Inode& inode, Inodes::Index index, std::uint32_t first,
                                 std::span<const std::uint32_t> refs) {
    Worker& w = *q.worker;  // survives yields: workers stay as long as the server
    journal_->keep_node(inode);
    const std::uint32_t file = fill_.file_number(inode, index, q.client);
    if (const int e = fill_.settle_loading(q, inode, index, file, first,
                                           static_cast<std::uint32_t>(refs.size()))) {
        return e;
    }
    std::size_t came = 0;
    for (; came < refs.size(); ++came) {
        w.frames[came] = residency_.take_arrived(q.client.account, refs[came]);
        if (w.frames[came] == pages::no_index) break;
    }
    if (came < refs.size()) {
        for (std::size_t i = 0; i < came; ++i) residency_.put_back(w.frames[i]);
        return EIO;
    }
    for (std::size_t i = 0; i < refs.size(); ++i) {
        const cache::PageKey key{file, first + static_cast<std::uint32_t>(i)};
        Slot slot = cache_.find(key);
        if (slot != kNoSlot) {
            residency_.pin(slot);
            sharing_.replace_frame(q.acks, &q.client, inode, slot, w.frames[i]);
        } else {
            slot = residency_.admit(key, w.frames[i], PageState::clean);
            if (slot == kNoSlot) {
                for (std::size_t j = i; j < refs.size(); ++j) residency_.put_back(w.frames[j]);
                return ENOMEM;
            }
        }
        write_back_.dirtied(inode, index, slot);
        residency_.unpin(slot);
        ++stats_.flipped_in;
    }
    return 0;
}

}  // namespace xenfs::server
