#pragma once
// The PageStore has the pages that a client holds: shared frames that it has mapped, and frames of
// its own.

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/cache/page_cache.h"
#include "model/client/config.h"
#include "model/client/stats.h"
#include "model/host/host.h"

namespace xenfs::client {

using cache::kNoSlot;
using cache::PageKey;
using cache::PageState;
using cache::Slot;

/// Flags of a cached page.
enum PageFlag : std::uint8_t {
    page_own = 1,       ///< its frame is this domain's; otherwise it is a mapping
    page_writable = 2,  ///< mapped for writing (PageMode::map_write)
    page_outdated = 4,  ///< loading, and a notice has overtaken it: it is used once and not kept
    page_writing = 8,   ///< its data is on the way to the server; it is pinned meanwhile
    page_once = 16,     ///< it goes when it has been read to its end (policies::Keep::once)
    page_locked = 32    ///< a process has locked it into memory: no revocation takes it
};

/// One cache has both kinds, so that one order decides what goes. A page is *loading* from the
/// moment a task asks for it until that task has it; only that task ends the state, others mark the
/// page page_outdated. The store owns mappings, entries to be released and frames. It takes 50 B of
/// memory a page: the cache's 32 B and 6 B of index, 8 B of dirty links, 4 B here.
class PageStore {
  public:
    PageStore(host::Host& host, const ClientConfig& config, ClientStats& stats);
    ~PageStore();

    cache::PageCache& cache() { return cache_; }
    Slot find(std::uint32_t file, std::uint64_t page) const {
        return cache_.find({file, static_cast<std::uint32_t>(page)});
    }
    /// Returns whether the page is there with its data.
    bool ready(Slot slot) const { return cache_.state(slot) != PageState::loading; }
    bool loading(Slot slot) const { return cache_.state(slot) == PageState::loading; }
    bool dirty(Slot slot) const { return cache_.state(slot) == PageState::dirty; }
    bool has(Slot slot, PageFlag flag) const { return (cache_.flags(slot) & flag) != 0; }
    void set_flag(Slot slot, PageFlag flag) {
        cache_.set_flags(slot, static_cast<std::uint8_t>(cache_.flags(slot) | flag));
    }
    void clear_flag(Slot slot, PageFlag flag) {
        cache_.set_flags(slot, static_cast<std::uint8_t>(cache_.flags(slot) & ~flag));
    }
    host::Page page(Slot slot) const {
        const std::uint32_t frame = cache_.frame(slot);
        return (cache_.flags(slot) & page_own) != 0 ? host::Page::of_frame(frame)
                                                    : host::Page::of_mapping(frame);
    }

    /// Adds a loading page. Returns kNoSlot when the store is full of pages that cannot go.
    Slot add_loading(std::uint32_t file, std::uint64_t page);
    void become_mapping(Slot slot, MapHandle handle, GrantRef reference, bool writable);
    void become_own(Slot slot, Frame frame);
    /// Turns a mapping into an own frame, to which the caller has copied the data.
    void replace_by_own(Slot slot, Frame frame);
    void mark_dirty(Slot slot);
    void mark_clean(Slot slot);

    /// Drops a page that is not loading: a mapping is queued for the next settle(), an own frame
    /// goes to the free ones. Its pins are forgotten with it.
    void drop(Slot slot);
    /// Lends a page: it stays where it is until it was taken back as often as lent. Meanwhile its
    /// place in the store may go to another page, and its file be closed; take_back() returns true
    /// where it had left its place and is now gone.
    void lend(Slot slot);
    bool take_back(host::Page page);
    GrantRef reference(Slot slot) const { return references_[slot]; }
    bool on_loan(Slot slot) const {
        return !loans_.empty() && loans_.contains(loan_of(page(slot)));
    }

    /// Ends the loading state of a page that did not come.
    void drop_loading(Slot slot);
    /// Takes an own frame out of the store without freeing it, because it is flipped away.
    Frame take_frame(Slot slot);
    /// Drops the pages of [first, last] that are there, and marks those that are loading
    /// page_outdated. With `keep_pinned`, pages in use by a process stay.
    std::uint32_t drop_range(std::uint32_t file, std::uint64_t first, std::uint64_t last,
                             bool keep_pinned = false);
    /// Drops the mappings of [first, last], even those that processes use, except those locked or
    /// on loan, as a revocation asks. Returns how many went.
    std::uint32_t drop_mappings(std::uint32_t file, std::uint64_t first, std::uint64_t last);
    /// Drops the pages that are clean, there, and not in use.
    void drop_clean(std::uint32_t file);
    void drop_own(std::uint32_t file);  ///< drops our own frames, in use or not

    /// Drops least recently used clean pages until `count` more mappings fit into the budget, a
    /// batch at a time. Returns false where pins prevent it.
    bool room_for_mappings(std::uint32_t count);
    /// Records mappings as a range: room for others is made by dropping whole ranges in the order
    /// in which they came (policies::Keep::range).
    void map_as_range(std::uint32_t file, std::uint64_t first, std::uint32_t count);
    /// Called when a page has been read to its end: drops it if it is for one use and not in use
    /// otherwise.
    void used_up(Slot slot) {
        if (has(slot, page_once) && cache_.pins(slot) == 0 &&
            cache_.state(slot) == PageState::clean && !has(slot, page_writing)) {
            unmap_now_ = unmap_now_ || !has(slot, page_own);
            drop(slot);
        }
    }
    /// Makes room for own frames by dropping clean ones. Returns false where dirty pages must be
    /// written back first.
    bool room_for_own(std::uint32_t count);
    /// Makes one frame free within the budget, that of a clean page where the domain has no other.
    bool make_frame();
    /// Drops up to `count` mappings, whatever the budget, those that processes use last. Returns
    /// how many went.
    std::uint32_t shrink_mappings(std::uint32_t count);
    /// Returns true where this page was revoked while a process had it mapped, once for each such
    /// process; the process will fault when it touches the page again.
    bool was_taken(PageKey key);

    /// Unmaps, in one batch, what was dropped; the entries join released().
    void settle();
    /// A mapping for one use was dropped, and is not to wait for others to be unmapped with it.
    bool unmaps_at_once() const { return unmap_now_; }
    /// Takes up to out.size() entries that the server should be told are released.
    std::size_t take_released(std::span<GrantRef> out);
    std::size_t released() const { return released_.size(); }
    void release_later(GrantRef reference) { released_.push_back(reference); }

    /// Takes frames of this domain, from a few free ones or the host. Returns how many.
    std::size_t take_frames(std::span<Frame> out);
    /// Does the same, and where there is none, takes the one that make_frame() frees.
    std::size_t take_or_make_frames(std::span<Frame> out);
    void give_frame(Frame frame);
    void give_frames_back();  ///< gives all free frames back to the host

    std::uint32_t mapped() const { return mapped_; }
    std::uint32_t own() const { return own_; }
    std::uint32_t dirty_pages(std::uint32_t file) const {
        return file < dirty_.size() ? dirty_[file] : 0;
    }
    std::size_t memory_bytes() const;

  private:
    struct Loan {
        PageKey key;
        std::uint32_t count = 0;
        GrantRef reference = no_grant;  ///< the entry of a mapping that has left its place
        bool gone = false;              ///< the page has left its place
    };
    static std::uint64_t loan_of(host::Page page) {
        return std::uint64_t{page.kind == host::Page::Kind::frame} << 32 | page.id;
    }
    void forget(const cache::Evicted& gone);
    void unmap_later(MapHandle handle, Slot slot);
    std::uint32_t evict(std::uint32_t count);
    std::uint32_t evict_ranges(std::uint32_t count);
    bool can_take(Slot slot) const;
    void list_range(std::uint32_t file, std::uint64_t first, std::uint64_t last);

    host::Host& host_;
    const ClientConfig& config_;
    ClientStats& stats_;
    cache::PageCache cache_;
    std::vector<GrantRef> references_;  ///< the entry behind each mapping, by slot
    std::vector<MapHandle> unmap_;
    std::vector<GrantRef> unmap_references_;
    std::vector<GrantRef> released_;
    std::vector<Frame> free_frames_;
    std::vector<std::uint32_t> dirty_;  ///< how many pages are dirty, by file
    std::unordered_map<std::uint64_t, Loan> loans_;
    std::map<PageKey, std::uint32_t> taken_;  ///< from how many processes a mapped page was revoked
    std::vector<Slot> slots_;                 ///< scratch
    std::vector<cache::Evicted> evicted_;     ///< scratch
    std::deque<PageKey> ranges_;              ///< first pages of mapped ranges, oldest first
    std::set<PageKey> range_known_;           ///< the same, as a set
    std::uint32_t mapped_ = 0, own_ = 0;
    bool unmap_now_ = false;
};

}  // namespace xenfs::client
