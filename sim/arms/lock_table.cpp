#include "sim/arms/lock_table.h"

#include <algorithm>

namespace xenfs::sim {
namespace {

using files::FileLock;

/// First byte behind the lock; length 0 reaches to the end and beyond.
std::uint64_t end_of(const FileLock& lock) {
    return lock.length == 0 ? ~std::uint64_t{0} : lock.start + lock.length;
}

bool same_owner(const FileLock& a, const FileLock& b) {
    return a.owner == b.owner && a.whole_file == b.whole_file;
}

}  // namespace

bool LockTable::overlap(const FileLock& a, const FileLock& b) {
    return a.whole_file == b.whole_file && a.start < end_of(b) && b.start < end_of(a);
}

FileLock LockTable::conflict(NodeId node, const FileLock& lock) const {
    const auto found = locks_.find(node);
    if (found != locks_.end()) {
        for (const FileLock& held : found->second) {
            const bool exclusive =
                held.type == FileLock::Type::exclusive || lock.type == FileLock::Type::exclusive;
            if (exclusive && !same_owner(held, lock) && overlap(held, lock)) return held;
        }
    }
    FileLock none = lock;
    none.type = FileLock::Type::unlock;
    return none;
}

bool LockTable::set(NodeId node, const FileLock& lock) {
    if (lock.type != FileLock::Type::unlock &&
        conflict(node, lock).type != FileLock::Type::unlock) {
        return false;
    }
    std::vector<FileLock>& held = locks_[node];
    std::vector<FileLock> kept;
    for (const FileLock& other : held) {
        if (!same_owner(other, lock) || !overlap(other, lock)) {
            kept.push_back(other);
            continue;
        }
        // What sticks out on either side stays as it was.
        if (other.start < lock.start) {
            kept.push_back(other);
            kept.back().length = lock.start - other.start;
        }
        if (end_of(other) > end_of(lock)) {
            kept.push_back(other);
            kept.back().start = end_of(lock);
            kept.back().length = other.length == 0 ? 0 : end_of(other) - end_of(lock);
        }
    }
    if (lock.type != FileLock::Type::unlock) kept.push_back(lock);
    held = std::move(kept);
    if (held.empty()) locks_.erase(node);
    return true;
}

bool LockTable::drop(NodeId node, std::uint64_t owner, bool whole_file) {
    const auto found = locks_.find(node);
    if (found == locks_.end()) return false;
    const auto gone = std::erase_if(found->second, [&](const FileLock& held) {
        return held.owner == owner && held.whole_file == whole_file;
    });
    if (found->second.empty()) locks_.erase(found);
    return gone > 0;
}

}  // namespace xenfs::sim
