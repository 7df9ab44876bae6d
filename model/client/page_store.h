#pragma once
// The pages that a client holds: shared frames that it has mapped, and frames of its own.

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
    page_own = 1,       ///< its frame is this domain's; else it is a mapping
    page_writable = 2,  ///< mapped for writing (PageMode::map_write)
    page_outdated = 4,  ///< loading, and a notice has overtaken it: use once, do not keep
    page_writing = 8,   ///< its data is on the way to the server (pinned meanwhile)
    page_once = 16,     ///< goes when it has been read to its end (policies::Keep::once)
    page_locked = 32    ///< a process has it locked into memory: no revocation takes it
};

/// One cache over both kinds, so that one order decides what goes. A page is *loading* from the
/// moment a task asks for it until that task has it; only that task ends the state, others mark it
/// page_outdated. Owns mappings, entries to be released and frames. Memory a page: the cache's 32 B
/// and 6 B of index, 8 B of dirty links, 4 B here.
class PageStore {
  public:
    PageStore(host::Host& host, const ClientConfig& config, ClientStats& stats);
    ~PageStore();

    cache::PageCache& cache() { return cache_; }
    Slot find(std::uint32_t file, std::uint64_t page) const {
        return cache_.find({file, static_cast<std::uint32_t>(page)});
    }
    /// Present with its data.
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

    /// A loading page; kNoSlot when the store is full of what cannot go.
    Slot add_loading(std::uint32_t file, std::uint64_t page);
    void become_mapping(Slot slot, MapHandle handle, GrantRef reference, bool writable);
    void become_own(Slot slot, Frame frame);
    /// A mapping that turns into an own frame (copied by the caller), or the reverse of
    /// add_loading.
    void replace_by_own(Slot slot, Frame frame);
    void mark_dirty(Slot slot);
    void mark_clean(Slot slot);

    /// Lets go of a page that is not loading: a mapping is queued for the next settle(), an own
    /// frame goes to the free ones. Pins are forgotten with it.
    void drop(Slot slot);
    /// Loans: a page lent stays where it is until it was taken back as often. Its place in the
    /// store may go to another page meanwhile, and its file be closed. take_back: true where that
    /// was so, and it is gone now.
    void lend(Slot slot);
    bool take_back(host::Page page);
    GrantRef reference(Slot slot) const { return references_[slot]; }
    bool on_loan(Slot slot) const {
        return !loans_.empty() && loans_.contains(loan_of(page(slot)));
    }

    /// Ends the loading state of a page that did not come.
    void drop_loading(Slot slot);
    /// Takes an own frame out of the store without freeing it (it is flipped away).
    Frame take_frame(Slot slot);
    /// Drops the pages of [first, last] that are there, marks those that are loading page_outdated.
    /// `keep_pinned`: pages in use by a process stay.
    std::uint32_t drop_range(std::uint32_t file, std::uint64_t first, std::uint64_t last,
                             bool keep_pinned = false);
    /// Drops the mappings of [first, last], in use by processes or not, but for those that are
    /// locked or on loan: what a revocation asks for. How many went.
    std::uint32_t drop_mappings(std::uint32_t file, std::uint64_t first, std::uint64_t last);
    /// Drops what is clean, there, and not in use.
    void drop_clean(std::uint32_t file);
    void drop_own(std::uint32_t file);  ///< frames of ours, in use or not

    /// Least recently used clean pages go until `count` more mappings fit into the budget, a batch
    /// at a time; false where pins prevent it.
    bool room_for_mappings(std::uint32_t count);
    /// Mappings that came as a range: room for others is made by taking ranges away, in the order
    /// in which they came (policies::Keep::range).
    void map_as_range(std::uint32_t file, std::uint64_t first, std::uint32_t count);
    /// A page has been read to its end: if it is for one use, it goes, unless it is in use
    /// otherwise.
    void used_up(Slot slot) {
        if (has(slot, page_once) && cache_.pins(slot) == 0 &&
            cache_.state(slot) == PageState::clean && !has(slot, page_writing)) {
            unmap_now_ = unmap_now_ || !has(slot, page_own);
            drop(slot);
        }
    }
    /// Makes room for own frames by dropping clean ones; false: write dirty pages back first.
    bool room_for_own(std::uint32_t count);
    /// A frame for one page more: within the budget, and of a clean page where the domain has no
    /// other.
    bool make_frame();
    /// Gives up to `count` mappings back, whatever the budget, those that processes use last; how
    /// many went.
    std::uint32_t shrink_mappings(std::uint32_t count);
    /// A mapping that went while a process had it mapped, which touches it again when it runs on:
    /// true as often as there were such processes.
    bool was_taken(PageKey key);

    /// Unmaps, in one batch, what was dropped; the entries join released().
    void settle();
    /// A mapping for one use has gone: it is not to wait for others.
    bool unmaps_at_once() const { return unmap_now_; }
    /// Entries that the server should hear of: take up to `most` from the end.
    std::size_t take_released(std::span<GrantRef> out);
    std::size_t released() const { return released_.size(); }
    void release_later(GrantRef reference) { released_.push_back(reference); }

    /// Frames of this domain, from a few kept ones or the host; how many there were.
    std::size_t take_frames(std::span<Frame> out);
    /// The same; where there is none, the one that make_frame() finds.
    std::size_t take_or_make_frames(std::span<Frame> out);
    void give_frame(Frame frame);
    void give_frames_back();  ///< all free ones, to the host

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
        GrantRef reference = no_grant;  ///< of a mapping that has left its place
        bool gone = false;              ///< it has left its place
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
    std::vector<std::uint32_t> dirty_;  ///< by file
    std::unordered_map<std::uint64_t, Loan> loans_;
    std::map<PageKey, std::uint32_t> taken_;  ///< how often a process has such a page mapped
    std::vector<Slot> slots_;                 ///< scratch
    std::vector<cache::Evicted> evicted_;     ///< scratch
    std::deque<PageKey> ranges_;              ///< first pages of those mapped, oldest first
    std::set<PageKey> range_known_;           ///< the same
    std::uint32_t mapped_ = 0, own_ = 0;
    bool unmap_now_ = false;
};

}  // namespace xenfs::client
