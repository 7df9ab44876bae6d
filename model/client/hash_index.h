#pragma once
// Maps a 64-bit hash to the number of a record: an open-addressed table with linear probing.

#include <bit>
#include <cassert>
#include <cstdint>
#include <vector>

namespace xenfs::client {

inline constexpr std::uint32_t no_record = ~std::uint32_t{0};

/// Mixes two words into a hash whose upper half is well mixed.
constexpr std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b) {
    std::uint64_t h = (a ^ (b >> 32) ^ (b << 32)) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
    return h * 0xbf58476d1ce4e5b9u;
}

/// The records stay the caller's. An entry is (upper half of the hash, record + 1). That half
/// decides both where the entry lies and whether a record is worth reading, so growing and erasing
/// read no record. There are no tombstones: an erase closes its gap. The load is at most 1/2.
class HashIndex {
  public:
    HashIndex() : table_(first_size) {}

    /// Returns the first record with that hash for which `is_it(record)`, or no_record.
    template <class Predicate>
    std::uint32_t find(std::uint64_t hash, Predicate is_it) const {
        const std::uint32_t tag = tag_of(hash);
        for (std::uint32_t at = home(tag);; at = next(at)) {
            const Entry entry = table_[at];
            if (entry.record == 0) return no_record;
            if (entry.tag == tag && is_it(entry.record - 1)) return entry.record - 1;
        }
    }

    void insert(std::uint64_t hash, std::uint32_t record) {
        if (2 * (used_ + 1) > table_.size()) grow();
        place({tag_of(hash), record + 1});
        ++used_;
    }

    /// Removes a record, which must be there under that hash.
    void erase(std::uint64_t hash, std::uint32_t record) {
        std::uint32_t hole = home(tag_of(hash));
        while (table_[hole].record != record + 1) {
            assert(table_[hole].record != 0 && "the record is not indexed");
            hole = next(hole);
        }
        for (std::uint32_t at = next(hole); table_[at].record != 0; at = next(at)) {
            // An entry may move back to the hole unless its home lies behind the hole.
            const std::uint32_t mask = static_cast<std::uint32_t>(table_.size()) - 1;
            const std::uint32_t from_home = (at - home(table_[at].tag)) & mask;
            const std::uint32_t from_hole = (at - hole) & mask;
            if (from_home < from_hole) continue;
            table_[hole] = table_[at];
            hole = at;
        }
        table_[hole] = {};
        --used_;
    }

    std::uint32_t size() const { return used_; }
    std::size_t memory_bytes() const { return table_.size() * sizeof(Entry); }

  private:
    struct Entry {
        std::uint32_t tag = 0;
        std::uint32_t record = 0;  ///< the record + 1; 0 where empty
    };
    static constexpr std::size_t first_size = 64;

    static std::uint32_t tag_of(std::uint64_t hash) {
        return static_cast<std::uint32_t>(hash >> 32);
    }
    std::uint32_t home(std::uint32_t tag) const { return tag >> shift_; }
    std::uint32_t next(std::uint32_t at) const {
        return (at + 1) & (static_cast<std::uint32_t>(table_.size()) - 1);
    }
    void place(Entry entry) {
        std::uint32_t at = home(entry.tag);
        while (table_[at].record != 0) at = next(at);
        table_[at] = entry;
    }
    void grow() {
        std::vector<Entry> old(table_.size() * 2);
        old.swap(table_);
        shift_ = 32 - static_cast<unsigned>(std::countr_zero(table_.size()));
        for (const Entry entry : old) {
            if (entry.record != 0) place(entry);
        }
    }

    std::vector<Entry> table_;
    std::uint32_t used_ = 0;
    unsigned shift_ = 32 - 6;
};

}  // namespace xenfs::client
