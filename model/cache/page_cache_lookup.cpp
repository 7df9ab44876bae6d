// Looking up, in batches: the next keys' cache misses overlap the work on the present ones.
#include <algorithm>
#include <array>

#include "model/cache/page_cache.h"

namespace xenfs::cache {
namespace {

/// Keys whose memory accesses overlap. Eight keeps the line-fill buffers of a core busy.
constexpr std::size_t kBatch = 8;

}  // namespace

void PageCache::prefetch(std::span<const PageKey> keys) const {
    std::array<Slot, kBatch> slots;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        slots[i] = index_.guess(hash_of(keys[i]));
        if (slots[i] != kNoSlot) __builtin_prefetch(&nodes_[slots[i]], 1);
    }
    if (!touch_moves_) return;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (slots[i] == kNoSlot) continue;
        const PageNode& node = nodes_[slots[i]];
        if (node.prev != kNoSlot) __builtin_prefetch(&nodes_[node.prev], 1);
        if (node.next != kNoSlot) __builtin_prefetch(&nodes_[node.next], 1);
    }
}

void PageCache::prefetch_victim() const {
    const Slot slot = policy_->likely_victim();
    if (slot == kNoSlot) return;
    __builtin_prefetch(&records_[slot], 1);
    index_.prefetch(hash_of(nodes_[slot].key));
    const Slot before = nodes_[slot].prev;
    if (before != kNoSlot) __builtin_prefetch(&nodes_[before], 1);
}

void PageCache::find(std::span<const PageKey> keys, std::span<Slot> slots) const {
    assert(keys.size() == slots.size());
    for (std::size_t begin = 0; begin < keys.size(); begin += kBatch) {
        const auto batch = keys.subspan(begin, std::min(kBatch, keys.size() - begin));
        for (const PageKey key : batch) index_.prefetch(hash_of(key));
        for (const PageKey key : batch) {
            const Slot slot = index_.guess(hash_of(key));
            if (slot != kNoSlot) __builtin_prefetch(&nodes_[slot], 1);
        }
        for (std::size_t i = 0; i < batch.size(); ++i) slots[begin + i] = find(batch[i]);
    }
}

std::uint32_t PageCache::find_run(std::uint32_t file, std::uint32_t first_page,
                                  std::span<Slot> slots) const {
    std::uint32_t hits = 0;
    std::array<PageKey, kBatch> keys;
    for (std::size_t begin = 0; begin < slots.size(); begin += kBatch) {
        const std::size_t length = std::min(kBatch, slots.size() - begin);
        for (std::size_t i = 0; i < length; ++i) {
            keys[i] = {file, first_page + static_cast<std::uint32_t>(begin + i)};
        }
        const auto found = slots.subspan(begin, length);
        find(std::span<const PageKey>(keys).first(length), found);
        hits += static_cast<std::uint32_t>(
            std::count_if(found.begin(), found.end(), [](Slot slot) { return slot != kNoSlot; }));
    }
    return hits;
}

void PageCache::touch(std::span<const Slot> slots) {
    // The policy never sees parked pages; runs between them go to it whole.
    std::size_t begin = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (!nodes_[slots[i]].parked) continue;
        records_[slots[i]].touched = true;
        if (i > begin) policy_->touch(slots.subspan(begin, i - begin));
        begin = i + 1;
    }
    if (begin < slots.size()) policy_->touch(slots.subspan(begin));
}

std::uint32_t PageCache::lookup(std::span<const PageKey> keys, std::span<Slot> slots) {
    assert(keys.size() == slots.size());
    std::uint32_t hits = 0;
    for (std::size_t begin = 0; begin < keys.size(); begin += kBatch) {
        const auto batch = keys.subspan(begin, std::min(kBatch, keys.size() - begin));
        for (const PageKey key : batch) index_.prefetch(hash_of(key));
        prefetch(batch);
        std::array<Slot, kBatch> found;
        std::size_t count = 0;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const Slot slot = find(batch[i]);
            slots[begin + i] = slot;
            if (slot != kNoSlot) found[count++] = slot;
        }
        touch(std::span<const Slot>(found).first(count));
        hits += static_cast<std::uint32_t>(count);
    }
    return hits;
}

std::uint32_t PageCache::access(std::span<const PageKey> keys, std::vector<PageKey>* missed,
                                std::vector<Evicted>* evicted, DirtyPages dirty) {
    std::uint32_t misses = 0;
    std::array<Slot, kBatch> found;
    for (const PageKey key : keys.first(std::min(kBatch, keys.size()))) {
        index_.prefetch(hash_of(key));
    }
    for (std::size_t begin = 0; begin < keys.size(); begin += kBatch) {
        const auto batch = keys.subspan(begin, std::min(kBatch, keys.size() - begin));
        prefetch(batch);
        const auto rest = keys.subspan(begin + batch.size());
        for (const PageKey key : rest.first(std::min(kBatch, rest.size()))) {
            index_.prefetch(hash_of(key));
        }
        std::size_t count = 0;
        for (const PageKey key : batch) {
            const Slot slot = find(key);
            if (slot != kNoSlot) {
                found[count++] = slot;
                continue;
            }
            // The policy must know of the hits before it chooses a victim.
            touch(std::span<const Slot>(found).first(count));
            count = 0;
            ++misses;
            if (missed != nullptr) missed->push_back(key);
            admit(key, 0, PageState::clean, dirty, evicted);
        }
        touch(std::span<const Slot>(found).first(count));
    }
    return misses;
}

}  // namespace xenfs::cache
