#include "model/server/journal.h"

#include <algorithm>

namespace xenfs::server {

void PoolJournal::keep_page(const KeptPage& page, PageKept state) {
    if (!directory_->reach_page(page.index)) return;
    directory_->keep_page(page.index, page.frame, page.node, page.page, state);
}

void PoolJournal::keep_dirty(const KeptPage& page) {
    if (directory_->keeps_page(page.index)) {
        directory_->keep_state(page.index, PageKept::dirty);
    } else {
        keep_page(page, PageKept::dirty);
    }
}

bool PoolJournal::keep_node(Inode& inode) {
    if (inode.record != Directory::no_node) return true;
    // Files with cached pages are no more than is expected; the others are being changed now.
    constexpr std::uint32_t others = 1024;
    if (directory_->kept_nodes() >= sources_.most_nodes_expected() + others) recycle_nodes();
    inode.record = directory_->keep_node(inode.node, sources_.handle(inode.node));
    keep_stored(inode);
    return inode.record != Directory::no_node;
}

void PoolJournal::drop_node(Inode& inode) {
    if (inode.record == Directory::no_node) return;
    directory_->drop_node(inode.record);
    inode.record = Directory::no_node;
}

/// Takes records back from files of which a successor would find nothing. Guests know more files
/// than have pages here, and the directory's frames are taken from the cache's memory.
void PoolJournal::recycle_nodes() {
    constexpr std::uint32_t look_at_most = 1024;
    for (std::uint32_t step = 0; step < look_at_most; ++step) {
        hand_ = hand_ + 1 < directory_->nodes.records() ? hand_ + 1 : 0;
        const NodeRecord& record = directory_->node(hand_);
        if (record.state != NodeRecord::used) continue;
        const InodeTable::Index index = inodes_.find(record.node);
        if (index == InodeTable::none) continue;
        Inode& inode = inodes_[index];
        const bool idle = inode.record == hand_ && inode.refs == 0 && inode.io == 0;
        if (!idle || inode.size_ahead || inode.dirty_listed || inode.untold) continue;
        if (!sources_.cached(inode)) drop_node(inode);
    }
}

void PoolJournal::keep_size(Inode& inode) {
    if (inode.record == Directory::no_node && !inode.size_ahead) return;
    if (!keep_node(inode)) return;
    keep_stored(inode);
    directory_->keep_size(inode.record, inode.attr.size, inode.attr.mtime,
                          inode.nameless_until != 0 ? NodeRecord::nameless
                          : inode.size_ahead        ? NodeRecord::ahead
                                                    : NodeRecord::used);
}

void PoolJournal::keep_cut(const Inode& inode, std::uint64_t size) {
    if (inode.record == Directory::no_node) return;
    directory_->keep_size(inode.record, size, inode.attr.mtime, NodeRecord::cutting);
}

void PoolJournal::keep_stored(const Inode& inode) {
    if (inode.record == Directory::no_node || inode.untold) return;
    directory_->keep_stored(inode.record, inode.stored_size, inode.stored_mtime);
}

IntentRecord* PoolJournal::begin_change(std::uint32_t place, const Change& change) {
    // Records of changes that a predecessor made stand until their requests have come again.
    IntentRecord* record = nullptr;
    do {
        record = directory_->intent(place++);
        if (record == nullptr) return nullptr;
    } while (record->state != IntentRecord::none);
    record->unique = change.unique;
    record->parent = change.parent;
    record->new_parent = change.new_parent;
    record->node = change.node;
    record->replaced = change.replaced;
    record->size = change.size;
    record->opcode = change.opcode;
    record->flags = change.flags;
    record->client = change.client;
    const auto put = [](char* to, std::string_view name) {
        std::copy(name.begin(), name.end(), to);
        to[name.size()] = 0;
    };
    put(record->name, change.name);
    put(record->new_name, change.new_name);
    publish(record->state, std::uint32_t{IntentRecord::started});
    return record;
}

void PoolJournal::complete_change(IntentRecord* record, NodeId node) {
    if (record == nullptr) return;
    record->node = node;
    publish(record->state, std::uint32_t{IntentRecord::done});
}

void PoolJournal::end_change(IntentRecord* record) {
    if (record != nullptr) publish(record->state, std::uint32_t{IntentRecord::none});
}

}  // namespace xenfs::server
