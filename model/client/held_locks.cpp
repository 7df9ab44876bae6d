#include "model/client/held_locks.h"

#include <algorithm>

namespace xenfs::client {
namespace {

constexpr std::uint64_t end_of_all = ~std::uint64_t{0};

std::uint64_t last_of(const FileLock& lock) {
    return lock.length == 0 ? end_of_all : lock.start + lock.length - 1;
}

FileLock part_of(FileLock lock, std::uint64_t first, std::uint64_t last) {
    lock.start = first;
    lock.length = last == end_of_all ? 0 : last - first + 1;
    return lock;
}

/// Appends what of `held` lies outside `range`.
void keep_outside(const FileLock& held, const FileLock& range, std::vector<FileLock>& kept) {
    const std::uint64_t first = std::max(held.start, range.start);
    const std::uint64_t last = std::min(last_of(held), last_of(range));
    if (first > last) return kept.push_back(held);
    if (held.start < first) kept.push_back(part_of(held, held.start, first - 1));
    if (last_of(held) > last) kept.push_back(part_of(held, last + 1, last_of(held)));
}

/// Joins what touches, so that a record does not grow with the number of requests.
void join(std::vector<FileLock>& locks) {
    std::sort(locks.begin(), locks.end(),
              [](const FileLock& a, const FileLock& b) { return a.start < b.start; });
    std::vector<FileLock> joined;
    for (const FileLock& lock : locks) {
        if (!joined.empty() && joined.back().type == lock.type &&
            last_of(joined.back()) + 1 == lock.start) {
            joined.back() = part_of(joined.back(), joined.back().start, last_of(lock));
        } else {
            joined.push_back(lock);
        }
    }
    locks.swap(joined);
}

}  // namespace

void HeldLocks::put(const Owner& owner, Locks locks) {
    join(locks);
    if (locks.empty()) {
        held_.erase(owner);
    } else {
        held_[owner] = std::move(locks);
    }
}

void HeldLocks::set(NodeId node, const FileLock& lock) {
    const Owner owner = owner_of(node, lock);
    Locks after;
    if (const auto before = held_.find(owner); before != held_.end()) {
        for (const FileLock& held : before->second) keep_outside(held, lock, after);
    }
    if (lock.type != FileLock::Type::unlock) after.push_back(lock);
    put(owner, std::move(after));
}

HeldLocks::Locks HeldLocks::give_up(NodeId node, const FileLock& lock) {
    const auto found = held_.find(owner_of(node, lock));
    if (found == held_.end()) return {};
    Locks before = found->second;
    if (lock.type == FileLock::Type::unlock) set(node, lock);
    return before;
}

std::vector<std::pair<NodeId, FileLock>> HeldLocks::all() const {
    std::vector<std::pair<NodeId, FileLock>> result;
    for (const auto& [owner, locks] : held_) {
        for (const FileLock& lock : locks) result.emplace_back(owner.node, lock);
    }
    return result;
}

}  // namespace xenfs::client
