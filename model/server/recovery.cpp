// A server that was started over the pool of one that died: takes over frames, pages, entries and
// what was being done, before it offers itself to anybody. See directory.h for what it finds.
#include <algorithm>
#include <string>
#include <unordered_set>

#include "model/server/server_state.h"

namespace xenfs::server {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;
using protocol::XenbusState;

/// What the host and the directory say, brought together.
struct ServerState::Found {
    std::vector<Frame> plain, shared;  ///< the pool's frames, sorted
    std::vector<host::FoundEntry> entries;
    std::unordered_map<Frame, pages::FrameIndex> index;
    std::unordered_map<Frame, Slot> slot;
    std::unordered_map<Frame, bool> wanted;  ///< has entries of clients; whether a writable one
};

namespace {

std::string root_path(const host::Host& host) {
    return "/local/domain/" + std::to_string(host.self()) + "/xenfs/pool-" +
           std::to_string(host.granter());
}

Outcome outcome_of(const IntentRecord& intent) {
    const Operation* const operation = find_operation(intent.opcode);
    return operation == nullptr ? Outcome::repeatable : operation->outcome;
}

bool contains(std::span<const Frame> sorted, Frame frame) {
    return std::binary_search(sorted.begin(), sorted.end(), frame);
}

std::uint64_t pages_in(std::uint64_t bytes) {
    return (bytes + page_size - 1) >> page_shift;
}

}  // namespace

void ServerState::recover() {
    const Nanoseconds start = host_.clock().now();
    const auto frames = host_.frames().all();
    const auto entries = host_.grants().all();
    if (!frames || !entries) return;  // the host cannot tell: nothing to find, nothing to leave
    Found found;
    for (const host::OwnedFrame& f : *frames)
        (f.shared ? found.shared : found.plain).push_back(f.frame);
    std::sort(found.plain.begin(), found.plain.end());
    std::sort(found.shared.begin(), found.shared.end());
    found.entries = *entries;
    if (const auto root = host_.store().read(root_path(host_))) {
        const auto frame = static_cast<Frame>(std::strtoul(root->c_str(), nullptr, 10));
        directory_ = Directory::open(host_, frame, found.shared);
    }
    const bool fresh = directory_ == nullptr;
    if (fresh) directory_ = Directory::make(host_);
    if (directory_ == nullptr) return;
    directory_->begin();
    // A frame that a table was to grow by, and did not.
    const auto ours = directory_->frames();
    for (const Frame frame : found.shared) {
        if (!contains(ours, frame)) host_.memory().release_shared(frame);
    }
    recover_clients();
    recover_pages(found);
    recover_entries(found);
    for (pages::FrameIndex i = 0; i < pool_.indices(); ++i) {
        if (!pool_.vacant(i)) pool_.recycle(i);
    }
    recover_intents();
    if (fresh) (void)host_.store().write(root_path(host_), std::to_string(directory_->root()));
    adjust_capacity();
    for (const auto& c : connections_) recovering_ = recovering_ || (c != nullptr && c->returning);
    recovery_deadline_ = host_.clock().now() + config_.resume_grace;
    stats_.recovery_ns = host_.clock().now() - start;
}

/// Who was connected and still wants to be stands at the index that it had.
void ServerState::recover_clients() {
    for (std::uint32_t k = 0; k < directory_->clients.records() && k < connections_.size(); ++k) {
        const ClientRecord& record = *directory_->client(k);
        if (record.session == 0) continue;
        const auto found =
            std::find_if(connections_.begin(), connections_.end(), [&](const auto& c) {
                return c != nullptr && c->device.guest == record.domain &&
                       c->device.number == record.number;
            });
        if (found == connections_.end()) {
            directory_->drop_client(k);
            continue;
        }
        const auto at = static_cast<ConnectionIndex>(found - connections_.begin());
        std::swap(connections_[at], connections_[k]);
        if (connections_[at] != nullptr) connections_[at]->index = at;
        Connection& c = *connections_[k];
        c.index = static_cast<ConnectionIndex>(k);
        const XenbusState state = protocol::read_frontend_state(host_.store(), c.device);
        if (state == XenbusState::unknown || state == XenbusState::closing ||
            state == XenbusState::closed) {
            directory_->drop_client(k);
            continue;
        }
        c.session = record.session;
        c.returning = true;
        c.account = ledger_.open(c.device.guest, c.attachment.quota_pages);
        ledger_.set_donated(c.account, host_.frames().donated_by(c.device.guest));
    }
}

void ServerState::recover_pages(Found& found) {
    std::unordered_set<Frame> arrived;  // by transfer, and not taken yet
    for (const host::FoundEntry& entry : found.entries) {
        if (entry.accepts && entry.frame != no_frame) arrived.insert(entry.frame);
        if (entry.frame == no_frame || entry.accepts || entry.revoked) continue;
        bool& writable = found.wanted[entry.frame];
        writable = writable || entry.access == Access::read_write;
    }
    // Which records stand: of frames that there are, the later one where two name a page.
    std::map<std::pair<NodeId, std::uint32_t>, std::uint32_t> newest;
    std::vector<Frame> by_index(directory_->pages.records(), no_frame);
    for (std::uint32_t i = 0; i < directory_->pages.records(); ++i) {
        const PageRecord& record = directory_->page(i);
        if (record.state == 0) continue;
        if (!contains(found.plain, record.frame) || found.index.contains(record.frame)) {
            directory_->drop_page(i);
            continue;
        }
        found.index[record.frame] = i;
        by_index[i] = record.frame;
        auto [place, first] = newest.try_emplace({record.node, record.page}, i);
        if (first) continue;
        const auto age =
            static_cast<std::int32_t>(record.sequence - directory_->page(place->second).sequence);
        directory_->drop_page(age > 0 ? place->second : i);
        if (age > 0) place->second = i;
    }
    while (!by_index.empty() && by_index.back() == no_frame) by_index.pop_back();
    pool_.restore(by_index);
    for (const Frame frame : found.plain) {
        if (!arrived.contains(frame) && !found.index.contains(frame)) {
            found.index[frame] = pool_.restore(frame);
        }
    }
    cache_.set_capacity(
        std::max<std::uint32_t>(cache_.capacity(), static_cast<std::uint32_t>(newest.size())));

    std::unordered_map<NodeId, std::uint32_t> records;
    for (std::uint32_t i = 0; i < directory_->nodes.records(); ++i) {
        const NodeRecord& record = directory_->node(i);
        if (record.state == NodeRecord::vacant) continue;
        if (!records.try_emplace(record.node, i).second) directory_->drop_node(i);
    }
    const std::unordered_set<NodeId> removed = nodes_being_removed();
    auto page = newest.begin();
    for (auto& [node, record] : records) {
        const NodeRecord kept = directory_->node(record);
        const std::string_view handle(kept.handle,
                                      std::min<std::size_t>(kept.handle_bytes, sizeof kept.handle));
        const auto attr = storage_.restore(node, handle) == 0 ? storage_.getattr(node)
                                                              : Result<host::Attr>(Errno{ESTALE});
        page = newest.lower_bound({node, 0});
        if (!attr) {
            const bool meant = removed.contains(node);
            for (; page != newest.end() && page->first.first == node; ++page) {
                const bool dirty = directory_->page(page->second).state ==
                                   static_cast<std::uint32_t>(PageKept::dirty);
                stats_.recovery_lost_pages += dirty && !meant;
                directory_->drop_page(page->second);
            }
            directory_->drop_node(record);
            continue;
        }
        InodeUse inode(*this, node);
        inode->record = record;
        learn(*inode, *attr);
        const bool changed = kept.stored_size != attr->size || kept.stored_mtime != attr->mtime;
        // The directory keeps the old size and time until clients have been told: should we die
        // before that, our successor must see the change too, though the pages are dropped.
        inode->untold = changed;
        if (kept.state != NodeRecord::used) {
            inode->attr.size = kept.size;
            inode->attr.mtime = inode->attr.ctime = kept.mtime;
            inode->size_ahead = true;
        }
        for (; page != newest.end() && page->first.first == node; ++page) {
            recover_page(found, *inode, inode.index(), page->second, changed);
        }
        if (kept.state == NodeRecord::cutting) finish_cut(*inode);
        if (inode->size_ahead) list_dirty(*inode, inode.index());
    }
    // Pages of files that the directory does not name: there should be none.
    for (const auto& [key, index] : newest) {
        if (directory_->page(index).state != 0 && pool_[index].users == 0) {
            directory_->drop_page(index);
        }
    }
}

/// Files from which a change that was under way took a name: if they are gone, a client wanted it.
std::unordered_set<NodeId> ServerState::nodes_being_removed() const {
    std::unordered_set<NodeId> nodes;
    for (std::uint32_t i = 0; i < directory_->intents.records(); ++i) {
        const IntentRecord& intent = *directory_->intent(i);
        if (intent.state == IntentRecord::none) continue;
        const Outcome outcome = outcome_of(intent);
        if (outcome == Outcome::removes_name) nodes.insert(intent.node);
        if (outcome == Outcome::moves) nodes.insert(intent.replaced);
    }
    return nodes;
}

void ServerState::recover_page(Found& found, Inode& inode, InodeTable::Index index,
                               std::uint32_t at, bool changed) {
    const PageRecord& record = directory_->page(at);
    const auto wanted = found.wanted.find(record.frame);
    const bool writable = wanted != found.wanted.end() && wanted->second;
    const bool beyond = record.page >= pages_in(inode.attr.size);
    const bool flux = record.state == static_cast<std::uint32_t>(PageKept::flux);
    const bool clean = record.state == static_cast<std::uint32_t>(PageKept::clean);
    if (changed && clean && !writable) {
        ++stats_.recovery_stale_pages;
        directory_->drop_page(at);
        return;
    }
    // What nobody is about to write is not the file's: zeros, or what was cut off.
    if ((flux && !writable) || (beyond && wanted == found.wanted.end())) {
        directory_->drop_page(at);
        return;
    }
    if (inode.file == no_file) inode.file = inodes_.make_file(index);
    const Slot slot = cache_.insert({inode.file, record.page}, at, PageState::clean);
    pool_.add_user(at);
    found.slot[record.frame] = slot;
    ++stats_.recovered_pages;
    if (flux) {
        // As insert_page leaves it: loading, until it is committed or given back.
        cache_.set_state(slot, PageState::loading);
        cache_.set_flags(slot, page_flux);
        return;
    }
    // A client may have written to it and not said so yet.
    if (record.state == static_cast<std::uint32_t>(PageKept::dirty) || (writable && !beyond)) {
        dirtied(inode, index, slot);
        ++stats_.recovered_dirty;
    }
}

/// What a truncate that was cut short itself has left behind the new end: in the storage, where a
/// file that grows again would show it, and in the last page.
void ServerState::finish_cut(Inode& inode) {
    if (inode.stored_size > inode.attr.size) {
        host::SetAttr change;
        change.valid = host::SetAttr::size_;
        change.value.size = inode.attr.size;
        if (const auto cut = storage_.setattr(inode.node, change)) {
            inode.stored_size = cut->size;
            inode.stored_mtime = cut->mtime;
            keep_stored(inode);
        }
    }
    const std::uint64_t in_page = inode.attr.size % page_size;
    const Slot slot =
        inode.file == no_file || in_page == 0
            ? kNoSlot
            : cache_.find({inode.file, static_cast<std::uint32_t>(inode.attr.size >> page_shift)});
    if (slot == kNoSlot || cache_.state(slot) == PageState::loading) return;
    host_.memory().zero(page_of(slot), static_cast<std::uint16_t>(in_page),
                        static_cast<std::uint16_t>(page_size - in_page));
    dirtied(inode, inodes_.find(inode.node), slot);
    keep_size(inode);
}

void ServerState::recover_entries(Found& found) {
    for (const host::FoundEntry& entry : found.entries) {
        const auto given = directory_->entry(entry.reference);
        Connection* client = nullptr;
        for (const auto& c : connections_) {
            if (c == nullptr || !c->returning || c->device.guest != entry.domain) continue;
            if (client == nullptr || c->index == given.client) client = c.get();
        }
        const auto end = [&] {
            GrantStatus status = GrantStatus::okay;
            host_.grants().revoke({&entry.reference, 1}, {&status, 1});
            if (status == GrantStatus::okay) directory_->drop_entry(entry.reference);
            return status == GrantStatus::okay;
        };
        if (entry.accepts) {
            const bool kept = client != nullptr && given.known &&
                              book_.adopt(client->account, entry.reference, pages::no_index,
                                          pages::no_tag, pages::EntryKind::accept, false);
            if (kept) {
                ++stats_.recovered_entries;
            } else if (!end()) {  // a frame came: nobody's now
                const Frame came = host_.grants().take_transferred(entry.reference);
                if (came != no_frame) (void)pool_.restore(came);
            }
            continue;
        }
        const auto frame = found.index.find(entry.frame);
        if (frame == found.index.end()) {
            end();
            continue;
        }
        const auto kind =
            entry.access == Access::read ? pages::EntryKind::read : pages::EntryKind::write;
        // Its client never heard of it.
        if ((client == nullptr || !given.known) && !entry.revoked && end()) continue;
        const auto slot = entry.revoked ? found.slot.end() : found.slot.find(entry.frame);
        const std::uint32_t tag = slot == found.slot.end() ? pages::no_tag : slot->second;
        if (client == nullptr || !book_.adopt(client->account, entry.reference, frame->second, tag,
                                              kind, entry.revoked)) {
            book_.adopt_orphan(entry.domain, entry.reference, frame->second, kind);
            continue;
        }
        if (tag != pages::no_tag) cache_.pin(tag);
        ++stats_.recovered_entries;
    }
}

void ServerState::recover_intents() {
    for (std::uint32_t i = 0; i < directory_->intents.records(); ++i) {
        IntentRecord& intent = *directory_->intent(i);
        if (intent.state == IntentRecord::none) continue;
        Connection* const c = intent.client < connections_.size()
                                  ? connection(static_cast<ConnectionIndex>(intent.client))
                                  : nullptr;
        Replay replay{intent.unique, intent.opcode, intent.node, intent.replaced, nullptr};
        if (c != nullptr && c->returning &&
            (intent.state == IntentRecord::done || took_effect(intent, replay))) {
            // Should we die too, a second successor may not be able to tell any more.
            intent.node = replay.node;
            publish(intent.state, std::uint32_t{IntentRecord::done});
            replay.record = &intent;
            c->replays.push_back(replay);
        } else {
            publish(intent.state, std::uint32_t{IntentRecord::none});
        }
    }
}

/// Whether a change that was begun happened. Nobody else has changed anything since.
bool ServerState::took_effect(const IntentRecord& intent, Replay& replay) {
    const auto at = [&](NodeId parent, const char* name) {
        const auto found = storage_.lookup(parent, name);
        return found ? found->node : 0;
    };
    const NodeId there = at(intent.parent, intent.name);
    switch (outcome_of(intent)) {
        case Outcome::makes_name:
            replay.node = there;
            return there != 0;
        case Outcome::links:
            return there == intent.node;
        case Outcome::removes_name:
            return there != intent.node;
        case Outcome::moves: {
            constexpr std::uint32_t exchange = 2;
            const bool moved = at(intent.new_parent, intent.new_name) == intent.node;
            return moved && ((intent.flags & exchange) != 0 ? there == intent.replaced
                                                            : there != intent.node);
        }
        case Outcome::resizes: {
            InodeUse inode(*this, intent.node);
            const auto attr = attributes(*inode);
            return attr && attr->size == intent.size;
        }
        case Outcome::repeatable:
        case Outcome::recorded:
            break;
    }
    return false;
}

bool ServerState::keep_node(Inode& inode) {
    if (!directory_ || inode.record != Directory::no_node) return true;
    // Files with cached pages are no more than that; the rest are being changed just now.
    constexpr std::uint32_t others = 1024;
    if (directory_->kept_nodes() >= pool_.capacity() + others) recycle_records();
    inode.record = directory_->keep_node(inode.node, storage_.handle(inode.node));
    keep_stored(inode);
    return inode.record != Directory::no_node;
}

/// Takes records back from files of which a successor would find nothing. Guests know more files
/// than have pages here, and the frames of the directory are not the cache's.
void ServerState::recycle_records() {
    constexpr std::uint32_t look_at_most = 1024;
    for (std::uint32_t step = 0; step < look_at_most; ++step) {
        record_hand_ = record_hand_ + 1 < directory_->nodes.records() ? record_hand_ + 1 : 0;
        const NodeRecord& record = directory_->node(record_hand_);
        if (record.state != NodeRecord::used) continue;
        const InodeTable::Index index = inodes_.find(record.node);
        if (index == InodeTable::none) continue;
        Inode& inode = inodes_[index];
        const bool idle = inode.record == record_hand_ && inode.refs == 0 && inode.io == 0;
        if (!idle || inode.size_ahead || inode.dirty_listed || inode.untold) continue;
        if (pages_cached(inode) != 0) continue;
        inode.record = Directory::no_node;
        directory_->drop_node(record_hand_);
    }
}

void ServerState::keep_stored(const Inode& inode) {
    if (!directory_ || inode.record == Directory::no_node || inode.untold) return;
    directory_->keep_stored(inode.record, inode.stored_size, inode.stored_mtime);
}

/// Clients have mapped pages of files as they were. Before anybody is served: whoever has such a
/// page is not known as its holder, and would not hear of the next change.
void ServerState::tell_changed_while_away() {
    std::vector<NodeId> changed;
    inodes_.for_each([&](InodeTable::Index, Inode& inode) {
        if (inode.untold) changed.push_back(inode.node);
    });
    if (changed.empty()) return;
    telling_ = true;
    Acks acks;
    for (const NodeId node : changed) {
        // Those that have copies, or know its size, have forgotten both when they came back. What a
        // kernel above the client has read from the pages goes by the second notice.
        const protocol::Notice notices[] = {
            notice(protocol::NoticeKind::revoke_pages, node, 0, protocol::max_file_pages),
            notice(protocol::NoticeKind::inval_node, node)};
        for (const protocol::Notice& each : notices) {
            for (ConnectionIndex i = 0; i < connections_.size(); ++i) {
                Connection* const c = connection(i);
                if (c != nullptr && c->alive()) post(acks, *c, each);
            }
        }
    }
    await(acks);
    telling_ = false;
    for (const NodeId node : changed) {
        InodeUse inode(*this, node);
        inode->untold = false;
        keep_stored(*inode);
    }
}

void ServerState::keep_size(Inode& inode) {
    if (!directory_ || (inode.record == Directory::no_node && !inode.size_ahead)) return;
    if (keep_node(inode)) {
        keep_stored(inode);
        directory_->keep_size(inode.record, inode.attr.size, inode.attr.mtime,
                              inode.size_ahead ? NodeRecord::ahead : NodeRecord::used);
    }
}

void ServerState::keep_page(Slot slot, PageKept state) {
    if (!directory_) return;
    const pages::FrameIndex frame = cache_.frame(slot);
    const cache::PageKey key = cache_.key(slot);
    if (!directory_->reach_page(frame)) return;
    const NodeId node = inodes_[inodes_.owner_of(key.file)].node;
    directory_->keep_page(frame, pool_[frame].frame, node, key.page, state);
}

}  // namespace xenfs::server
