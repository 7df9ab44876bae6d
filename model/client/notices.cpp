// What the server tells us. One task takes notices in order; each is counted when what it asks for
// is done.
#include <algorithm>

#include "model/client/client.h"

namespace xenfs::client {

using protocol::Notice;
using protocol::NoticeKind;

void Client::serve_notices() {
    std::uint32_t revocations = 0;  // carried out, not counted: they are given back together
    while (!stopping_ && connection_.usable()) {
        Notice notice;
        const bool more = connection_.next_notice(notice);
        const bool revokes =
            more && static_cast<NoticeKind>(notice.kind) == NoticeKind::revoke_pages;
        if (revocations != 0 && !revokes) {
            give_revoked_back();
            connection_.finish_notices(revocations);
            revocations = 0;
        }
        if (!more) {
            // An event may have been lost, and the server waits for us.
            if (!connection_.notice_gate().wait(config_.event_timeout)) connection_.look();
            continue;
        }
        ++stats_.notices;
        clock_.charge(costs_.request_encode);
        handle(notice);
        if (config_.on_notice) config_.on_notice(notice);
        if (revokes) {
            ++revocations;
        } else {
            connection_.finish_notices(1);
        }
    }
}

void Client::handle(const Notice& notice) {
    const std::uint64_t last =
        notice.count > UINT32_MAX ? UINT32_MAX : notice.first + notice.count - 1;
    Node* node = nodes_.find(notice.node);
    switch (static_cast<NoticeKind>(notice.kind)) {
        case NoticeKind::inval_entry: {
            ++stats_.entries_invalidated;
            connection_.doom_entry(notice.node, notice.name_hash);
            connection_.doom_node(notice.node);
            // A directory that was removed may leave its number to another: its names go too.
            const NodeId named = entries_.forget(notice.node, notice.name_hash);
            if (named != EntryCache::negative) entries_.forget_directory(named);
            if (node != nullptr) forget_attributes(*node);
            break;
        }
        case NoticeKind::inval_node:
            ++stats_.nodes_invalidated;
            // We are no holder any more: of a directory, we would not be told of its names.
            connection_.doom_node(notice.node, true);
            entries_.forget_directory(notice.node);
            if (node == nullptr) break;
            forget_attributes(*node);
            pages_.drop_range(node->kernel_file(), 0, UINT32_MAX);
            // It may be gone for good; an open of ours must not keep it.
            if (idle(*node)) release_fh(*node, true);
            break;
        case NoticeKind::inval_pages:
            connection_.doom_node(notice.node);
            if (node == nullptr) break;
            stats_.pages_invalidated += pages_.drop_range(node->file(), notice.first, last);
            pages_.drop_range(node->kernel_file(), notice.first, last);
            wake_page_waiters();
            break;
        case NoticeKind::revoke_pages:
            revoke(notice.node, notice.first, notice.count);
            break;
        case NoticeKind::recall_lease:
            recall(notice.node);
            break;
        default:  // of a later version; counted, so that the server can go on
            ++stats_.protocol_errors;
    }
}

/// Gives mappings back: a range of a file, or any so many.
void Client::revoke(NodeId id, std::uint64_t first, std::uint64_t count) {
    Node* node = id == 0 ? nullptr : nodes_.find(id);
    if (id == 0) {
        const auto most = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, UINT32_MAX));
        stats_.pages_revoked += pages_.shrink_mappings(most);
        entries_are_short();
    } else {
        if (node != nullptr) {
            const std::uint64_t last = count > UINT32_MAX ? UINT32_MAX : first + count - 1;
            stats_.pages_revoked += pages_.drop_mappings(node->file(), first, last);
            wake_page_waiters();
        }
    }
}

void Client::give_revoked_back() {
    pages_.settle();
    while (pages_.released() > 0 && connection_.usable()) send_released(true);
}

/// Writes everything back and gives the lease up. Until that is done the file's size is ours alone,
/// so the lease stays, but nobody may add to what is dirty.
void Client::recall(NodeId id) {
    ++stats_.leases_recalled;
    connection_.doom_node(id);
    Node* node = nodes_.find(id);
    if (node == nullptr || !node->lease) return;
    NodeUse use(*node);
    while (node->append_lease && connection_.usable()) wait_for_page();
    if (!node->lease) return;
    node->recalled = true;
    for (int attempt = 0; attempt < 3; ++attempt) {
        flush(*node);
        if (pages_.dirty_pages(node->file()) == 0) break;
    }
    node->lease = node->recalled = node->changed = false;
    // Clean frames of our own would get old without anybody telling us; so would the size.
    pages_.drop_own(node->file());
    forget_attributes(*node);
    if (idle(*node)) release_fh(*node, true);
    connection_.doom_node(id);
    wake_page_waiters();
}

}  // namespace xenfs::client
