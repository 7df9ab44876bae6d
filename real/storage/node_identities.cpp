// This file says which node an identity means, for whoever watches the tree.
#include "real/storage/node_table.h"

namespace xenfs::real::storage {

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

}  // namespace xenfs::real::storage
