// mmap: the faults of processes that mapped a file, and pages lent to whoever moves bytes itself.
#include <algorithm>
#include <array>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using Use = policies::TransferRequest::Use;

/// The guest kernel's own copy of a page, in its page cache; made where there is none. Yields only
/// if `node`'s page itself is not there. The slot, or kNoSlot with an error.
Slot Client::kernel_copy(Node& node, std::uint64_t page, int& error) {
    error = 0;
    for (;;) {
        const Slot known = pages_.find(node.kernel_file(), page);
        if (known != kNoSlot) return known;
        const Slot source = pages_.find(node.file(), page);
        if (source == kNoSlot || !pages_.ready(source)) {
            const std::uint64_t left = pages_of(node.attr.size) - page;
            const auto window = static_cast<std::uint32_t>(
                std::min<std::uint64_t>(config_.readahead, left == 0 ? 0 : left - 1));
            error = fetch(node, page, 1, window, Use::mmap_read);
            if (error != 0) return kNoSlot;
            continue;
        }
        Frame frame;
        pages_.cache().pin(source);
        const bool got =
            pages_.room_for_own(1) && pages_.take_frames(std::span<Frame>(&frame, 1)) == 1;
        pages_.cache().unpin(source);
        if (!got) {
            error = flush_oldest();
            if (error != 0) return kNoSlot;
            continue;
        }
        memory_.copy(pages_.page(source), host::Page::of_frame(frame));
        pages_.used_up(source);
        if (pages_.unmaps_at_once()) pages_.settle();
        const Slot slot = pages_.add_loading(node.kernel_file(), page);
        if (slot == kNoSlot) {
            pages_.give_frame(frame);
            error = ENOMEM;
            return kNoSlot;
        }
        pages_.become_own(slot, frame);
        ++stats_.pages_copied_for_mmap;
        return slot;
    }
}

/// The page as a process may see it, or kNoSlot with an error. `abroad`: a process that cannot see
/// frames of ours, under the lease or not.
Slot Client::shared_page(Node& node, std::uint64_t page, std::size_t ahead, bool write, int& error,
                         bool abroad) {
    error = 0;
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const Slot slot = pages_.find(node.file(), page);
        const bool there = slot != kNoSlot && pages_.ready(slot);
        // A program that looks at a page must see what others write, so a frame of ours will not
        // do for long: dirty, it goes to the server first. Under the lease nobody else writes.
        const bool own = there && pages_.has(slot, page_own);
        if (there && !write && (!own || (!abroad && (node.lease || !shares_by_mapping())))) {
            return slot;
        }
        if (there && write && pages_.has(slot, page_writable)) return slot;
        if (own && pages_.cache().state(slot) == PageState::dirty) {
            error = flush(node);
            if (error != 0) return kNoSlot;
            continue;
        }
        if (own && pages_.has(slot, page_writing)) {
            wait_for_page();
            continue;
        }
        if (there) pages_.drop(slot);
        const auto window =
            static_cast<std::uint32_t>(std::min<std::size_t>(ahead, config_.readahead));
        error = fetch(node, page, 1, write && !abroad ? 0 : window,
                      write ? Use::mmap_write : Use::mmap_read);
        if (error != 0) return kNoSlot;
    }
    error = EIO;
    return kNoSlot;
}

bool Client::shares_by_mapping() const {
    policies::TransferRequest request;
    request.use = Use::mmap_read;
    request.entries_short = clock_.now() < entries_short_until_;
    return transfer_->decide(request).mechanism == policies::Mechanism::map;
}

int Client::map_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind,
                      bool write, std::span<Fingerprint> contents) {
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    Node& node = *file->node;
    if (node.attr.type == FileType::directory) return ENODEV;
    const bool shared_write = kind == MapKind::shared && write;
    if (!file->read || (shared_write && !file->write)) return EACCES;
    NodeUse use(node);
    if (int error = need_size(node)) return error;
    const std::uint64_t end = pages_of(node.attr.size);
    if (first_page + count > end) return EFAULT;  // SIGBUS
    const bool copies = config_.mmap == MmapMode::private_copy && kind != MapKind::shared;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t page = first_page + i;
        int error = 0;
        const Slot slot = copies ? kernel_copy(node, page, error)
                                 : shared_page(node, page, count - i - 1, shared_write, error);
        if (slot == kNoSlot) {
            unpin(node, copies, first_page, i, nullptr);
            return error == ENODATA ? EFAULT : error;
        }
        pages_.cache().pin(slot);
        if (kind == MapKind::locked) pages_.set_flag(slot, page_locked);
        pages_.cache().touch(slot);
        ++stats_.page_hits;
        if (i < contents.size()) {
            // A buffer that starts at this page's place, so that its only piece is the first.
            const host::Piece piece{pages_.page(slot), 0, page_size, 0};
            memory_.load(std::span<const host::Piece>(&piece, 1),
                         Buffer{nullptr, &contents[i], page_size});
        }
        if (!doomed_.empty()) drop_doomed();
    }
    clock_.charge(costs_.faults(count, shared_write));
    return 0;
}

/// Ends a process's use of the pages. True: one of them was mapped for writing. `taken` gets those
/// that were revoked from the process meanwhile.
bool Client::unpin(Node& node, bool copies, std::uint64_t first_page, std::size_t count,
                   std::vector<std::uint64_t>* taken) {
    const std::uint32_t in = copies ? node.kernel_file() : node.file();
    bool was_writable = false;
    for (std::uint64_t page = first_page; page < first_page + count; ++page) {
        if (pages_.was_taken({in, static_cast<std::uint32_t>(page)})) {
            if (taken != nullptr) taken->push_back(page);
            continue;
        }
        const Slot slot = pages_.find(in, page);
        if (slot == kNoSlot || !pages_.ready(slot) || pages_.cache().pins(slot) == 0) continue;
        pages_.cache().unpin(slot);
        if (pages_.cache().pins(slot) == 0) pages_.clear_flag(slot, page_locked);
        was_writable = was_writable || pages_.has(slot, page_writable);
        pages_.used_up(slot);
    }
    if (pages_.unmaps_at_once()) pages_.settle();
    return was_writable;
}

int Client::unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind) {
    clock_.charge(costs_.syscall);
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    Node& node = *file->node;
    NodeUse use(node);
    const bool copies = config_.mmap == MmapMode::private_copy && kind != MapKind::shared;
    std::vector<std::uint64_t> taken;
    const bool was_writable = unpin(node, copies, first_page, count, &taken);
    // The process has gone on since those were revoked. We do not see its single accesses: one
    // fault a page is what it paid at least.
    for (std::size_t i = 0; i < taken.size(); ++i) {
        int error = 0;
        if (shared_page(node, taken[i], taken.size() - i - 1, false, error) == kNoSlot) break;
        clock_.charge(costs_.faults(1, false));
    }
    if (!was_writable) return 0;
    // Its content may have changed through the mapping; the server hears when.
    return commit(node, first_page << page_shift, 0, protocol::PageMode::map_write, {}, 0, false);
}

Result<std::size_t> Client::borrow(Handle handle, std::uint64_t offset, std::size_t length,
                                   std::vector<host::Piece>& pieces, std::size_t most_pieces) {
    clock_.charge(costs_.syscall);
    pieces.clear();
    OpenFile* file = handles_.find(handle);
    if (file == nullptr || !file->read) return Errno{EBADF};
    Node& node = *file->node;
    NodeUse use(node);
    if (int error = need_size(node)) return Errno{error};
    if (offset >= node.attr.size) return std::size_t{0};
    length = static_cast<std::size_t>(std::min<std::uint64_t>(length, node.attr.size - offset));
    most_pieces = std::min(most_pieces, chunk_pages);
    std::array<host::Piece, chunk_pages> found;
    std::array<Slot, chunk_pages> slots;
    std::size_t done = 0;
    while (done < length && pieces.size() < most_pieces) {
        std::size_t bytes;
        const std::size_t count =
            gather(node, offset + done, length - done, done,
                   std::span<host::Piece>(found).first(most_pieces - pieces.size()), slots, bytes);
        for (std::size_t i = 0; i < count; ++i) pages_.lend(slots[i]);
        pages_.cache().touch(std::span<const Slot>(slots).first(count));
        pieces.insert(pieces.end(), found.begin(),
                      found.begin() + static_cast<std::ptrdiff_t>(count));
        clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
        stats_.page_hits += count;
        done += bytes;
        for (const PageKey key : doomed_) {
            const Slot slot = pages_.cache().find(key);
            const bool here = slot != kNoSlot && pages_.ready(slot) && pages_.on_loan(slot);
            if (here && pages_.has(slot, page_doomed)) pages_.drop(slot);
        }
        if (!doomed_.empty()) drop_doomed();
        if (count > 0) continue;
        const std::uint64_t page = (offset + done) >> page_shift;
        const std::uint64_t last = (offset + length - 1) >> page_shift;
        const auto need = static_cast<std::uint32_t>(
            std::min<std::uint64_t>({last - page + 1, most_pieces - pieces.size(), chunk_pages}));
        if (done > 0) file->next_page = page;
        const std::uint32_t window =
            plan_window(*file, page, protocol::max_pages_per_request - need);
        const int error = fetch(node, page, need, window, Use::read);
        if (error == ENODATA) break;
        if (error != 0) {
            if (done > 0) break;
            return Errno{error};
        }
        file->next_page = page + need;
    }
    file->next_page = (offset + done + page_size - 1) >> page_shift;
    return done;
}

void Client::give_back(std::span<const host::Piece> pieces) {
    bool gone = false;
    for (const host::Piece& piece : pieces) gone |= pages_.take_back(piece.page);
    if (gone) wake_page_waiters();
}

Result<host::Page> Client::share_page(Handle handle, std::uint64_t page, std::size_t ahead,
                                      bool write) {
    OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return Errno{EBADF};
    Node& node = *file->node;
    if (node.attr.type == FileType::directory) return Errno{ENODEV};
    if (!file->read || (write && !file->write)) return Errno{EACCES};
    if (!shares_by_mapping()) return Errno{ENOTSUP};
    NodeUse use(node);
    if (int error = need_size(node)) return Errno{error};
    if (page >= pages_of(node.attr.size)) return Errno{EFAULT};
    int error = 0;
    const Slot slot = shared_page(node, page, ahead, write, error, true);
    if (slot == kNoSlot) return Errno{error == ENODATA ? EFAULT : error};
    pages_.lend(slot);
    pages_.cache().touch(slot);
    const host::Page shared = pages_.page(slot);
    // Overtaken by a notice while it was fetched: with whom it is on loan it is gone already.
    if (pages_.has(slot, page_doomed)) pages_.drop(slot);
    if (!doomed_.empty()) drop_doomed();
    return shared;
}

void Client::give_back(host::Page page) {
    if (pages_.take_back(page)) wake_page_waiters();
}

int Client::publish(Handle handle) {
    OpenFile* const file = handles_.find(handle);
    if (file == nullptr || !file->write) return EBADF;
    NodeUse use(*file->node);
    return commit(*file->node, 0, 0, protocol::PageMode::map_write, {}, 0, false);
}

bool Client::shows(NodeId id, std::uint64_t page, host::Page shared) {
    const Node* const node = nodes_.find(id);
    if (node == nullptr) return false;
    const Slot slot = pages_.find(node->file(), page);
    if (slot == kNoSlot || !pages_.ready(slot)) return false;
    const host::Page now = pages_.page(slot);
    return now.kind == shared.kind && now.id == shared.id;
}

GrantRef Client::reference_of(NodeId id, std::uint64_t page, host::Page shared) {
    if (!shows(id, page, shared) || shared.kind != host::Page::Kind::mapping) return no_grant;
    return pages_.reference(pages_.find(nodes_.find(id)->file(), page));
}

NodeId Client::opened_as(Handle handle, bool& read, bool& write) {
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return 0;
    read = file->read;
    write = file->write;
    return file->node->id;
}

}  // namespace xenfs::client
