#include "model/client/loans.h"

#include <algorithm>

#include "model/client/convert.h"

namespace xenfs::client {

/// Returns the guest kernel's own copy of a page, in its page cache, and makes it where there is
/// none; kNoSlot with an error. It yields only if `node`'s page itself is not there.
Slot Loans::kernel_copy(Node& node, std::uint64_t page, int& error) {
    error = 0;
    for (;;) {
        const Slot known = pages_.find(node.kernel_file(), page);
        if (known != kNoSlot) return known;
        const Slot source = pages_.find(node.file(), page);
        if (source == kNoSlot || !pages_.ready(source)) {
            const std::uint64_t left = node.state.pages() - page;
            const auto window = static_cast<std::uint32_t>(
                std::min<std::uint64_t>(config_.readahead, left == 0 ? 0 : left - 1));
            error = fetch_.fetch(node, page, 1, window, PageFetch::Use::mmap_read);
            if (error != 0) return kNoSlot;
            continue;
        }
        Frame frame;
        pages_.cache().pin(source);
        const bool got =
            pages_.room_for_own(1) && pages_.take_frames(std::span<Frame>(&frame, 1)) == 1;
        pages_.cache().unpin(source);
        if (!got) {
            error = flusher_.flush_oldest();
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

/// Returns the page as a process may see it, or kNoSlot with an error. A `foreign` process cannot
/// see frames of ours, not even under the lease.
Slot Loans::shared_page(Node& node, std::uint64_t page, std::size_t ahead, bool write, int& error,
                        bool foreign) {
    error = 0;
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const Slot slot = pages_.find(node.file(), page);
        const bool there = slot != kNoSlot && pages_.ready(slot);
        // A program that looks at a page must see what others write, so a frame of ours will not do
        // for long; a dirty one goes to the server first. Under the lease nobody else writes.
        const bool own = there && pages_.has(slot, page_own);
        if (there && !write &&
            (!own || (!foreign && (node.state.leased() || !choice_.shares_by_mapping())))) {
            return slot;
        }
        if (there && write && pages_.has(slot, page_writable)) return slot;
        if (own && pages_.dirty(slot)) {
            error = flusher_.flush(node);
            if (error != 0) return kNoSlot;
            continue;
        }
        if (own && pages_.has(slot, page_writing)) {
            exchange_.wait_for_page();
            continue;
        }
        if (there) pages_.drop(slot);
        const auto window =
            static_cast<std::uint32_t>(std::min<std::size_t>(ahead, config_.readahead));
        error = fetch_.fetch(node, page, 1, write && !foreign ? 0 : window,
                             write ? PageFetch::Use::mmap_write : PageFetch::Use::mmap_read);
        if (error != 0) return kNoSlot;
    }
    error = EIO;
    return kNoSlot;
}

int Loans::map_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind,
                     bool write, std::span<Fingerprint> contents) {
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    Node& node = *file->node;
    if (node.state.attr().type == FileType::directory) return ENODEV;
    const bool shared_write = kind == MapKind::shared && write;
    if (!file->read || (shared_write && !file->write)) return EACCES;
    NodeUse use(node);
    if (int error = attributes_.need_size(node)) return error;
    const std::uint64_t end = node.state.pages();
    if (first_page + count > end) return EFAULT;  // the program gets SIGBUS
    const bool copied = copies(kind);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t page = first_page + i;
        int error = 0;
        const Slot slot = copied ? kernel_copy(node, page, error)
                                 : shared_page(node, page, count - i - 1, shared_write, error);
        if (slot == kNoSlot) {
            unpin(node, copied, first_page, i, nullptr);
            return error == ENODATA ? EFAULT : error;
        }
        pages_.cache().pin(slot);
        if (kind == MapKind::locked) pages_.set_flag(slot, page_locked);
        pages_.cache().touch(slot);
        ++stats_.page_hits;
        if (i < contents.size()) {
            // The buffer starts at this page's place, so that its only piece is the first.
            const host::Piece piece{pages_.page(slot), 0, page_size, 0};
            memory_.load(std::span<const host::Piece>(&piece, 1),
                         Buffer{nullptr, &contents[i], page_size});
        }
        fetch_.drop_outdated();
    }
    clock_.charge(costs_.faults(count, shared_write));
    return 0;
}

/// Ends a process's use of the pages. Returns true where one of them was mapped for writing.
/// `taken` gets those that were revoked from the process meanwhile.
bool Loans::unpin(Node& node, bool copies, std::uint64_t first_page, std::size_t count,
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

int Loans::unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind) {
    clock_.charge(costs_.syscall);
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    const NodeUse use(*file->node);
    Node& node = *use;
    const bool copied = copies(kind);
    std::vector<std::uint64_t> taken;
    const bool was_writable = unpin(node, copied, first_page, count, &taken);
    // The process went on after those were revoked. We do not see its single accesses; it paid at
    // least one fault a page.
    for (std::size_t i = 0; i < taken.size(); ++i) {
        int error = 0;
        if (shared_page(node, taken[i], taken.size() - i - 1, false, error) == kNoSlot) break;
        clock_.charge(costs_.faults(1, false));
    }
    if (!was_writable) return 0;
    return note_stores(node, first_page << page_shift);
}

Result<std::size_t> Loans::borrow(Handle handle, std::uint64_t offset, std::size_t length,
                                  std::vector<host::Piece>& pieces, std::size_t most_pieces) {
    clock_.charge(costs_.syscall);
    pieces.clear();
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr || !file->read) return Errno{EBADF};
    const NodeUse node(*file->node);
    if (int error = attributes_.need_size(*node)) return Errno{error};
    if (offset >= node->state.size()) return std::size_t{0};
    length = static_cast<std::size_t>(std::min<std::uint64_t>(length, node->state.size() - offset));
    return reader_.walk(
        *node, handle, offset, length, std::min(most_pieces, chunk_pages),
        [&](std::span<const host::Piece> found, std::span<const Slot> slots, std::uint64_t) {
            for (const Slot slot : slots) pages_.lend(slot);
            pieces.insert(pieces.end(), found.begin(), found.end());
            fetch_.drop_outdated(true);
        });
}

void Loans::give_back(std::span<const host::Piece> pieces) {
    bool gone = false;
    for (const host::Piece& piece : pieces) gone |= pages_.take_back(piece.page);
    if (gone) exchange_.page_changed();
}

Result<host::Page> Loans::share_page(Handle handle, std::uint64_t page, std::size_t ahead,
                                     bool write) {
    OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return Errno{EBADF};
    Node& node = *file->node;
    if (node.state.attr().type == FileType::directory) return Errno{ENODEV};
    if (!file->read || (write && !file->write)) return Errno{EACCES};
    if (!choice_.shares_by_mapping()) return Errno{ENOTSUP};
    NodeUse use(node);
    if (int error = attributes_.need_size(node)) return Errno{error};
    if (page >= node.state.pages()) return Errno{EFAULT};
    int error = 0;
    const Slot slot = shared_page(node, page, ahead, write, error, true);
    if (slot == kNoSlot) return Errno{error == ENODATA ? EFAULT : error};
    pages_.lend(slot);
    pages_.cache().touch(slot);
    const host::Page shared = pages_.page(slot);
    // A notice overtook the page while it was fetched, so the store drops it; the loan keeps it for
    // the process.
    if (pages_.has(slot, page_outdated)) pages_.drop(slot);
    fetch_.drop_outdated();
    return shared;
}

void Loans::give_back(host::Page page) {
    if (pages_.take_back(page)) exchange_.page_changed();
}

/// Tells the server that mappings may have changed the content.
int Loans::note_stores(Node& node, std::uint64_t offset) {
    PageCommit what;
    what.offset = offset;
    what.mode = protocol::PageMode::map_write;
    return exchange_.commit(node, what);
}

int Loans::publish(Handle handle) {
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr || !file->write) return EBADF;
    const NodeUse node(*file->node);
    return note_stores(*node, 0);
}

/// Returns the slot of the file's page, if that is what was shared.
Slot Loans::find_shared(NodeId id, std::uint64_t page, host::Page shared) {
    const Node* const node = nodes_.find(id);
    if (node == nullptr) return kNoSlot;
    const Slot slot = pages_.find(node->file(), page);
    if (slot == kNoSlot || !pages_.ready(slot)) return kNoSlot;
    const host::Page now = pages_.page(slot);
    return now.kind == shared.kind && now.id == shared.id ? slot : kNoSlot;
}

bool Loans::shows(NodeId id, std::uint64_t page, host::Page shared) {
    return find_shared(id, page, shared) != kNoSlot;
}

GrantRef Loans::reference_of(NodeId id, std::uint64_t page, host::Page shared) {
    const Slot slot = find_shared(id, page, shared);
    const bool mapping = slot != kNoSlot && shared.kind == host::Page::Kind::mapping;
    return mapping ? pages_.reference(slot) : no_grant;
}

}  // namespace xenfs::client
