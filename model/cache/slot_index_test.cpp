// The index is compared with std::unordered_map, through growth, long runs of probes and
// wrap-around.
#include "model/cache/slot_index.h"
#include "model/conformance/seed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <unordered_map>
#include <vector>

namespace xenfs::cache {
namespace {

struct Node {
    PageKey key;
};

std::uint64_t packed(PageKey key) {
    return (std::uint64_t{key.file} << 32) | key.page;
}

void compare(std::uint32_t slots, std::uint32_t keys, int steps, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Node> nodes(slots);
    std::vector<Slot> free;
    for (Slot slot = slots; slot-- > 0;) free.push_back(slot);
    SlotIndex<Node> index;
    index.set_max_slots(nodes.data(), slots);
    std::unordered_map<std::uint64_t, Slot> expected;
    for (int i = 0; i < steps; ++i) {
        const PageKey key{static_cast<std::uint32_t>(random() % 3),
                          static_cast<std::uint32_t>(random() % keys)};
        const auto known = expected.find(packed(key));
        const Slot found = index.find(nodes.data(), key);
        ASSERT_EQ(found, known == expected.end() ? kNoSlot : known->second) << "step " << i;
        if (found != kNoSlot) {
            index.erase(nodes.data(), found);
            free.push_back(found);
            expected.erase(known);
        } else if (!free.empty()) {
            const Slot slot = free.back();
            free.pop_back();
            nodes[slot].key = key;
            index.insert(nodes.data(), slot);
            expected[packed(key)] = slot;
        }
        ASSERT_EQ(index.used(), expected.size());
    }
    for (const auto& [key, slot] : expected) {
        const PageKey whole{static_cast<std::uint32_t>(key >> 32), static_cast<std::uint32_t>(key)};
        ASSERT_EQ(index.find(nodes.data(), whole), slot);
    }
}

TEST(SlotIndex, AgreesWithUnorderedMap) {
    const std::uint64_t seed = test_seed();
    compare(1, 2, 1000, seed);
    compare(7, 8, 20000, seed);
    compare(100, 70, 50000, seed);  // always near full
    compare(5000, 3000, 200000, seed);
    // full at times: runs are longer than a displacement can say
    compare(60000, 35000, 500000, seed);
}

TEST(SlotIndex, KeepsItsEntriesWhenSlotNumbersWiden) {
    std::vector<Node> nodes(100000);
    SlotIndex<Node> index;
    index.set_max_slots(nodes.data(), 3);
    for (Slot slot = 0; slot < 3; ++slot) {
        nodes[slot].key = {9, slot * 1000};
        index.insert(nodes.data(), slot);
    }
    index.set_max_slots(nodes.data(), 100000);
    for (Slot slot = 3; slot < 100000; ++slot) {
        nodes[slot].key = {9, slot * 1000};
        index.insert(nodes.data(), slot);
    }
    for (Slot slot = 0; slot < 100000; ++slot) {
        ASSERT_EQ(index.find(nodes.data(), {9, slot * 1000}), slot);
    }
    EXPECT_EQ(index.find(nodes.data(), {9, 1}), kNoSlot);
    EXPECT_LE(index.memory_bytes(), 100000u * 7 + 8);
}

TEST(SlotIndex, WorksWithTheMostSlots) {
    // Slot numbers of 29 bits leave no fingerprint: every probe of the right displacement looks
    // into a node.
    std::vector<Node> nodes(2000);
    SlotIndex<Node> index;
    index.set_max_slots(nodes.data(), kMaxPages);
    for (Slot slot = 0; slot < 2000; ++slot) {
        nodes[slot].key = {slot, 1};
        index.insert(nodes.data(), slot);
    }
    for (Slot slot = 0; slot < 2000; slot += 2) index.erase(nodes.data(), slot);
    for (Slot slot = 0; slot < 2000; ++slot) {
        ASSERT_EQ(index.find(nodes.data(), {slot, 1}), slot % 2 == 0 ? kNoSlot : slot);
    }
}

}  // namespace
}  // namespace xenfs::cache
