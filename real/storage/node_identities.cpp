// This file says which node an identity means, for whoever watches the tree, and what has ended.
#include <utility>

#include "real/storage/node_table.h"

namespace xenfs::real::storage {
namespace {

constexpr std::size_t dead_remembered = 65536;

}  // namespace

std::string NodeTable::identity(NodeId node) const {
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    return known == records_.end() ? std::string() : known->second.identity;
}

void NodeTable::give_identity(NodeId node, Record& record, std::string_view identity) {
    if (!record.identity.empty()) return;
    record.identity = identity;
    // A dead node's place is taken over: its identity may be that of a file's second life.
    if (index_) {
        by_identity_.erase(record.identity);
        by_identity_.emplace(record.identity, node);
    }
}

void NodeTable::index_identities() {
    std::lock_guard hold(mutex_);
    index_ = true;
    for (const auto& [node, record] : records_) by_identity_.emplace(record.identity, node);
}

NodeId NodeTable::node_of(std::string_view identity) const {
    std::lock_guard hold(mutex_);
    const auto found = by_identity_.find(identity);
    return found == by_identity_.end() ? 0 : found->second;
}

bool NodeTable::knows(NodeId node) const {
    std::lock_guard hold(mutex_);
    return records_.contains(node);
}

void NodeTable::look_for_end(NodeId node) {
    OpenFile file;
    {
        std::lock_guard hold(mutex_);
        const auto known = records_.find(node);
        if (known == records_.end() || known->second.dead) return;
        file = known->second.file;
    }
    struct stat status {};
    if (file.descriptor == nullptr || fstat(file.get(), &status) != 0) return;
    if (status.st_nlink != 0) return;
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    if (known == records_.end() || known->second.dead) return;
    if (known->second.opens == 0) {
        mark_dead(node, known->second);
    } else {
        known->second.dead = true;
    }
}

void NodeTable::mark_dead(NodeId node, Record& record) {
    if (record.listed) recent_.erase(record.recent);
    record.listed = false;
    if (record.file.descriptor != nullptr) --descriptors_;
    record.file = {};
    record.dead = true;
    // The watch may have seen that the file is gone before whoever removed it says so.
    if (std::exchange(record.buried, true)) return;
    dead_.push_back(node);
    if (dead_.size() <= dead_remembered) return;
    const auto forgotten = records_.find(dead_.front());
    dead_.pop_front();
    if (forgotten == records_.end()) return;
    if (forgotten->second.opens != 0) {
        forgotten->second.buried = false;  // pinned after all; its end comes later
        return;
    }
    const auto indexed = by_identity_.find(forgotten->second.identity);
    if (indexed != by_identity_.end() && indexed->second == forgotten->first) {
        by_identity_.erase(indexed);
    }
    records_.erase(forgotten);
}

}  // namespace xenfs::real::storage
