#pragma once
// Transcendent memory, as far as a page cache uses it (cleancache over an ephemeral pool;
// Magenheimer et al., OLS 2009): the host keeps pages that guests' kernels evict, in memory that no
// guest owns, and gives them back for a copy instead of a disk read.

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <tuple>

#include "sim/machine/machine.h"

namespace xenfs::sim {

struct VictimCacheStats {
    std::uint64_t puts = 0, hits = 0, misses = 0;
    std::uint64_t dropped = 0;  ///< for room, the least recently put first
    std::uint64_t flushed = 0;  ///< their file was cut, changed or removed
};

/// One for all guests, whose pages share its capacity; a page belongs to the guest that put it. A
/// hit takes the page out again (as Xen's ephemeral pools do for private pools). Put and get cost
/// the guest a hypercall and a copy each.
class VictimCache {
  public:
    /// Frames come from a domain of its own, "tmem", made here.
    VictimCache(Machine& machine, std::size_t pages);

    void put(Domain& guest, NodeId node, std::uint64_t page, Fingerprint content);
    std::optional<Fingerprint> get(Domain& guest, NodeId node, std::uint64_t page);
    /// Forgets a file's pages from `first` on.
    void flush(Domain& guest, NodeId node, std::uint64_t first);
    void flush_all(Domain& guest);

    std::size_t pages() const { return entries_.size(); }
    const VictimCacheStats& stats() const { return stats_; }

  private:
    using Key = std::tuple<DomainId, NodeId, std::uint64_t>;
    struct Entry {
        Frame frame = no_frame;
        std::list<Key>::iterator age;
    };
    using Entries = std::map<Key, Entry>;
    Entries::iterator remove(Entries::iterator entry);

    Domain& pool_;
    std::size_t capacity_;
    Nanoseconds operation_ns_;
    Entries entries_;
    std::list<Key> by_age_;  ///< oldest first
    VictimCacheStats stats_;
};

}  // namespace xenfs::sim
