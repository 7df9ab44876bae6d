// An index of cached pages with states, pins and eviction. It knows nothing of grants, time or I/O.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/cache/eviction_policy.h"
#include "model/cache/file_chains.h"
#include "model/cache/page_nodes.h"
#include "model/cache/slot_index.h"
#include "model/cache/slot_list.h"
#include "model/cache/types.h"

namespace xenfs::cache {

/// Whether eviction may take dirty pages. Under `keep` a dirty page that comes due is parked until
/// it is cleaned (write back `oldest_dirty` first).
enum class DirtyPages : std::uint8_t { keep, evict };

/// Bytes in use, by part. Nodes and index are reserved whole; `nodes` counts the slots ever used.
struct CacheMemory {
    std::size_t nodes = 0;   ///< 32 B a page
    std::size_t index = 0;   ///< 6 B a page when full
    std::size_t dirty = 0;   ///< 8 B a slot, once any page of the cache was dirty
    std::size_t files = 0;   ///< 8 B a file slot
    std::size_t policy = 0;  ///< ghosts
    std::size_t total() const { return nodes + index + dirty + files + policy; }
};

/// Cached pages by (file, page). Used for the server's shared cache, a client's mappings and a
/// guest's private page cache alike. Not thread-safe: a domain is a monitor.
///
/// The caller owns what `frame` means and gets it back through `Evicted`. A slot is valid from
/// `insert` until its page is evicted or dropped; slots are reused.
///
/// Pinned and loading pages are never victims. Each such page that comes due is *parked*: taken out
/// of the policy until its obstacle goes (unpin, loaded, cleaned). It is looked at once per
/// obstacle, so what skipping costs is O(1) amortised over pins and state changes. (Only a caller
/// that changes between `keep` and `evict` while dirty pages wait pays more.)
///
/// Misuse (a slot that is not in use, an unpin too many) is a bug and asserts.
class PageCache {
  public:
    PageCache(std::unique_ptr<EvictionPolicy> policy, std::uint32_t capacity_pages);
    PageCache(const PageCache&) = delete;
    PageCache& operator=(const PageCache&) = delete;

    std::uint32_t size() const { return size_; }
    std::uint32_t capacity() const { return capacity_; }
    /// Lowering the capacity may leave more pages than it allows; this says how many to evict.
    std::uint32_t excess() const { return size_ > capacity_ ? size_ - capacity_ : 0; }
    /// May be called at any time. Throws std::length_error above kMaxPages, std::bad_alloc.
    void set_capacity(std::uint32_t capacity_pages);
    const EvictionPolicy& policy() const { return *policy_; }
    CacheMemory memory() const;

    // --- looking up (page_cache_lookup.cpp). `find` leaves the order of eviction alone.
    Slot find(PageKey key) const { return index_.find(nodes_.data(), key); }
    void find(std::span<const PageKey> keys, std::span<Slot> slots) const;
    /// Looks up pages first_page, first_page + 1, … of one file; kNoSlot where not cached. Returns
    /// the number of hits.
    std::uint32_t find_run(std::uint32_t file, std::uint32_t first_page,
                           std::span<Slot> slots) const;
    /// Tells the policy of hits, in order.
    void touch(std::span<const Slot> slots);
    void touch(Slot slot) { touch(std::span<const Slot>(&slot, 1)); }
    /// Does `find`, then `touch` for all hits. Returns the number of hits.
    std::uint32_t lookup(std::span<const PageKey> keys, std::span<Slot> slots);
    /// For each key in turn: a hit is touched; a miss makes room and inserts a clean page with
    /// frame 0. Appends the missed keys and what was evicted where asked (nullptr: not wanted).
    /// Returns misses. When nothing can be evicted the page is not inserted.
    std::uint32_t access(std::span<const PageKey> keys, std::vector<PageKey>* missed = nullptr,
                         std::vector<Evicted>* evicted = nullptr,
                         DirtyPages dirty = DirtyPages::evict);

    // --- coming and going (page_cache.cpp)
    /// Tells the policy of a miss before room is made for the page; `admit` does it by itself.
    void missed(PageKey key) { policy_->missed(key); }
    /// Adds a page that is not cached. Returns kNoSlot when the cache is full.
    Slot insert(PageKey key, std::uint32_t frame, PageState state = PageState::clean);
    /// Does `missed`, evicts one page if the cache is full, and inserts. Returns kNoSlot when the
    /// cache is full of pages that cannot go.
    Slot admit(PageKey key, std::uint32_t frame, PageState state, DirtyPages dirty,
               std::vector<Evicted>* evicted);
    /// Takes up to n pages out in the policy's order, and appends them to `evicted` unless it is
    /// null. Returns how many.
    std::uint32_t evict(std::uint32_t n, DirtyPages dirty, std::vector<Evicted>* evicted);
    /// Takes one page out by name, pinned or not (its pins are in the result).
    Evicted drop(Slot slot);
    /// Lists at most n pages that came due but were pinned or loading, in the order in which they
    /// came due, so that their holders can be asked to let go.
    void held(std::uint32_t n, std::vector<Slot>& slots) const;
    /// Puts such a page behind all others of its kind: its holder was asked, or it cannot be had.
    void pass_over(Slot slot);
    std::uint32_t held_count() const { return held_.size(); }

    // --- files (page_cache_files.cpp)
    std::uint32_t file_pages(std::uint32_t file) const { return chains_.pages(file); }
    /// Lists the file's cached pages in page order: O(n log n).
    void pages_of(std::uint32_t file, std::vector<Slot>& slots) const;
    bool has_dirty(std::uint32_t file) const;
    /// Lists its dirty pages in page order: O(d log d) for d dirty pages, however many are clean.
    void dirty_of(std::uint32_t file, std::vector<Slot>& slots) const;
    /// Drops all pages (unlink) or those in [first, last] (truncate: last = UINT32_MAX), pinned or
    /// not; appends them if asked. Returns how many. A whole file costs its cached pages; a range
    /// the lesser of its length and the file's cached pages.
    std::uint32_t drop_file(std::uint32_t file, std::vector<Evicted>* dropped);
    std::uint32_t drop_range(std::uint32_t file, std::uint32_t first, std::uint32_t last,
                             std::vector<Evicted>* dropped);

    // --- one page. For a walk over all: slots are below slots(), some of them not in use.
    Slot slots() const { return fresh_; }
    bool in_use(Slot slot) const { return slot < fresh_ && nodes_[slot].in_use; }
    PageKey key(Slot slot) const { return nodes_[slot].key; }
    std::uint32_t frame(Slot slot) const { return nodes_[used(slot)].frame; }
    void set_frame(Slot slot, std::uint32_t frame) { nodes_[used(slot)].frame = frame; }
    std::uint8_t flags(Slot slot) const { return nodes_[used(slot)].flags; }
    void set_flags(Slot slot, std::uint8_t flags) { nodes_[used(slot)].flags = flags; }
    PageState state(Slot slot) const { return nodes_[used(slot)].state; }
    std::uint16_t pins(Slot slot) const { return nodes_[used(slot)].pins; }
    void pin(Slot slot) {
        assert(nodes_[used(slot)].pins < UINT16_MAX && "too many pins on one page");
        ++nodes_[slot].pins;
    }
    void pin(std::span<const Slot> slots) {
        for (const Slot slot : slots) pin(slot);
    }
    void unpin(Slot slot) {
        assert(nodes_[used(slot)].pins > 0 && "unpin without pin");
        if (--nodes_[slot].pins == 0 && nodes_[slot].parked) unpark(slot);
    }
    void unpin(std::span<const Slot> slots) {
        for (const Slot slot : slots) unpin(slot);
    }

    // --- states (page_cache_files.cpp). A dirty page keeps its age when dirtied again.
    void set_state(Slot slot, PageState state);
    void mark_dirty(Slot slot) { set_state(slot, PageState::dirty); }
    void mark_clean(Slot slot) { set_state(slot, PageState::clean); }
    std::uint32_t dirty_count() const { return dirty_.size(); }
    /// Lists up to n dirty pages, those dirty longest first.
    void oldest_dirty(std::uint32_t n, std::vector<Slot>& slots) const;

  private:
    struct Links {
        std::uint32_t prev;
        std::uint32_t next;
    };

    Slot used(Slot slot) const {
        assert(slot < fresh_ && nodes_[slot].in_use);
        return slot;
    }
    void reserve(std::uint32_t slots);
    void prefetch(std::span<const PageKey> keys, std::uint64_t* hashes, Slot* guesses) const;
    Slot place(PageKey key, std::uint32_t frame, PageState state);
    void prefetch_neighbours(Slot slot) const;
    void prefetch_victims() const;
    Slot choose_victim(DirtyPages dirty);
    void park(Slot slot);
    void unpark(Slot slot);
    void leave_parking(Slot slot);
    Evicted release(Slot slot);
    void link_dirty(Slot slot);

    std::unique_ptr<EvictionPolicy> policy_;
    PageNodes nodes_;
    SlotIndex<PageNode> index_;
    FileChains chains_;
    SlotList held_;                   ///< parked: pinned or loading
    SlotList waiting_;                ///< parked: dirty, when DirtyPages::keep met them
    ZeroedArray<Links> dirty_links_;  ///< allocated when a page first becomes dirty
    SlotList dirty_;                  ///< back = dirty longest
    std::uint32_t capacity_ = 0;
    std::uint32_t size_ = 0;
    std::uint32_t fresh_ = 0;  ///< slots from here on have never been used
    Slot free_ = kNoSlot;      ///< used slots that are free, chained through chain_next
    bool touch_moves_ = false;
    bool has_ghosts_ = false;
};

}  // namespace xenfs::cache
