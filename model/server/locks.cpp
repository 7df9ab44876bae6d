#include "model/server/locks.h"

#include <algorithm>

namespace xenfs::server {

const LockRange* FileLocks::conflict(const LockRange& wanted) const {
    for (const LockRange& h : held) {
        if (h.flock != wanted.flock || h.owner == wanted.owner) continue;
        if (h.end < wanted.start || wanted.end < h.start) continue;
        if (h.exclusive || wanted.exclusive) return &h;
    }
    return nullptr;
}

void FileLocks::blockers(const LockRange& wanted, std::vector<LockOwner>& owners) const {
    for (const LockRange& h : held) {
        if (h.flock != wanted.flock || h.owner == wanted.owner) continue;
        if (h.end < wanted.start || wanted.end < h.start) continue;
        if (h.exclusive || wanted.exclusive) owners.push_back(h.owner);
    }
}

bool FileLocks::splits(const LockRange& range) const {
    return std::any_of(held.begin(), held.end(), [&](const LockRange& h) {
        return h.flock == range.flock && h.owner == range.owner && h.start < range.start &&
               h.end > range.end;
    });
}

void FileLocks::clear(const LockRange& range) {
    std::vector<LockRange> kept;
    for (const LockRange& h : held) {
        const bool same = h.flock == range.flock && h.owner == range.owner;
        if (!same || h.end < range.start || range.end < h.start) {
            kept.push_back(h);
            continue;
        }
        if (h.start < range.start) {
            kept.push_back(h);
            kept.back().end = range.start - 1;
        }
        if (h.end > range.end) {
            kept.push_back(h);
            kept.back().start = range.end + 1;
        }
    }
    held.swap(kept);
}

void FileLocks::set(const LockRange& range) {
    clear(range);
    LockRange merged = range;
    // Join with neighbours of the same owner and kind, so that the list stays short.
    std::erase_if(held, [&](const LockRange& h) {
        if (h.flock != merged.flock || h.owner != merged.owner || h.exclusive != merged.exclusive) {
            return false;
        }
        const bool before = merged.start != 0 && h.end == merged.start - 1;
        const bool after = merged.end != ~std::uint64_t{0} && h.start == merged.end + 1;
        if (before) merged.start = h.start;
        if (after) merged.end = h.end;
        return before || after;
    });
    held.push_back(merged);
}

std::vector<LockWaiter>::iterator FileLocks::find_waiting(std::uint32_t client,
                                                          std::uint64_t ticket) {
    return std::find_if(waiting.begin(), waiting.end(), [&](const LockWaiter& waiter) {
        return waiter.range.owner.client == client && waiter.ticket == ticket;
    });
}

void FileLocks::drop_client(std::uint32_t client) {
    std::erase_if(held, [&](const LockRange& h) { return h.owner.client == client; });
    std::erase_if(waiting, [&](const LockWaiter& w) { return w.range.owner.client == client; });
}

void FileLocks::drop_owner(const LockOwner& owner) {
    std::erase_if(held, [&](const LockRange& h) { return !h.flock && h.owner == owner; });
}

std::vector<LockWaiter> FileLocks::grant_waiting() {
    std::vector<LockWaiter> granted;
    for (std::size_t i = 0; i < waiting.size();) {
        if (conflict(waiting[i].range) != nullptr) {
            ++i;
            continue;
        }
        set(waiting[i].range);
        granted.push_back(waiting[i]);
        // It may have replaced an exclusive lock of its owner, and let those in who came before.
        const bool weakens = !waiting[i].range.exclusive;
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
        if (weakens) i = 0;
    }
    return granted;
}

}  // namespace xenfs::server
