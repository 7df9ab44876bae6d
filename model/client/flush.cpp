#include "model/client/flush.h"

#include <algorithm>

#include "model/client/convert.h"
#include "model/client/flush_pipeline.h"

namespace xenfs::client {

using protocol::PageMode;

std::deque<PageRun> runs_of(std::span<const std::uint32_t> pages, std::uint32_t longest) {
    std::deque<PageRun> runs;
    for (const std::uint32_t page : pages) {
        if (runs.empty() || runs.back().count == longest ||
            runs.back().first + runs.back().count != page) {
            runs.push_back({page, 0});
        }
        ++runs.back().count;
    }
    return runs;
}

class Flusher::InProgress {
  public:
    InProgress(Flusher& of, Node& node)
        : exchange_(of.exchange_), node_(node), moving_(of, true), entries_out_(of.exchange_) {
        node.flushing = true;
    }
    ~InProgress() {
        node_.flushing = false;
        exchange_.page_changed();  // waiters run when this task has ended or waits
    }
    InProgress(const InProgress&) = delete;
    InProgress& operator=(const InProgress&) = delete;

  private:
    PageExchange& exchange_;
    Node& node_;
    FramesMoving moving_;
    PageExchange::EntriesOut entries_out_;
};

Flusher::Flusher(const Shared& shared, TransferChoice& choice, PageExchange& exchange)
    : Part(shared), choice_(choice), exchange_(exchange), dirty_gate_(host_.tasks().make_gate()) {}

int Flusher::send(Node& node, std::uint32_t most, std::uint16_t sync_flag, bool& synced) {
    const NodeUse use(node);
    // One at a time: two would ask for entries of the same pages, and wait for each other's.
    while (node.flushing && connection_.usable()) exchange_.wait_for_page();
    if (node.flushing) return EIO;
    auto runs = due_runs(node, most);
    if (runs.empty()) return 0;
    const InProgress in_progress(*this, node);
    Pipeline pipeline(*this, node, std::move(runs), sync_flag);
    const int error = pipeline.run();
    synced = pipeline.synced();
    return error;
}

int Flusher::flush(Node& node, std::uint32_t most) {
    bool synced = false;
    return send(node, most, 0, synced);
}

int Flusher::sync(Node& node, bool data_only) {
    bool synced = false;
    const auto flag = data_only ? protocol::commit_sync : protocol::commit_sync_all;
    if (int error = send(node, UINT32_MAX, flag, synced)) return error;
    if (synced) return 0;
    return with_open(node, [&](std::uint64_t fh) MAY_YIELD {
        Call call(connection_, protocol::Opcode::fsync, node.id);
        call.put(protocol::FsyncIn{fh, data_only ? protocol::fsync_data_only : 0, 0});
        return call.send();
    });
}

std::deque<PageRun> Flusher::due_runs(const Node& node, std::uint32_t most) const {
    std::vector<Slot> slots;
    std::vector<std::uint32_t> pages;
    pages_.cache().dirty_of(node.file(), slots);
    for (const Slot slot : slots) {
        if (!pages_.has(slot, page_writing)) pages.push_back(pages_.cache().key(slot).page);
    }
    if (pages.size() > most) pages.resize(most);
    return runs_of(pages, protocol::max_pages_per_request);
}

/// Returns the page if it is to be sent: it is dirty, and no task has it on its way.
Slot Flusher::due(const Node& node, std::uint64_t page) const {
    const Slot slot = pages_.find(node.file(), page);
    const bool dirty =
        slot != kNoSlot && pages_.ready(slot) && pages_.has(slot, page_own) && pages_.dirty(slot);
    return dirty && !pages_.has(slot, page_writing) ? slot : kNoSlot;
}

void Flusher::prepare(const Node& node, Sending& sending, PageRun run) {
    const policies::TransferDecision decision =
        choice_.decide(node, TransferChoice::Use::write, run.count);
    sending.flip = decision.mechanism == policies::Mechanism::flip;
    // A guest whose policy copies keeps what it wrote, like any other copy. Otherwise one frame in
    // the host is enough, and that is the server's.
    sending.keep =
        decision.mechanism == policies::Mechanism::copy && decision.keep == policies::Keep::kept;
    sending.request.first = run.first;
    sending.request.count = run.count;
    sending.request.mode = sending.flip ? PageMode::flip_in : PageMode::copy_in;
    sending.request.urgency = node.state.recalled() ? Urgency::recall : Urgency::urgent;
}

/// Puts what is dirty now into the entries that came, without a yield. A store into a page
/// afterwards makes it dirty again.
void Flusher::deposit(Node& node, Sending& sending) {
    const std::uint64_t first = sending.request.first;
    const auto entries = sending.request.entries();
    std::uint32_t ready = 0;
    for (; ready < entries.size(); ++ready) {
        const Slot slot = due(node, first + ready);
        if (slot == kNoSlot) break;
        sending.frames[ready] = pages_.cache().frame(slot);
    }
    sending.ready = ready;
    const auto frames = std::span<const Frame>(sending.frames).first(ready);
    if (sending.flip) {
        for (std::uint32_t i = 0; i < ready; ++i) {
            pages_.take_frame(due(node, first + i));
            const Slot slot = pages_.add_loading(node.file(), first + i);  // readers wait for it
            pages_.set_flag(slot, page_writing);
        }
        sending.good = exchange_.flip_in(frames, entries.first(ready));
        stats_.lost_pages += ready - sending.good;
    } else {
        sending.good = exchange_.copy_in(frames, entries.first(ready));
        for (std::uint32_t i = 0; i < sending.good; ++i) {
            const Slot slot = due(node, first + i);
            pages_.mark_clean(slot);
            pages_.set_flag(slot, page_writing);
            pages_.cache().pin(slot);
        }
    }
    // A request for the same pages must not wait for these.
    sending.waited_for = exchange_.put_back(sending.request, sending.good);
}

/// Fills in the commit. Returns false where there is nothing to commit.
bool Flusher::describe(const Node& node, Sending& sending, std::uint16_t sync_flag) {
    if (sending.good == 0) return false;
    PageCommit& what = sending.commit;
    what.offset = sending.request.first << page_shift;
    const std::uint64_t end =
        std::min(what.offset + std::uint64_t{sending.good} * page_size, node.state.size());
    if (end <
        what.offset + std::uint64_t{sending.good} * page_size) {  // the file ends there by now
        const std::uint64_t pages = std::max(pages_of(end), sending.request.first);
        sending.good = static_cast<std::uint32_t>(pages - sending.request.first);
        sending.waited_for |= exchange_.put_back(sending.request, sending.good);
        if (sending.good == 0) return false;
    }
    what.length = end - what.offset;
    what.mode = sending.request.mode;
    what.refs = sending.request.entries();
    what.flags =
        static_cast<std::uint16_t>((node.state.changed() ? protocol::commit_mtime : 0) | sync_flag);
    what.urgency = sending.request.urgency;
    return true;
}

/// Ends the write-back of these pages, whether or not the commit was answered.
void Flusher::conclude(Node& node, const Sending& sending, int error) {
    // Given up for want of a server, which may come, or to be sent again: it is ours as before.
    const bool later = (error == EIO || error == ESTALE) && !sending.flip && connection_.usable();
    if (error == 0) {
        stats_.pages_written_back += sending.good;
    } else if (!later) {
        stats_.lost_pages += sending.good;
    }
    for (std::uint32_t i = 0; i < sending.ready; ++i) {
        const Slot slot = pages_.find(node.file(), sending.request.first + i);
        if (slot == kNoSlot || !pages_.has(slot, page_writing)) continue;
        if (sending.flip) {
            pages_.drop_loading(slot);
            continue;
        }
        if (later) pages_.mark_dirty(slot);
        pages_.clear_flag(slot, page_writing);
        pages_.cache().unpin(slot);
        const bool clean = pages_.cache().state(slot) == PageState::clean;
        const bool stays = sending.keep && error == 0;
        if (clean && !stays && pages_.cache().pins(slot) == 0) pages_.drop(slot);
    }
    exchange_.page_changed();
}

/// Returns the file with the page that has been dirty longest.
Node* Flusher::oldest() {
    std::vector<Slot> slots;
    pages_.cache().oldest_dirty(1, slots);
    if (slots.empty()) return nullptr;
    return &nodes_.at(Node::index_of(pages_.cache().key(slots[0]).file));
}

int Flusher::flush_oldest() {
    Node* const node = oldest();
    if (node == nullptr) {
        // A task with frames under way waits for the server alone, so this wait ends.
        if (frames_moving_ == 0) return pages_.make_frame() ? 0 : ENOMEM;
        exchange_.wait_for_page();
        return connection_.usable() ? 0 : EIO;
    }
    const std::uint32_t part = pages_.cache().dirty_count() / 4;
    return flush(*node, std::max(part, protocol::max_pages_per_request));
}

int Flusher::own_frame(Frame& frame) {
    for (;;) {
        if (pages_.room_for_own(1) && pages_.take_frames(std::span<Frame>(&frame, 1)) == 1) {
            return 0;
        }
        if (int error = flush_oldest()) return error;
    }
}

void Flusher::will_dirty(Node& node) {
    if (pages_.dirty_pages(node.file()) != 0) return;
    node.dirty_since = clock_.now();
    if (pages_.cache().dirty_count() == 0) dirty_gate_->wake_all();
}

void Flusher::write_behind() {
    while (!stopping_) {
        Node* const node = oldest();
        if (node == nullptr) {
            dirty_gate_->wait();
            continue;
        }
        const Nanoseconds age = clock_.now() - node->dirty_since;
        if (age < config_.write_behind) {
            dirty_gate_->wait(config_.write_behind - age);
            continue;
        }
        if (!connection_.usable()) break;
        const NodeUse use(*node);
        if (flush(*use) != 0 && !stopping_) clock_.sleep(config_.write_behind);
        use->dirty_since = clock_.now();
    }
}

void Flusher::stop() {
    stopping_ = true;
    dirty_gate_->wake_all();
}

int Flusher::flush_all() {
    std::vector<Slot> dirty;
    std::vector<std::uint32_t> files;
    pages_.cache().oldest_dirty(UINT32_MAX, dirty);
    for (const Slot slot : dirty) files.push_back(pages_.cache().key(slot).file);
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    std::vector<NodeUse> nodes;
    for (const std::uint32_t file : files) nodes.emplace_back(nodes_.at(Node::index_of(file)));
    int error = 0;
    for (const NodeUse& node : nodes) {
        const int failed = flush(*node);
        if (error == 0) error = failed;
    }
    return error;
}

}  // namespace xenfs::client
