// The entry cache, its index and the node table are compared with std::map, step by step.
#include "model/client/entry_cache.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include "model/client/nodes.h"
#include "model/conformance/seed.h"

namespace xenfs::client {
namespace {

TEST(EntryCache, AgreesWithAMapWhileNothingIsEvicted) {
    std::mt19937_64 random(test_seed());
    EntryCache cache(1u << 20);
    std::map<std::pair<NodeId, std::string>, NodeId> model;
    for (int step = 0; step < 200'000; ++step) {
        const NodeId parent = 1 + random() % 20;
        std::string text = "f" + std::to_string(random() % 300);
        if (random() % 10 == 0) text += std::string(60, 'x');  // too long to be stored inline
        const Name name(text);
        switch (random() % 8) {
            case 0:
                cache.forget(parent, name);
                model.erase({parent, text});
                break;
            case 1: {
                const auto known = model.find({parent, text});
                const NodeId named = cache.forget(parent, name.hash);
                ASSERT_EQ(named, known == model.end() ? EntryCache::negative : known->second);
                model.erase({parent, text});
                break;
            }
            case 2:
                if (random() % 200 == 0) {
                    cache.forget_directory(parent);
                    std::erase_if(model, [&](const auto& e) { return e.first.first == parent; });
                }
                break;
            case 3:
            case 4: {
                const NodeId node = random() % 3 == 0 ? EntryCache::negative : 100 + random() % 50;
                cache.put(parent, name, node);
                model[{parent, text}] = node;
                break;
            }
            default: {
                const auto known = model.find({parent, text});
                ASSERT_EQ(cache.find(parent, name),
                          known == model.end() ? EntryCache::unknown : known->second);
            }
        }
        ASSERT_EQ(cache.size(), model.size());
    }
    cache.clear();
    EXPECT_EQ(cache.size(), 0u);
}

TEST(EntryCache, VerifiesByText) {
    EntryCache cache(100);
    cache.put(1, Name("one", 42), 7);
    EXPECT_EQ(cache.find(1, Name("two", 42)), EntryCache::unknown);
    cache.put(1, Name("two", 42), 8);
    EXPECT_EQ(cache.find(1, Name("one", 42)), 7u);
    EXPECT_EQ(cache.find(1, Name("two", 42)), 8u);
    cache.forget(1, std::uint64_t{42});
    EXPECT_EQ(cache.size(), 0u);
}

TEST(EntryCache, KeepsWhatIsAskedForWhenItIsFull) {
    EntryCache cache(1000);
    const std::string_view kept = "kept";
    cache.put(1, kept, 5);
    for (int i = 0; i < 20'000; ++i) {
        const std::string other = "n" + std::to_string(i);
        cache.put(2, std::string_view(other), EntryCache::negative);
        ASSERT_EQ(cache.find(1, kept), 5u) << i;
    }
    EXPECT_EQ(cache.size(), 1000u);
}

TEST(NodeTable, FindsWhatItHoldsAndReusesRecords) {
    std::mt19937_64 random(test_seed());
    NodeTable table;
    std::map<NodeId, Node*> model;
    for (int step = 0; step < 100'000; ++step) {
        const NodeId id = 1 + random() % 3000;
        if (random() % 3 == 0) {
            const auto known = model.find(id);
            if (known == model.end()) continue;
            table.remove(*known->second);
            model.erase(known);
        } else {
            Node& node = table.find_or_add(id);
            ASSERT_EQ(node.id, id);
            const auto [known, added] = model.try_emplace(id, &node);
            ASSERT_EQ(known->second, &node) << "addresses are stable";
        }
        ASSERT_EQ(table.size(), model.size());
    }
    EXPECT_LE(table.records(), 3000u);
    EXPECT_EQ(table.find(99'999), nullptr);
}

}  // namespace
}  // namespace xenfs::client
