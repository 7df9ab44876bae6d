// Writing back what is dirty: on request, on a recall, with age, for want of frames.
#include <algorithm>
#include <array>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::PageMode;

/// Sends the file's dirty pages, at most `most` or thereabouts, and waits for those already on
/// their way. What becomes dirty meanwhile may or may not go along.
int Client::flush(Node& node, std::uint32_t most) {
    NodeUse use(node);
    int error = 0;
    std::vector<Slot> slots;
    std::vector<std::uint32_t> pages;
    pages_.cache().dirty_of(node.file(), slots);
    for (const Slot slot : slots) {
        if (!pages_.has(slot, page_writing)) pages.push_back(pages_.cache().key(slot).page);
    }
    if (pages.size() > most) pages.resize(most);
    for (std::size_t i = 0; i < pages.size();) {
        std::size_t run = 1;
        while (i + run < pages.size() && run < protocol::max_pages_per_request &&
               pages[i + run] == pages[i] + run) {
            ++run;
        }
        const int failed = flush_run(node, pages[i], static_cast<std::uint32_t>(run));
        if (error == 0) error = failed;
        i += run;
    }
    while (node.flushes > 0 && connection_.usable()) wait_for_page();
    return error;
}

/// Sends pages [first, first + count), as far as they are dirty still when the entries have come.
int Client::flush_run(Node& node, std::uint64_t first, std::uint32_t count) {
    struct InProgress {
        Client& client;
        Node& node;
        FramesMoving moving;
        InProgress(Client& c, Node& n) : client(c), node(n), moving(c, true) { ++node.flushes; }
        ~InProgress() {
            --node.flushes;
            client.wake_page_waiters();  // they run when this task has ended or waits
        }
    } const in_progress(*this, node);

    const auto due = [&](std::uint64_t page) {
        const Slot slot = pages_.find(node.file(), page);
        const bool dirty = slot != kNoSlot && pages_.ready(slot) && pages_.has(slot, page_own) &&
                           pages_.cache().state(slot) == PageState::dirty;
        return dirty && !pages_.has(slot, page_writing) ? slot : kNoSlot;
    };
    std::array<GrantRef, protocol::max_pages_per_request> refs;
    std::array<std::uint32_t, protocol::max_pages_per_request> flags;
    std::array<Frame, protocol::max_pages_per_request> frames;
    const EntriesOut entries_out(*this);
    int error = 0;
    for (std::uint32_t done = 0; done < count && error == 0;) {
        const std::uint64_t at = first + done;
        if (due(at) == kNoSlot) {
            ++done;
            continue;
        }
        const policies::TransferDecision decision =
            decide(node, policies::TransferRequest::Use::write, count - done);
        const bool flip = decision.mechanism == policies::Mechanism::flip;
        const PageMode mode = flip ? PageMode::flip_in : PageMode::copy_in;
        // A guest that copies by policy keeps what it wrote, as any other copy; else one frame in
        // the host is enough, and that is the server's.
        const bool keep = decision.mechanism == policies::Mechanism::copy &&
                          decision.keep == policies::Keep::kept;
        protocol::PagesGetIn in{};
        in.first_page = at;
        in.count = count - done;
        in.mode = static_cast<std::uint16_t>(mode);
        std::uint32_t granted = 0;
        error = get_for_write(node, in, true, refs, flags, granted);
        if (error != 0) break;

        // From here to the commit nothing yields: what is dirty now is what goes.
        std::uint32_t ready = 0;
        for (; ready < granted; ++ready) {
            const Slot slot = due(at + ready);
            if (slot == kNoSlot) break;
            frames[ready] = pages_.cache().frame(slot);
        }
        const auto entries = std::span<const GrantRef>(refs);
        std::uint32_t good = ready;
        if (flip) {
            for (std::uint32_t i = 0; i < ready; ++i) {
                pages_.take_frame(due(at + i));
                const Slot slot = pages_.add_loading(node.file(), at + i);  // readers wait
                pages_.set_flag(slot, page_writing);
            }
            good = flip_in(std::span<const Frame>(frames).first(ready), entries.first(ready));
            stats_.lost_pages += ready - good;
        } else {
            good = copy_in(std::span<const Frame>(frames).first(ready), entries.first(ready));
            for (std::uint32_t i = 0; i < good; ++i) {
                const Slot slot = due(at + i);
                pages_.mark_clean(slot);
                pages_.set_flag(slot, page_writing);
                pages_.cache().pin(slot);
            }
        }
        for (std::uint32_t i = good; i < granted; ++i) pages_.release_later(refs[i]);
        const std::uint64_t begin = at << page_shift;
        const std::uint64_t end = std::min((at + good) << page_shift, node.attr.size);
        if (good > 0 && end > begin) {
            error = commit(node, begin, end - begin, mode, entries.first(good),
                           node.changed ? protocol::commit_mtime : 0, true);
        }
        // Given up for want of a server: it is ours as before, and one may come.
        const bool later = error == EIO && !flip && connection_.usable();
        if (error == 0) {
            stats_.pages_written_back += good;
        } else if (!later) {
            stats_.lost_pages += good;
        }
        for (std::uint32_t i = 0; i < ready; ++i) {
            const Slot slot = pages_.find(node.file(), at + i);
            if (slot == kNoSlot || !pages_.has(slot, page_writing)) continue;
            if (flip) {
                pages_.drop_loading(slot);
                continue;
            }
            if (later) pages_.mark_dirty(slot);
            pages_.clear_flag(slot, page_writing);
            pages_.cache().unpin(slot);
            const bool clean = pages_.cache().state(slot) == PageState::clean;
            if (clean && !(keep && error == 0) && pages_.cache().pins(slot) == 0) pages_.drop(slot);
        }
        wake_page_waiters();
        done += std::max(good, 1u);
    }
    return error;
}

/// Frees frames of our own by writing back a good part of what has been dirty longest, or waits for
/// those that other tasks have on their way. 0: look again. ENOMEM where all are in use for good.
int Client::flush_oldest() {
    std::vector<Slot> oldest;
    pages_.cache().oldest_dirty(1, oldest);
    if (oldest.empty()) {
        // Who has frames under way waits for the server alone, so that this wait ends.
        if (frames_moving_ == 0) return pages_.make_frame() ? 0 : ENOMEM;
        wait_for_page();
        return connection_.usable() ? 0 : EIO;
    }
    Node& node = nodes_.at(pages_.cache().key(oldest[0]).file / 2);
    const std::uint32_t part = pages_.cache().dirty_count() / 4;
    return flush(node, std::max(part, protocol::max_pages_per_request));
}

/// The task that writes back what is old enough.
void Client::write_behind() {
    std::vector<Slot> oldest;
    while (!stopping_) {
        oldest.clear();
        pages_.cache().oldest_dirty(1, oldest);
        if (oldest.empty()) {
            dirty_gate_->wait();
            continue;
        }
        Node& node = nodes_.at(pages_.cache().key(oldest[0]).file / 2);
        const Nanoseconds age = clock_.now() - node.dirty_since;
        if (age < config_.write_behind) {
            dirty_gate_->wait(config_.write_behind - age);
            continue;
        }
        if (!connection_.usable()) break;
        if (flush(node) != 0 && !stopping_) clock_.sleep(config_.write_behind);
        node.dirty_since = clock_.now();
    }
}

int Client::fsync(Handle handle, bool data_only) {
    clock_.charge(costs_.syscall);
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    Node& node = *file->node;
    NodeUse use(node);
    if (int error = flush(node)) return error;
    for (;;) {
        const std::uint64_t fh = node.fh_valid ? node.fh : 0;
        Call call(connection_, protocol::Opcode::fsync, node.id);
        call.put(protocol::FsyncIn{fh, data_only ? protocol::fsync_data_only : 0, 0});
        const int error = call.send();
        // Another task's open has replaced the one at the server meanwhile.
        if (error != EBADF || !node.fh_valid || node.fh == fh) return error;
    }
}

int Client::sync() {
    clock_.charge(costs_.syscall);
    int error = 0;
    std::vector<Slot> dirty;
    std::vector<std::uint32_t> files;
    pages_.cache().oldest_dirty(UINT32_MAX, dirty);
    for (const Slot slot : dirty) files.push_back(pages_.cache().key(slot).file);
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    for (const std::uint32_t file : files) {
        Node& node = nodes_.at(file / 2);
        if (!node.used) continue;
        const int failed = flush(node);
        if (error == 0) error = failed;
    }
    Call call(connection_, protocol::Opcode::syncfs, root_node);
    call.put(std::uint64_t{0});
    const int failed = call.send();
    return error != 0 ? error : failed;
}

}  // namespace xenfs::client
