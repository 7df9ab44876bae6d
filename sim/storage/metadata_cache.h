#pragma once
// Which metadata blocks of a volume are in its mounter's memory: least recently used leave.

#include <cstdint>
#include <list>
#include <unordered_map>

namespace xenfs::sim {

class MetadataCache {
  public:
    explicit MetadataCache(std::size_t capacity_blocks) : capacity_(capacity_blocks) {}

    /// Whether the block is there; if so it is now the most recently used.
    bool touch(std::uint64_t block) {
        const auto found = where_.find(block);
        if (found == where_.end()) return false;
        order_.splice(order_.begin(), order_, found->second);
        return true;
    }
    void add(std::uint64_t block) {
        if (touch(block)) return;
        if (where_.size() == capacity_) {
            where_.erase(order_.back());
            order_.pop_back();
        }
        order_.push_front(block);
        where_[block] = order_.begin();
    }
    void drop(std::uint64_t block) {
        const auto found = where_.find(block);
        if (found == where_.end()) return;
        order_.erase(found->second);
        where_.erase(found);
    }
    void clear() {
        where_.clear();
        order_.clear();
    }
    std::size_t size() const { return where_.size(); }

  private:
    std::size_t capacity_;
    std::list<std::uint64_t> order_;  ///< front: most recently used
    std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> where_;
};

}  // namespace xenfs::sim
