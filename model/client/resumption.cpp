#include "model/client/resumption.h"

#include <algorithm>

namespace xenfs::client {

using protocol::ResumeItem;

void Resumption::follow_server() {
    while (!stopping_ && connection_.wait_for_successor()) {
        connection_.leave_server();
        int error = server_gone;
        while (error == server_gone && !stopping_) {
            error = connection_.join_successor();
            if (error == 0) error = present();
        }
        if (error != 0) return connection_.give_up();
        connection_.resubmit();
        // What is dirty under a lease that was lost is written back now, as on a recall.
        while (!leases_lost_.empty()) {
            const NodeId node = leases_lost_.back();
            leases_lost_.pop_back();
            opens_.recall(node);
        }
        exchange_.page_changed();
    }
}

void Resumption::forget_server_state() {
    connection_.outdate_answered();
    names_.clear();
    nodes_.for_each([&](Node& node) {
        node.state.forget();
        if (node.state.leased()) return;
        drop_copies(node.file());
        drop_copies(node.kernel_file());
    });
    if (config_.on_server_gone) config_.on_server_gone();
}

/// Drops copies, since nobody would tell that they are stale; dirty pages are still to be sent.
void Resumption::drop_copies(std::uint32_t file) {
    if (pages_.cache().file_pages(file) == 0) return;
    std::vector<Slot> slots;
    pages_.cache().pages_of(file, slots);
    for (const Slot slot : slots) {
        const bool copy = pages_.ready(slot) && pages_.has(slot, page_own) && !pages_.dirty(slot);
        if (copy && !pages_.has(slot, page_writing)) pages_.drop(slot);
    }
}

int Resumption::present() {
    forget_server_state();
    if (int error = present_opens()) return error;
    if (int error = locks_.present_locks()) return error;
    if (int error = locks_.present_waits()) return error;
    return present_items({}, true);
}

int Resumption::present_opens() {
    std::vector<ResumeItem> items;
    nodes_.for_each([&](const Node& node) {
        if (!node.open.valid() && !node.state.leased()) return;
        std::uint32_t flags = node.state.leased() ? std::uint32_t{protocol::resume_lease} : 0;
        if (node.open.valid()) flags |= protocol::resume_open;
        if (node.open.writes()) flags |= protocol::resume_write;
        items.push_back({node.id, node.open.fh(), flags, 0});
    });
    const std::span<const ResumeItem> all = items;
    for (std::size_t at = 0; at < all.size(); at += protocol::max_resume_per_request) {
        const std::size_t count =
            std::min<std::size_t>(protocol::max_resume_per_request, all.size() - at);
        if (int error = present_items(all.subspan(at, count), false)) return error;
    }
    return 0;
}

int Resumption::present_items(std::span<const ResumeItem> items, bool last) {
    std::vector<std::byte> request(sizeof(protocol::ResumeIn) + items.size_bytes());
    protocol::Writer writer(request.data(), request.size());
    writer.put(protocol::ResumeIn{static_cast<std::uint32_t>(items.size()),
                                  last ? std::uint32_t{protocol::resume_last} : 0});
    writer.put_array(items);
    protocol::Reader reply(nullptr, 0);
    if (int error = connection_.ask_directly(protocol::Opcode::resume, 0, request, reply)) {
        return error;
    }
    const auto out = reply.get<protocol::ResumeOut>();
    const auto flags = reply.get_array<std::uint32_t>(items.size());
    if (!reply.ok() || out.count != items.size()) return EPROTO;
    for (std::size_t i = 0; i < items.size(); ++i) restored(items[i], flags[i]);
    return 0;
}

/// `flags` says what of the item the successor has restored.
void Resumption::restored(const ResumeItem& item, std::uint32_t flags) {
    Node* const node = nodes_.find(item.node);
    if (node == nullptr) return;
    const bool open = (flags & protocol::resume_open) != 0;
    if (node->open.valid() && node->open.fh() == item.fh && !open) opens_.lost_open(*node);
    const bool had_lease = (item.flags & protocol::resume_lease) != 0;
    if (had_lease && node->state.leased() && (flags & protocol::resume_lease) == 0) {
        node->state.begin_recall();  // nothing more becomes dirty
        leases_lost_.push_back(node->id);
    }
}

}  // namespace xenfs::client
