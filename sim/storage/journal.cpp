#include "sim/storage/journal.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace xenfs::sim {

Journal::Journal(BlockDevice& device, BlockRange place, bool forget_young)
    : device_(device), place_(place), forget_young_(forget_young) {}

void Journal::created(NodeId node, std::uint64_t directory_block, std::uint64_t inode_block) {
    change(directory_block);
    change(inode_block);
    if (forget_young_) young_[node] = {directory_block, inode_block};
}

bool Journal::ended(NodeId node) {
    const auto young = young_.find(node);
    if (young == young_.end()) return false;
    drop(young->second.directory_block);
    drop(young->second.inode_block);
    young_.erase(young);
    ++stats_.young;
    return true;
}

void Journal::drop(std::uint64_t block) {
    const auto found = pending_.find(block);
    assert(found != pending_.end());
    if (--found->second == 0) pending_.erase(found);
}

void Journal::commit() {
    if (pending_.empty()) return;
    std::uint64_t left = pending_.size() + 2;  // a descriptor and a commit block
    ++stats_.commits;
    stats_.blocks += left;
    for (const auto& [block, changes] : pending_) committed_.insert(block);
    pending_.clear();
    young_.clear();
    const bool full = head_ + left > place_.count;
    std::vector<BlockRequest> requests;
    while (left > 0) {  // in a ring; a transaction larger than that wraps more than once
        const std::uint64_t piece = std::min(left, place_.count - head_);
        requests.push_back({{place_.first + head_, piece}, true});
        head_ = (head_ + piece) % place_.count;
        left -= piece;
    }
    device_.transfer(requests);
    if (full) checkpoint();
}

void Journal::checkpoint() {
    if (committed_.empty()) return;
    ++stats_.checkpoints;
    std::vector<BlockRequest> requests;
    for (const std::uint64_t block : committed_) {
        if (!requests.empty() &&
            requests.back().range.first + requests.back().range.count == block) {
            ++requests.back().range.count;
        } else {
            requests.push_back({{block, 1}, true});
        }
    }
    committed_.clear();
    device_.transfer(requests);
}

}  // namespace xenfs::sim
