#include "model/client/notices.h"

#include <algorithm>

namespace xenfs::client {

using protocol::Notice;
using protocol::NoticeKind;

void NoticeHandler::serve() {
    std::uint32_t revocations = 0;  // carried out and not yet counted: they are given back together
    while (!stopping_ && connection_.usable()) {
        Notice notice;
        const bool more = connection_.next_notice(notice);
        const bool revokes =
            more && static_cast<NoticeKind>(notice.kind) == NoticeKind::revoke_pages;
        if (revocations != 0 && !revokes) {
            exchange_.release(Urgency::recall);
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
    locks_.end_waits();  // nobody would tell of their grants any more
}

void NoticeHandler::stop() {
    stopping_ = true;
    connection_.notice_gate().wake_all();
}

void NoticeHandler::handle(const Notice& notice) {
    const std::uint64_t last =
        notice.count > UINT32_MAX ? UINT32_MAX : notice.first + notice.count - 1;
    switch (static_cast<NoticeKind>(notice.kind)) {
        case NoticeKind::inval_entry:
            ++stats_.entries_invalidated;
            connection_.outdate_entry(notice.node, notice.name_hash);
            connection_.outdate_node(notice.node);
            names_.forget(notice.node, notice.name_hash);
            if (Node* const node = nodes_.find(notice.node)) node->state.forget();
            break;
        case NoticeKind::inval_node:
            ++stats_.nodes_invalidated;
            forget_node(notice.node);
            break;
        case NoticeKind::inval_pages:
            connection_.outdate_node(notice.node);
            outdate_pages(notice.node, notice.first, last);
            break;
        case NoticeKind::revoke_pages:
            if (notice.node != 0) {
                unmap(notice.node, notice.first, last);
                break;
            }
            stats_.pages_revoked += pages_.shrink_mappings(
                static_cast<std::uint32_t>(std::min<std::uint64_t>(notice.count, UINT32_MAX)));
            choice_.entries_are_short();
            break;
        case NoticeKind::recall_lease:
            opens_.recall(notice.node);
            break;
        case NoticeKind::lock_granted:  // Connection has told of it when it came
            break;
        default:  // a later version's kind; it is counted so that the server need not wait
            ++stats_.protocol_errors;
    }
}

/// Forgets a node, because we are not its holder any more: we would not be told of a directory's
/// names either.
void NoticeHandler::forget_node(NodeId id) {
    connection_.outdate_node(id, true);
    names_.forget_directory(id);
    Node* const node = nodes_.find(id);
    if (node == nullptr) return;
    node->state.forget();
    pages_.drop_range(node->kernel_file(), 0, UINT32_MAX);
    opens_.release_idle(
        *node, Urgency::recall);  // it may be gone for good; an open of ours must not keep it
}

void NoticeHandler::outdate_pages(NodeId id, std::uint64_t first, std::uint64_t last) {
    const Node* const node = nodes_.find(id);
    if (node == nullptr) return;
    stats_.pages_invalidated += pages_.drop_range(node->file(), first, last);
    pages_.drop_range(node->kernel_file(), first, last);
    exchange_.page_changed();
}

void NoticeHandler::unmap(NodeId id, std::uint64_t first, std::uint64_t last) {
    const Node* const node = nodes_.find(id);
    if (node == nullptr) return;
    stats_.pages_revoked += pages_.drop_mappings(node->file(), first, last);
    exchange_.page_changed();
}

}  // namespace xenfs::client
