#pragma once
#include <utility>
#include <vector>

#include "model/host/types.h"

namespace xenfs::xen {

template <class Granter>
class Maptrack;

/// One mapping of a peer's page. `Granter` names the peer: it is a domain's number, or it keeps a
/// dead domain's record alive until its last page is unmapped.
template <class Granter>
struct Mapping {
    Frame frame = no_frame;  ///< in a free slot, the next free one
    GrantRef reference = no_grant;
    Granter granter{};
    std::uint16_t writable : 1 = 0;

  private:
    friend class Maptrack<Granter>;
    std::uint16_t used : 1 = 0;
    std::uint16_t generation : 10 = 0;
};

/// The mappings that one domain has (Xen's maptrack). A handle is an index and a generation.
///
/// Invariant: the handle of an ended mapping names nothing until its slot has been used 1023 times
/// more; no handle equals no_handle; there are never more mappings than the capacity.
template <class Granter>
class Maptrack {
  public:
    using Entry = Mapping<Granter>;
    static constexpr unsigned index_bits = 22;  ///< enough for 16 GiB mapped by one domain
    static constexpr std::uint32_t index_mask = (1u << index_bits) - 1;

    explicit Maptrack(std::size_t capacity)
        : capacity_(capacity < index_mask ? capacity : index_mask) {}

    std::size_t capacity() const { return capacity_; }
    std::size_t in_use() const { return mappings_.size() - free_; }
    bool full() const { return free_ == 0 && mappings_.size() >= capacity_; }

    /// Adds a mapping. The caller has checked that there is room.
    MapHandle take(Granter granter, GrantRef reference, Frame frame, bool writable) {
        std::uint32_t index = first_free_;
        if (free_ > 0) {
            first_free_ = mappings_[index].frame;
            --free_;
        } else {
            index = static_cast<std::uint32_t>(mappings_.size());
            mappings_.emplace_back();
        }
        Entry& mapping = mappings_[index];
        mapping.frame = frame;
        mapping.reference = reference;
        mapping.granter = std::move(granter);
        mapping.writable = writable;
        mapping.used = 1;
        return handle_of(index);
    }

    /// Returns null where the handle names no mapping, or no longer does.
    const Entry* find(MapHandle handle) const {
        const std::uint32_t index = handle & index_mask;
        if (index >= mappings_.size()) return nullptr;
        const Entry& mapping = mappings_[index];
        return mapping.used && mapping.generation == handle >> index_bits ? &mapping : nullptr;
    }

    /// Ends a mapping that exists, and returns it.
    Entry give(MapHandle handle) {
        const std::uint32_t index = handle & index_mask;
        Entry& mapping = mappings_[index];
        Entry ended = std::exchange(mapping, Entry{});
        mapping.generation = (ended.generation + 1) & 1023;
        mapping.frame = first_free_;
        first_free_ = index;
        ++free_;
        return ended;
    }

    /// Calls `visit(handle)` for each mapping. It may end that mapping.
    template <class Visit>
    void for_each(Visit visit) {
        for (std::uint32_t index = 0; index < mappings_.size(); ++index) {
            if (mappings_[index].used) visit(handle_of(index));
        }
    }

  private:
    MapHandle handle_of(std::uint32_t index) const {
        return index | std::uint32_t{mappings_[index].generation} << index_bits;
    }

    std::vector<Entry> mappings_;
    std::size_t capacity_, free_ = 0;
    std::uint32_t first_free_ = no_handle;
};

static_assert(sizeof(Mapping<DomainId>) == 12);

}  // namespace xenfs::xen
