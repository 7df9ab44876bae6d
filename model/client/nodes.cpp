#include "model/client/nodes.h"

namespace xenfs::client {

Node& NodeTable::add(NodeId id) {
    std::uint32_t record = records_;
    if (free_.empty()) {
        if (records_ % chunk == 0) chunks_.push_back(std::make_unique<Node[]>(chunk));
        ++records_;
    } else {
        record = free_.back();
        free_.pop_back();
    }
    Node& node = at(record);
    node = Node{};
    node.id = id;
    node.index = record;
    node.used = true;
    index_.insert(mix_hash(id, 1), record);
    return node;
}

void NodeTable::remove(Node& node) {
    assert(node.used && node.users == 0 && node.handles == 0);
    index_.erase(mix_hash(node.id, 1), node.index);
    node.used = false;
    node.state = {};
    free_.push_back(node.index);
}

Node* NodeTable::next_idle() {
    for (std::uint32_t step = 0; step < 2 * records_; ++step) {
        Node& node = at(hand_);
        hand_ = hand_ + 1 == records_ ? 0 : hand_ + 1;
        if (!node.used) continue;
        if (!node.referenced) return &node;
        node.referenced = false;
    }
    return nullptr;
}

}  // namespace xenfs::client
