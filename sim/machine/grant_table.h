#pragma once
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// One entry of a v1 grant table, 12 bytes; flags are Xen's GTF_*.
struct GrantEntry {
    enum Flag : std::uint8_t {
        permit_access = 1,
        accept_transfer = 2,
        type_mask = 3,
        readonly = 4,
        reading = 8,
        writing = 16,
        transfer_completed = 64
    };
    Frame frame = no_frame;  ///< free entries: the next free one
    DomainId domain = 0;     ///< to whom
    std::uint8_t flags = 0;
    bool used = false;
    std::uint16_t reads = 0, writes = 0;  ///< mappings
    bool pinned() const { return (flags & (reading | writing)) != 0; }
};
static_assert(sizeof(GrantEntry) == 12);

/// A domain's own table. References are given out again oldest first, and only when a number of
/// them is free, so that a peer's stale reference rarely meets a new entry.
class GrantTable {
  public:
    explicit GrantTable(std::size_t capacity) : capacity_(capacity) {}

    std::size_t capacity() const { return capacity_; }
    std::size_t in_use() const { return entries_.size() - free_; }
    bool exists(GrantRef reference) const { return reference < entries_.size(); }
    GrantEntry& operator[](GrantRef reference) { return entries_[reference]; }

    GrantRef take() {
        constexpr std::size_t rest = 1024;
        if (entries_.size() < capacity_ && free_ < rest) {
            entries_.emplace_back();
            entries_.back().used = true;
            return static_cast<GrantRef>(entries_.size() - 1);
        }
        if (free_ == 0) return no_grant;
        const GrantRef reference = first_free_;
        first_free_ = entries_[reference].frame;
        --free_;
        entries_[reference] = {};
        entries_[reference].used = true;
        return reference;
    }

    void give(GrantRef reference) {
        entries_[reference] = {};
        if (free_ == 0) {
            first_free_ = reference;
        } else {
            entries_[last_free_].frame = reference;
        }
        last_free_ = reference;
        ++free_;
    }

    void clear() { *this = GrantTable(capacity_); }

  private:
    std::vector<GrantEntry> entries_;
    std::size_t capacity_, free_ = 0;
    GrantRef first_free_ = no_grant, last_free_ = no_grant;
};

/// One mapping of a peer's page, 12 bytes.
struct Mapping {
    Frame frame = no_frame;  ///< free ones: the next free one
    GrantRef reference = no_grant;
    DomainId granter = 0;
    std::uint16_t generation : 10 = 0;
    std::uint16_t writable : 1 = 0;
    std::uint16_t used : 1 = 0;
};
static_assert(sizeof(Mapping) == 12);

/// What a domain has mapped. A handle is an index and a generation, so that one that was unmapped
/// already is told from the one that has its place now.
class Maptrack {
  public:
    explicit Maptrack(std::size_t capacity)
        : capacity_(capacity < max_index ? capacity : max_index - 1) {}

    std::size_t in_use() const { return mappings_.size() - free_; }
    std::size_t capacity() const { return capacity_; }
    std::size_t ever_used() const { return mappings_.size(); }
    bool full() const { return free_ == 0 && mappings_.size() >= capacity_; }

    MapHandle take() {
        std::uint32_t index = first_free_;
        if (free_ > 0) {
            first_free_ = mappings_[index].frame;
            --free_;
        } else {
            index = static_cast<std::uint32_t>(mappings_.size());
            mappings_.emplace_back();
        }
        mappings_[index].used = 1;
        return handle_of(index);
    }

    /// Null where the handle is none of ours (any more).
    Mapping* find(MapHandle handle) {
        const std::uint32_t index = handle & (max_index - 1);
        if (index >= mappings_.size()) return nullptr;
        Mapping& mapping = mappings_[index];
        return mapping.used && mapping.generation == handle >> index_bits ? &mapping : nullptr;
    }

    MapHandle handle_of(std::uint32_t index) const {
        return index | std::uint32_t{mappings_[index].generation} << index_bits;
    }
    bool used(std::uint32_t index) const { return mappings_[index].used; }

    void give(MapHandle handle) {
        const std::uint32_t index = handle & (max_index - 1);
        Mapping& mapping = mappings_[index];
        mapping.used = 0;
        mapping.generation = (mapping.generation + 1) & 1023;
        mapping.frame = first_free_;
        first_free_ = index;
        ++free_;
    }

  private:
    static constexpr unsigned index_bits = 22;  ///< 16 GiB mapped by one domain
    /// The last index stays unused, so that no handle equals no_handle.
    static constexpr std::size_t max_index = std::size_t{1} << index_bits;
    std::vector<Mapping> mappings_;
    std::size_t capacity_, free_ = 0;
    std::uint32_t first_free_ = no_handle;
};

}  // namespace xenfs::sim
