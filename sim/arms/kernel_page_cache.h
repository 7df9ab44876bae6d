#pragma once
// The page cache of one kernel: a guest's over its block device or NFS mount, an NFS server's over
// its volume. Index and eviction are model/cache; here are the frames, the I/O and the write-back.

#include <array>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "model/cache/page_cache.h"
#include "model/host/host.h"
#include "sim/arms/page_source.h"
#include "sim/arms/victim_cache.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {

/// Numbers as Linux's defaults (vm.dirty_*, read_ahead_kb) from the cost model's [kernel].
struct KernelCacheOptions {
    std::uint32_t capacity_pages = 1024;
    std::string eviction = "lru";
    Nanoseconds dirty_expire_ns = 0;               ///< age at which the flusher writes a page
    Nanoseconds flusher_interval_ns = 0;           ///< how often it looks
    double dirty_background = 0, dirty_limit = 0;  ///< shares of the capacity
    std::uint32_t readahead_pages = 32;            ///< largest window
    Nanoseconds reclaim_ns = 0;                    ///< CPU for each page that is evicted
    VictimCache* victims = nullptr;                ///< the host's, for evicted pages; not owned

    static KernelCacheOptions from(const CostModel& costs, std::uint32_t capacity_pages);
};

struct KernelCacheStats {
    std::uint64_t hits = 0, misses = 0;  ///< pages wanted
    std::uint64_t pages_read = 0;        ///< from the source, read-ahead included
    std::uint64_t pages_written = 0, write_runs = 0;
    std::uint64_t dirty_dropped = 0;  ///< never written: the file was unlinked or cut
    std::uint64_t evicted = 0, throttled = 0, write_errors = 0;
    std::uint64_t pages_peak = 0;
};

/// Where a sequential reader is; one for each open file.
struct ReadAhead {
    std::uint64_t next_page = 0;
    std::uint32_t window = 0;
};

/// Files are named by node ids, which must be dense (Volume's are). Called by tasks of `domain`
/// only. Errors are errno values; ENOMEM where nothing can be evicted.
///
/// Every cached page is a frame of the domain, filled through Domain::set_content. The domain and
/// the source outlive the cache. Read-ahead is synchronous: it makes requests larger, it does not
/// overlap them with the reader.
class KernelPageCache {
  public:
    KernelPageCache(Domain& domain, PageSource& source, KernelCacheOptions options);
    ~KernelPageCache();
    KernelPageCache(const KernelPageCache&) = delete;

    /// `into.length` bytes from offset; the caller has cut them at the file's end.
    int read(NodeId node, std::uint64_t offset, host::Buffer into, ReadAhead& ahead);
    /// Into the cache; extends the file, but never beyond `file_end`. May wait while too much is
    /// dirty.
    int write(NodeId node, std::uint64_t offset, host::Buffer from,
              std::uint64_t file_end = ~std::uint64_t{0});
    /// What a write that went past the cache left in the file: cached pages follow, pages written
    /// whole come in clean where there is room.
    void update(NodeId node, std::uint64_t offset, host::Buffer from);
    /// Whole pages for a reader that takes them without a copy (splice to a socket).
    int lend(NodeId node, std::uint64_t first, std::span<Fingerprint> out);

    /// Pages for a mapping: they stay until unmap. EFAULT beyond the file's end.
    int map(NodeId node, std::uint64_t first, std::size_t count, bool dirty,
            std::span<Fingerprint> contents);
    void unmap(NodeId node, std::uint64_t first, std::size_t count);

    /// Writes what is dirty of a file and waits for writes under way; 0 or the first error.
    int flush(NodeId node);
    int flush_all();
    /// The file was cut to `size`: what lies behind is dropped, the last page's rest zeroed.
    void truncate(NodeId node, std::uint64_t size);
    /// All pages of a file go; dirty ones are not written.
    void forget(NodeId node);
    /// A file's clean pages go (they are known to be stale).
    void invalidate(NodeId node);
    void drop_clean();

    static constexpr std::uint32_t least_pages = 128;  ///< smallest capacity

    /// Something of it is dirty or being written.
    bool dirty(NodeId node) const;
    /// Is the page here and filled? Touches it; costs nothing, does not yield.
    bool present(NodeId node, std::uint64_t page);
    /// A store by somebody who has the page mapped (`present` said so): dirty from now on.
    Frame mapped_frame(NodeId node, std::uint64_t page, bool dirty);
    bool has_pages(NodeId node) const { return pages_.file_pages(file(node)) > 0; }
    std::size_t frames() const { return frames_; }
    const KernelCacheOptions& options() const { return options_; }
    const KernelCacheStats& stats() const { return stats_; }

  private:
    using Slot = cache::Slot;
    using PageKey = cache::PageKey;
    /// A page kept over a yield: its slot may be dropped meanwhile, its frame is not released.
    struct Hold {
        PageKey key;
        Frame frame = no_frame;
    };
    /// A page that was dropped by name while somebody had it: who, of the pins that it had.
    struct Orphan {
        Frame frame = no_frame;
        std::uint32_t holds = 0, maps = 0;
    };
    static constexpr std::size_t chunk = 64;  ///< pages looked up at once

    static std::uint32_t file(NodeId node) { return static_cast<std::uint32_t>(node); }
    static std::uint64_t packed(PageKey key) { return std::uint64_t{key.file} << 32 | key.page; }

    // kernel_page_cache_pages.cpp
    int bring_in(NodeId node, std::uint64_t first, std::size_t count, std::uint64_t until,
                 std::vector<Hold>& holds);
    int wait_or_fill(NodeId node, std::uint64_t first, std::size_t count, std::span<Slot> slots,
                     std::uint64_t ahead_until, std::vector<Hold>& holds);
    int fetch(NodeId node, std::uint64_t first, std::span<Fingerprint> out);
    bool take_frames(std::size_t count, std::vector<Frame>& out);
    void release_frame(Frame frame);
    void release_spare();
    Hold hold(Slot slot);
    void let_go(const Hold& hold);
    void let_go(std::vector<Hold>& holds);
    std::uint32_t holds_of(Frame frame) const;
    void unmap_page(PageKey key, Slot slot);
    void leave_orphan(PageKey key, std::vector<Orphan>& list, std::size_t place);
    void dropped(const std::vector<cache::Evicted>& pages);

    // kernel_page_cache_dirty.cpp
    void set_dirty(Slot slot);
    void throttle();
    int write_back(std::vector<Slot>& slots);
    template <class Collect, class Busy>
    int write_all(Collect collect, Busy busy);
    void keep_flushing();
    std::uint8_t tick() const;

    Domain& domain_;
    host::Clock& clock_;
    host::Memory& memory_;
    host::Frames& frame_source_;
    const host::CoreCosts& costs_;
    PageSource& source_;
    KernelCacheOptions options_;
    cache::PageCache pages_;
    std::array<host::Piece, chunk> pieces_;  ///< built and used without a yield between
    std::size_t frames_ = 0;                 ///< taken from the domain, wherever they are now
    std::vector<Frame> spare_;
    std::unordered_map<Frame, std::uint32_t> holds_;     ///< of a frame's pins; the others are maps
    std::map<PageKey, std::vector<Orphan>> orphans_;     ///< a page may be dropped more than once
    std::unordered_map<NodeId, std::uint32_t> writing_;  ///< runs under way
    std::unordered_set<std::uint64_t> under_way_;        ///< pages of them, packed
    std::unordered_map<NodeId, int> errors_;             ///< of write-backs nobody waited for
    std::unique_ptr<host::Gate> changed_;                ///< a page was filled or written
    std::unique_ptr<host::Gate> flusher_;
    bool flusher_idle_ = false;
    KernelCacheStats stats_;
};

}  // namespace xenfs::sim
