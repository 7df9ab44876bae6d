#include "model/client/server_opens.h"

#include <vector>

#include "model/client/call.h"

namespace xenfs::client {

using protocol::Opcode;

void ServerOpens::take_lease(Node& node, const protocol::OpenOut& out, bool outdated) {
    if ((out.open_flags & protocol::fopen_lease_exclusive) == 0) return;
    // If a recall came before this reply, it was counted, and there is no lease any more.
    if (outdated || node.state.leased()) return;
    node.state.take_lease();
    ++stats_.leases_granted;
}

int ServerOpens::open(Node& node, bool write, bool& lease_came) {
    protocol::OpenOut out;
    bool outdated = false;
    for (int attempt = 0;; ++attempt) {
        Call call(connection_, Opcode::open, node.id);
        call.put(protocol::OpenIn{write ? protocol::open_read_write : protocol::open_read_only, 0});
        const int error = call.send();
        if (error == ENFILE && attempt < 8) {
            call.finish();
            if (give_back()) continue;
        }
        if (error != 0) return error;
        out = call.get<protocol::OpenOut>();
        if (!call.ok()) return EIO;
        outdated = call.node_outdated();
        // The slot is given back here. If tasks waited for a second slot with one in hand, all
        // could do so, and all would wait for ever.
        break;
    }
    // There may be an open already: a read-only one, or one that another task has just made. If
    // that one is for writing, its task needs it.
    if (node.open.writes() && !write) {
        post_release(node, out.fh, Urgency::ordinary);
        return 0;
    }
    const bool replaces = node.open.valid();
    const std::uint64_t old = node.open.fh();
    kept_ -= counted(node);
    node.open.set(out.fh, write);
    kept_ += counted(node);
    const bool had_lease = node.state.leased();
    take_lease(node, out, outdated);
    if (replaces) post_release(node, old, Urgency::ordinary);
    lease_came = node.state.leased() && !had_lease;
    return 0;
}

void ServerOpens::adopt(Node& node, const protocol::OpenOut& out, bool outdated) {
    const ServerOpen old = node.open;
    kept_ -= counted(node);
    node.open.set(out.fh, true);
    kept_ += counted(node);
    take_lease(node, out, outdated);
    if (old.valid()) post_release(node, old.fh(), Urgency::ordinary);
}

/// Without waiting: nothing depends on when it is gone.
void ServerOpens::post_release(Node& node, std::uint64_t fh, Urgency urgency) {
    NodeUse use(node);
    Call call(connection_, Opcode::release, node.id, urgency);
    call.put(protocol::ReleaseIn{fh, 0, 0, 0});
    call.post();
}

void ServerOpens::drop_pages(Node& node, bool keep_pinned) {
    pages_.drop_range(node.file(), 0, UINT32_MAX, keep_pinned);
    pages_.drop_range(node.kernel_file(), 0, UINT32_MAX, keep_pinned);
}

bool ServerOpens::empty(const Node& node) const {
    return pages_.cache().file_pages(node.file()) == 0 &&
           pages_.cache().file_pages(node.kernel_file()) == 0;
}

void ServerOpens::release(Node& node, Urgency urgency) {
    if (!node.open.valid()) return;
    const std::uint64_t fh = node.open.fh();
    lost_open(node);
    if (node.state.leased()) {
        node.state.end_lease();
        node.state.forget();
    }
    drop_pages(node);
    post_release(node, fh, urgency);
}

void ServerOpens::lost_open(Node& node) {
    kept_ -= counted(node);
    node.open.reset();
}

bool ServerOpens::discarded(NodeId node) {
    while (!discarded_.empty() && discarded_.front().second <= clock_.now()) forget_discarded();
    return discarded_nodes_.contains(node);
}

void ServerOpens::discard(Node& node) {
    constexpr Nanoseconds known_to_server = protocol::nameless_grace + 200'000'000;
    constexpr std::size_t most = 4096;
    if (node.state.leased() && discarded_nodes_.insert(node.id).second) {
        if (discarded_.size() == most) forget_discarded();
        discarded_.emplace_back(node.id, clock_.now() + known_to_server);
    }
    if (node.wanted && pages_.dirty_pages(node.file()) != 0) {
        const NodeUse use(node);
        flusher_.flush(node);
        if (node.handles > 0 || node.openings > 0) return;
    }
    stats_.dirty_pages_dropped += pages_.dirty_pages(node.file());
    drop_pages(node);
    node.state.end_lease();
    node.state.forget();
    release(node);
    if (node.users == 0 && node.handles == 0 && node.used && empty(node)) nodes_.remove(node);
}

void ServerOpens::forgotten(NodeId id) {
    Node* const node = nodes_.find(id);
    if (node == nullptr || !node->unlinked) return;
    node->forgotten = true;
    discard_if_unused(*node);
}

void ServerOpens::discard_if_unused(Node& node) {
    const bool may_be_opened = config_.keeps_unlinked && !node.forgotten;
    if (!may_be_opened && node.handles == 0 && node.openings == 0) discard(node);
}

void ServerOpens::forget_file(Node& node) {
    drop_pages(node);
    node.state.end_lease();
    node.state.forget();
    node.has_name();
}

void ServerOpens::make_room() {
    for (int step = 0; step < 64; ++step) {
        const bool crowded = nodes_.size() >= config_.node_limit;
        if (!crowded && kept_ <= config_.open_limit) return;
        // survives yields: release() holds it while it yields
        Node* const node = nodes_.next_idle();
        if (node == nullptr) return;
        if (node->users > 0 || !idle(*node)) continue;
        if (node->state.leased() && !node->open.valid() && !node->unlinked) continue;
        if (!crowded) {
            release(*node);
            continue;
        }
        drop_pages(*node, true);
        release(*node);
        if (empty(*node) && node->users == 0 && node->used && idle(*node)) nodes_.remove(*node);
    }
}

bool ServerOpens::give_back() {
    constexpr std::uint32_t most = 256;
    std::uint32_t given = 0;
    std::vector<NodeUse> dirty;
    const std::uint32_t steps = nodes_.records();
    for (std::uint32_t step = 0; step < steps && given < most; ++step) {
        Node* const node = nodes_.next_idle();
        if (node == nullptr) break;
        if (node->users > 0 || node->handles > 0 || !node->open.valid()) continue;
        if (!idle(*node)) {
            // its use keeps it until its turn comes
            if (dirty.size() < most) dirty.emplace_back(*node);
            continue;
        }
        release(*node);
        ++given;
    }
    for (const NodeUse& use : dirty) {
        if (given == most || !connection_.usable()) break;
        Node& node = *use;
        flusher_.flush(node);
        if (node.users > 1 || !idle(node) || !node.open.valid()) continue;
        release(node);
        ++given;
    }
    // The releases are on their way, but another of the server's workers may take our next request
    // before them.
    if (given != 0) clock_.sleep(1'000'000);
    return given != 0;
}

/// Until everything is written back only we know the file's size, so the lease stays, but nobody
/// may make more pages dirty.
void ServerOpens::recall(NodeId id) {
    ++stats_.leases_recalled;
    connection_.outdate_node(id);
    Node* const known = nodes_.find(id);
    if (known == nullptr || !known->state.leased()) return;
    const NodeUse node(*known);
    while (node->append_lease && connection_.usable()) exchange_.wait_for_page();
    if (!node->state.leased()) return;
    node->state.begin_recall();
    for (int attempt = 0; attempt < 3; ++attempt) {
        flusher_.flush(*node);
        if (pages_.dirty_pages(node->file()) == 0) break;
    }
    node->state.end_lease();
    // Nobody would tell us when clean frames of our own, or the size, get stale.
    pages_.drop_own(node->file());
    node->state.forget();
    release_idle(*node, Urgency::recall);
    connection_.outdate_node(id);
    exchange_.page_changed();
}

}  // namespace xenfs::client
