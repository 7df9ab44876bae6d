// What a client tells the successor of a server that died: which files it has open, which leases
// and locks it holds. Everything that the old server had told it is forgotten: the new one does not
// know what it would have to take back. Mappings stay: they are the pool's, and so do dirty pages.
#include <algorithm>

#include "model/client/client.h"

namespace xenfs::client {

using protocol::ResumeItem;

void Client::follow_server() {
    while (!stopping_ && connection_.wait_for_successor()) {
        connection_.leave_server();
        int error = server_gone;
        while (error == server_gone && !stopping_) {
            error = connection_.join_successor();
            if (error == 0) error = present();
        }
        if (error != 0) return connection_.give_up();
        connection_.go_on();
        lost_leases();
        wake_page_waiters();
    }
}

void Client::forget_what_was_told() {
    connection_.doom_answered();
    entries_.clear();
    links_.clear();
    std::vector<Slot> slots;
    for (std::uint32_t i = 0; i < nodes_.records(); ++i) {
        Node& node = nodes_.at(i);
        if (!node.used) continue;
        forget_attributes(node);
        if (node.lease) continue;
        // Copies get old without a word; what is dirty is still to be sent.
        for (const std::uint32_t file : {node.file(), node.kernel_file()}) {
            if (pages_.cache().file_pages(file) == 0) continue;
            slots.clear();
            pages_.cache().pages_of(file, slots);
            for (const Slot slot : slots) {
                const bool own = pages_.ready(slot) && pages_.has(slot, page_own);
                if (!own || pages_.cache().state(slot) == PageState::dirty) continue;
                if (!pages_.has(slot, page_writing)) pages_.drop(slot);
            }
        }
    }
    if (config_.on_server_gone) config_.on_server_gone();
}

int Client::present() {
    forget_what_was_told();
    std::vector<ResumeItem> items;
    for (std::uint32_t i = 0; i < nodes_.records(); ++i) {
        const Node& node = nodes_.at(i);
        if (!node.used || (!node.fh_valid && !node.lease)) continue;
        std::uint32_t flags = node.lease ? std::uint32_t{protocol::resume_lease} : 0;
        if (node.fh_valid) flags |= protocol::resume_open;
        if (node.fh_valid && node.fh_write) flags |= protocol::resume_write;
        items.push_back({node.id, node.fh_valid ? node.fh : 0, flags, 0});
    }
    const std::span<const ResumeItem> all = items;
    for (std::size_t at = 0; at < all.size(); at += protocol::max_resume_per_request) {
        const std::size_t count =
            std::min<std::size_t>(protocol::max_resume_per_request, all.size() - at);
        if (int error = present_items(all.subspan(at, count), false)) return error;
    }
    std::vector<std::pair<Node*, FileLock>> locks;
    handles_.for_each([&](OpenFile& file) {
        for (const FileLock& lock : file.locks) locks.emplace_back(file.node, lock);
    });
    for (const auto& [node, lock] : locks) {
        const int error = present_lock(*node, lock);
        if (error == server_gone || error == EPROTO) return error;
    }
    return present_items({}, true);
}

int Client::present_items(std::span<const ResumeItem> items, bool last) {
    std::vector<std::byte> request(sizeof(protocol::ResumeIn) + items.size_bytes());
    protocol::Writer writer(request.data(), request.size());
    writer.put(protocol::ResumeIn{static_cast<std::uint32_t>(items.size()),
                                  last ? std::uint32_t{protocol::resume_last} : 0});
    writer.put_array(items);
    protocol::Reader reply(nullptr, 0);
    if (int error = connection_.speak(protocol::Opcode::resume, 0, request, reply)) return error;
    const auto out = reply.get<protocol::ResumeOut>();
    const auto stands = reply.get_array<std::uint32_t>(items.size());
    if (!reply.ok() || out.count != items.size()) return EPROTO;
    for (std::size_t i = 0; i < items.size(); ++i) {
        Node* const node = nodes_.find(items[i].node);
        if (node == nullptr) continue;
        const bool open = (stands[i] & protocol::resume_open) != 0;
        if (node->fh_valid && node->fh == items[i].fh && !open) {
            if (node->opens == 0) --open_fhs_;
            node->fh_valid = false;
        }
        const bool had_lease = (items[i].flags & protocol::resume_lease) != 0;
        if (had_lease && node->lease && (stands[i] & protocol::resume_lease) == 0) {
            node->recalled = true;  // nothing more becomes dirty
            leases_lost_.push_back(node->id);
        }
    }
    return 0;
}

/// The files whose lease the successor gave to nobody or to another: what is dirty goes now, as on
/// a recall.
void Client::lost_leases() {
    while (!leases_lost_.empty()) {
        const NodeId id = leases_lost_.back();
        leases_lost_.pop_back();
        recall(id);
    }
}

bool Client::open_again(Node& node, std::uint64_t fh) {
    if (node.fh_valid && node.fh != fh) return true;
    if (!node.fh_valid || stats_.reconnects == 0) return false;
    return open_at_server(node, node.fh_write) == 0;
}

}  // namespace xenfs::client
