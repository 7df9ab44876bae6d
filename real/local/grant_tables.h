#pragma once
#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "model/host/types.h"

namespace xenfs::real::local {

struct DomainRecord;

/// An entry of a v1 grant table as Xen keeps it (grant_table.h: GTF_*), and its pins.
struct GrantEntry {
    static constexpr std::uint16_t permit_access = 1, accept_transfer = 2, type_mask = 3,
                                   readonly = 4, transfer_completed = 64;
    Frame frame = no_frame;
    DomainId domain = 0;  ///< to whom
    std::uint16_t flags = 0;
    bool used = false;
    std::uint32_t reads = 0, writes = 0;  ///< mappings; GTF_reading and GTF_writing in Xen
    bool pinned() const { return reads + writes > 0; }
    bool permits() const { return (flags & type_mask) == permit_access; }
    bool accepts() const { return (flags & (type_mask | transfer_completed)) == accept_transfer; }
};

/// The entries of one domain. A reference that was ended rests while there are others, so that a
/// peer's stale reference rarely meets a new entry.
class GrantTable {
  public:
    explicit GrantTable(std::size_t capacity) : capacity_(capacity) {}
    std::size_t capacity() const { return capacity_; }
    std::size_t in_use() const { return entries_.size() - resting_.size(); }
    std::size_t ever_used() const { return entries_.size(); }

    /// Null: never given out, or ended.
    GrantEntry* find(GrantRef reference) {
        const bool used = reference < entries_.size() && entries_[reference].used;
        return used ? &entries_[reference] : nullptr;
    }

    GrantRef take() {
        constexpr std::size_t rest = 1024;  // entries; as in the simulated host
        GrantRef reference = no_grant;
        if (entries_.size() < capacity_ && resting_.size() < rest) {
            reference = static_cast<GrantRef>(entries_.size());
            entries_.emplace_back();
        } else if (!resting_.empty()) {
            reference = resting_.front();
            resting_.pop_front();
        } else {
            return no_grant;
        }
        entries_[reference] = {};
        entries_[reference].used = true;
        return reference;
    }

    void give(GrantRef reference) {
        entries_[reference].used = false;
        resting_.push_back(reference);
    }

  private:
    std::vector<GrantEntry> entries_;
    std::deque<GrantRef> resting_;
    std::size_t capacity_;
};

/// One mapping of a peer's page. It keeps a dead granter's record alive: its pages are there until
/// the last unmap.
struct Mapping {
    std::shared_ptr<DomainRecord> granter;  ///< null: free
    Frame frame = no_frame;
    GrantRef reference = no_grant;
    bool writable = false;
    std::uint32_t generation = 0;
};

/// What a domain has mapped. A handle is an index and a generation, so that a stale one names
/// nothing.
class Maptrack {
  public:
    static constexpr unsigned index_bits = 22;  ///< 16 GiB mapped by one domain
    static constexpr std::uint32_t index_mask = (1u << index_bits) - 1;

    explicit Maptrack(std::size_t capacity)
        : capacity_(std::min<std::size_t>(capacity, index_mask)) {}
    bool full() const { return free_.empty() && mappings_.size() >= capacity_; }

    /// The caller has looked whether it is full.
    MapHandle take(Mapping mapping) {
        std::uint32_t index = static_cast<std::uint32_t>(mappings_.size());
        if (free_.empty()) {
            mappings_.emplace_back();
        } else {
            index = free_.back();
            free_.pop_back();
        }
        mapping.generation = mappings_[index].generation;
        mappings_[index] = std::move(mapping);
        return index | mappings_[index].generation << index_bits;
    }

    Mapping* find(MapHandle handle) {
        const std::uint32_t index = handle & index_mask;
        if (index >= mappings_.size()) return nullptr;
        Mapping& mapping = mappings_[index];
        return mapping.granter && mapping.generation == handle >> index_bits ? &mapping : nullptr;
    }

    void give(MapHandle handle) {
        Mapping& mapping = mappings_[handle & index_mask];
        mapping.granter.reset();
        mapping.generation = (mapping.generation + 1) & (~0u >> index_bits);
        free_.push_back(handle & index_mask);
    }

    std::vector<MapHandle> all() const {
        std::vector<MapHandle> handles;
        for (std::uint32_t i = 0; i < mappings_.size(); ++i) {
            if (mappings_[i].granter) handles.push_back(i | mappings_[i].generation << index_bits);
        }
        return handles;
    }

  private:
    std::vector<Mapping> mappings_;
    std::vector<std::uint32_t> free_;
    std::size_t capacity_;
};

}  // namespace xenfs::real::local
