#include "model/server/takeover.h"

#include <algorithm>

namespace xenfs::server {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;
using protocol::XenbusState;

namespace {

bool contains(std::span<const Frame> sorted, Frame frame) {
    return std::binary_search(sorted.begin(), sorted.end(), frame);
}

std::uint64_t pages_in(std::uint64_t bytes) {
    return (bytes + page_size - 1) >> page_shift;
}

}  // namespace

Takeover::Takeover(ServerState& server, Directory& directory,
                   std::span<const host::OwnedFrame> frames,
                   std::span<const host::FoundEntry> entries)
    : server_(server), directory_(directory), entries_(entries) {
    for (const host::OwnedFrame& f : frames) (f.shared ? shared_ : plain_).push_back(f.frame);
    std::sort(plain_.begin(), plain_.end());
    std::sort(shared_.begin(), shared_.end());
}

void Takeover::run() {
    release_unused_shared();
    recover_clients();
    find_entries();
    find_pages();
    restore_frames();
    recover_files();
    recover_entries();
    server_.residency_.end_restore();
    finish_cuts();
    recover_changes();
}

/// A predecessor may have died between taking a frame for a table and linking it.
void Takeover::release_unused_shared() {
    const auto ours = directory_.frames();
    for (const Frame frame : shared_) {
        if (!contains(ours, frame)) server_.host_.memory().release_shared(frame);
    }
}

/// A client that was connected, and has not left meanwhile, gets the index that it had.
void Takeover::recover_clients() {
    for (std::uint32_t k = 0; k < directory_.clients.records() && k < most_connections; ++k) {
        const ClientRecord& record = *directory_.client(k);
        if (record.session == 0) continue;
        const Connection* const found = server_.clients_.find(record.domain, record.number);
        if (found == nullptr) {
            directory_.drop_client(k);
            continue;
        }
        server_.clients_.swap(found->index, static_cast<ConnectionIndex>(k));
        Connection& c = *server_.clients_.at(static_cast<ConnectionIndex>(k));
        const XenbusState state = protocol::read_frontend_state(server_.host_.store(), c.device);
        if (state == XenbusState::unknown || state == XenbusState::closing ||
            state == XenbusState::closed) {
            directory_.drop_client(k);
            continue;
        }
        c.session = record.session;
        c.returning = true;
        c.account = server_.ledger_.open(c.device.guest, c.attachment.quota_pages);
        server_.ledger_.set_donated(c.account, server_.host_.frames().donated_by(c.device.guest));
    }
}

void Takeover::find_entries() {
    for (const host::FoundEntry& entry : entries_) {
        if (entry.accepts && entry.frame != no_frame) arrived_.insert(entry.frame);
        if (entry.frame == no_frame || entry.accepts || entry.revoked) continue;
        bool& writable = wanted_[entry.frame];
        writable = writable || entry.access == Access::read_write;
    }
}

/// Drops records of frames that the pool does not have, and the older one where two name a page.
void Takeover::find_pages() {
    for (std::uint32_t i = 0; i < directory_.pages.records(); ++i) {
        const PageRecord& record = directory_.page(i);
        if (record.state == 0) continue;
        if (!contains(plain_, record.frame) || index_.contains(record.frame)) {
            directory_.drop_page(i);
            continue;
        }
        index_[record.frame] = i;
        auto [place, first] = newest_.try_emplace({record.node, record.page}, i);
        if (first) continue;
        const auto age =
            static_cast<std::int32_t>(record.sequence - directory_.page(place->second).sequence);
        directory_.drop_page(age > 0 ? place->second : i);
        if (age > 0) place->second = i;
    }
}

/// Frames get the indices by which the directory's records know them; the others get new ones.
void Takeover::restore_frames() {
    std::vector<Frame> by_index;
    for (const auto& [frame, index] : index_) {
        if (by_index.size() <= index) by_index.resize(index + 1, no_frame);
        by_index[index] = frame;
    }
    server_.residency_.restore_frames(by_index);
    for (const Frame frame : plain_) {
        if (!arrived_.contains(frame) && !index_.contains(frame)) {
            index_[frame] = server_.residency_.restore_frame(frame);
        }
    }
    server_.residency_.make_slots(static_cast<std::uint32_t>(newest_.size()));
}

void Takeover::recover_files() {
    std::unordered_map<NodeId, std::uint32_t> records;
    for (std::uint32_t i = 0; i < directory_.nodes.records(); ++i) {
        const NodeRecord& record = directory_.node(i);
        if (record.state == NodeRecord::vacant) continue;
        if (!records.try_emplace(record.node, i).second) directory_.drop_node(i);
    }
    const std::unordered_set<NodeId> removed = nodes_being_removed();
    for (const auto& [node, record] : records) {
        const NodeRecord kept = directory_.node(record);
        const std::string_view handle(kept.handle,
                                      std::min<std::size_t>(kept.handle_bytes, sizeof kept.handle));
        const auto attr = server_.storage_.restore(node, handle) == 0
                              ? server_.storage_.getattr(node)
                              : Result<host::Attr>(Errno{ESTALE});
        if (attr) {
            recover_file(kept, record, *attr);
        } else {
            lose_pages(node, removed.contains(node) || kept.state == NodeRecord::nameless);
            directory_.drop_node(record);
        }
    }
    // Pages of files that the directory does not name: there should be none.
    for (const auto& [key, index] : newest_) {
        const PageRecord& record = directory_.page(index);
        if (record.state != 0 && !slot_.contains(record.frame)) {
            directory_.drop_page(index);
        }
    }
}

/// The file is gone. `meant`: a client was removing it.
void Takeover::lose_pages(NodeId node, bool meant) {
    auto page = newest_.lower_bound({node, 0});
    for (; page != newest_.end() && page->first.first == node; ++page) {
        const bool dirty =
            directory_.page(page->second).state == static_cast<std::uint32_t>(PageKept::dirty);
        server_.stats_.recovery_lost_pages += dirty && !meant;
        directory_.drop_page(page->second);
    }
}

void Takeover::recover_file(const NodeRecord& kept, std::uint32_t record, const host::Attr& attr) {
    InodeUse inode(server_.inodes_, kept.node);
    inode->record = record;
    server_.attributes_.learn(*inode, attr, server_.attributes_.moment());
    const bool changed = kept.stored_size != attr.size || kept.stored_mtime() != attr.mtime;
    // The directory keeps the old size and time until clients have been told: if this server is
    // killed before that, its successor must see the change too, though the pages are dropped.
    inode->untold = changed;
    if (kept.state != NodeRecord::used) {
        inode->attr.size = kept.size;
        inode->attr.mtime = kept.mtime();
        inode->attr.ctime = server_.host_.clock().world();
        inode->size_ahead = true;
    }
    auto page = newest_.lower_bound({kept.node, 0});
    for (; page != newest_.end() && page->first.first == kept.node; ++page) {
        recover_page(*inode, inode.index(), page->second, changed);
    }
    if (inode->size_ahead) cut_storage(*inode);
    if (kept.state == NodeRecord::cutting) {
        zero_tail(*inode);
        cut_.push_back(kept.node);
    }
    if (inode->size_ahead) server_.write_back_.list(*inode, inode.index());
}

/// Files whose name a change that was under way takes away: if they are gone, a client wanted it.
std::unordered_set<NodeId> Takeover::nodes_being_removed() const {
    std::unordered_set<NodeId> nodes;
    for (std::uint32_t i = 0; i < directory_.intents.records(); ++i) {
        const IntentRecord& intent = *directory_.intent(i);
        if (intent.state == IntentRecord::none) continue;
        const Outcome outcome = outcome_of(intent);
        if (outcome == Outcome::removes_name) nodes.insert(intent.node);
        if (outcome == Outcome::moves) nodes.insert(intent.replaced);
    }
    return nodes;
}

void Takeover::recover_page(Inode& inode, InodeTable::Index index, std::uint32_t at, bool changed) {
    const PageRecord& record = directory_.page(at);
    const auto wanted = wanted_.find(record.frame);
    const bool writable = wanted != wanted_.end() && wanted->second;
    const bool beyond = record.page >= pages_in(inode.attr.size);
    const bool flux = record.state == static_cast<std::uint32_t>(PageKept::flux);
    const bool clean = record.state == static_cast<std::uint32_t>(PageKept::clean);
    if (changed && clean && !writable) {
        ++server_.stats_.recovery_stale_pages;
        directory_.drop_page(at);
        return;
    }
    // Zeros that nobody is about to overwrite, and data that was cut off, are not the file's.
    if ((flux && !writable) || (beyond && wanted == wanted_.end())) {
        directory_.drop_page(at);
        return;
    }
    if (inode.file == no_file) inode.file = server_.inodes_.make_file(index);
    const Slot slot = server_.residency_.restore_page({inode.file, record.page}, at, flux);
    slot_[record.frame] = slot;
    ++server_.stats_.recovered_pages;
    if (flux) {
        server_.residency_.begin_flux(slot, server_.fill_.flux_age());
        return;
    }
    // A client may have written to it and not said so yet.
    if (record.state == static_cast<std::uint32_t>(PageKept::dirty) || (writable && !beyond)) {
        server_.write_back_.dirtied(inode, index, slot);
        ++server_.stats_.recovered_dirty;
    }
}

/// Cuts off what the storage's file has behind the size that the clients know: it would show when
/// the file grows again.
void Takeover::cut_storage(Inode& inode) {
    if (inode.stored_size <= inode.attr.size) return;
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = inode.attr.size;
    const auto cut = server_.storage_.setattr(inode.node, change);
    if (!cut) return;
    inode.stored_size = cut->size;
    inode.stored_mtime = cut->mtime;
    server_.journal_->keep_stored(inode);
}

/// Zeroes the rest of the last page.
void Takeover::zero_tail(Inode& inode) {
    const std::uint64_t in_page = inode.attr.size % page_size;
    const Slot slot =
        inode.file == no_file || in_page == 0
            ? kNoSlot
            : server_.cache_.find(
                  {inode.file, static_cast<std::uint32_t>(inode.attr.size >> page_shift)});
    if (slot == kNoSlot || server_.cache_.state(slot) == PageState::loading) return;
    server_.host_.memory().zero(server_.residency_.page_of(slot),
                                static_cast<std::uint16_t>(in_page),
                                static_cast<std::uint16_t>(page_size - in_page));
    server_.write_back_.dirtied(inode, server_.inodes_.find(inode.node), slot);
}

/// Drops the pages that were cut off, now that the entries that show them are known.
void Takeover::finish_cuts() {
    for (const NodeId node : cut_) {
        InodeUse inode(server_.inodes_, node);
        server_.fill_.drop_pages(*inode, pages_in(inode->attr.size));
        // Where the storage failed, another successor tries again.
        if (inode->stored_size <= inode->attr.size) server_.journal_->keep_size(*inode);
    }
}

}  // namespace xenfs::server
