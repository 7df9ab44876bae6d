#pragma once
// Residency: which frame of the pool shows which page of which file, and who has entries on it.
//
// It joins the pool's frames, the cache's pages and the grant book, and is the only one that
// changes them, so that the three and the journal agree after every call. Nothing here yields. What
// is not a change is read through the views.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/cache/page_cache.h"
#include "model/host/host.h"
#include "model/pages/frame_pool.h"
#include "model/pages/grant_book.h"
#include "model/pages/ledger.h"
#include "model/server/config.h"
#include "model/server/content_index.h"
#include "model/server/journal.h"

namespace xenfs::server {

/// Flags of a cached page.
enum PageFlags : std::uint8_t {
    page_writing = 1,    ///< its write-back is under way
    page_redirtied = 2,  ///< and it was written to meanwhile
    page_flux = 4,       ///< zeros that a client is about to overwrite: not the file's content yet
    page_age = 0xf8      ///< of such a page: when it was handed out, by a coarse clock
};

/// Invariants, after every call:
///  - The frames' account adds up (FrameAccount).
///  - Each entry that carries a slot as its tag pins that slot, and the slot is in use.
///  - A page in flux is in state `loading`; when the last entry that may write to it ends, it is
///    dropped in the same call. So no number of a slot outlives its page.
///  - The journal has forgotten a frame before the frame is free.
class Residency {
  public:
    struct Parts {
        host::Frames& frames;
        host::Grants& grants;
        pages::Ledger& ledger;
        const policies::ChargingPolicy& charging;
        const std::unique_ptr<Journal>& journal;
        Stats& stats;
        std::function<void()> room_made;     ///< a frame or an entry came free
        std::function<void()> flux_dropped;  ///< tasks may wait for a page that is gone now
    };
    /// `pages_per_frame`: more than 1 where contents are shared; frames then are the limit.
    Residency(Parts parts, std::unique_ptr<cache::EvictionPolicy> eviction, std::uint64_t frames,
              std::uint32_t pages_per_frame);
    Residency(const Residency&) = delete;
    Residency& operator=(const Residency&) = delete;

    const cache::PageCache& pages() const { return cache_; }
    const pages::FramePool& pool() const { return pool_; }
    const pages::GrantBook& book() const { return book_; }
    const ContentIndex& contents() const { return contents_; }
    host::Page page_of(cache::Slot slot) const {
        return host::Page::of_frame(pool_[cache_.frame(slot)].frame);
    }
    FrameAccount frames() const;
    /// Asserts the invariants: O(everything), for tests.
    void check() const;

    // --- frames in hand: taken, and shown by no page yet
    void prepare(std::uint32_t frames) { pool_.prepare(frames); }
    /// no_index: none is free.
    pages::FrameIndex take_frame();
    void put_back(pages::FrameIndex frame);
    /// The frame in hand was transferred to another domain.
    void sent_away(pages::FrameIndex frame);
    /// The frame that came in under an accept entry; no_index while none has.
    pages::FrameIndex take_arrived(pages::AccountId account, GrantRef reference);

    // --- pages come and go
    /// A page that is not cached shows the frame in hand from now on and is pinned; a page is
    /// evicted if the cache is full. kNoSlot: none could go; the frame stays in hand.
    cache::Slot admit(cache::PageKey key, pages::FrameIndex frame, cache::PageState state);
    /// Takes the page out of the cache, pinned or not. Entries on its frame stay, without a page.
    void drop(cache::Slot slot);
    /// Evicts up to n clean pages; appends their keys. Returns how many went.
    std::uint32_t evict(std::uint32_t n, std::vector<cache::PageKey>* keys);
    /// The page shows the frame in hand from now on. Entries on the old frame stay, without the
    /// page; appends their accounts.
    void show(const Inode& inode, cache::Slot slot, pages::FrameIndex frame,
              std::vector<pages::AccountId>& held_by);
    /// The page, on whose frame there are no entries, shows another page's frame of the same
    /// content.
    void share(cache::Slot slot, pages::FrameIndex frame);
    /// The pool's size follows the donations. Clean pages go at once where it shrinks; what is
    /// dirty or pinned goes when it can, since no frame is taken from the host above the capacity.
    void set_capacity(std::uint64_t frames);

    // --- content of frames
    void index_content(pages::FrameIndex frame, std::uint64_t key) { contents_.add(frame, key); }
    void forget_content(pages::FrameIndex frame) { contents_.remove(frame); }

    // --- states of a page
    void pin(cache::Slot slot) { cache_.pin(slot); }
    void pin(std::span<const cache::Slot> slots) { cache_.pin(slots); }
    void unpin(cache::Slot slot) { cache_.unpin(slot); }
    void unpin(std::span<const cache::Slot> slots) { cache_.unpin(slots); }
    void touch(std::span<const cache::Slot> slots) { cache_.touch(slots); }
    /// The page was asked for, or cannot be had: others come due before it.
    void pass_over(cache::Slot slot) { cache_.pass_over(slot); }
    /// The page, just admitted, shows zeros that a client is to overwrite. `age`: within page_age.
    void begin_flux(cache::Slot slot, std::uint8_t age = 0);
    /// A client has overwritten it. True: it was in flux.
    bool end_flux(cache::Slot slot);
    /// The page agrees with the storage's file.
    void mark_clean(cache::Slot slot) { set_state(slot, cache::PageState::clean); }
    void mark_dirty(const Inode& inode, cache::Slot slot);
    void begin_write_back(cache::Slot slot);
    /// False: it was written to meanwhile, or may be at any time.
    bool end_write_back(cache::Slot slot);
    void journal(const Inode& inode, cache::Slot slot, PageKept state);

    // --- entries
    /// An entry on each page's frame, which pins the page while it lasts. As GrantBook::grant.
    std::size_t grant(pages::AccountId account, std::span<const cache::Slot> slots,
                      pages::EntryKind kind, std::span<GrantRef> out, bool& credit_short);
    std::size_t accept(pages::AccountId account, pages::EntryKind kind, std::span<GrantRef> out,
                       bool& credit_short) {
        return book_.accept(account, kind, out, credit_short);
    }
    void cancel(pages::AccountId account, std::span<const GrantRef> references) {
        book_.cancel(account, references);
    }
    pages::GrantBook::EndResult end(pages::AccountId account, std::span<const GrantRef> references);
    void end_all(pages::AccountId account);
    std::size_t retry_busy();

    // --- a predecessor's pool, before anything else is done with this one
    /// Frames are in hand until a page shows them, or the restoration ends.
    void restore_frames(std::span<const Frame> by_index);
    pages::FrameIndex restore_frame(Frame frame);
    void make_slots(std::uint32_t pages);
    /// The page shows the restored frame, which is in hand.
    cache::Slot restore_page(cache::PageKey key, pages::FrameIndex frame, bool flux);
    /// As GrantBook::adopt; `slot`: the page that the entry is for, or pages::no_tag.
    bool adopt_entry(pages::AccountId account, GrantRef reference, pages::FrameIndex frame,
                     std::uint32_t slot, pages::EntryKind kind, bool revoked);
    void adopt_orphan(DomainId domain, GrantRef reference, pages::FrameIndex frame,
                      pages::EntryKind kind) {
        book_.adopt_orphan(domain, reference, frame, kind);
    }
    /// Frames that no page shows are free, or detached where there are entries on them.
    void end_restore();
    /// For tests: the destructor leaves all frames as they are, as a killed process does.
    void abandon() { pool_.abandon(); }

  private:
    void set_state(cache::Slot slot, cache::PageState state);
    void leave_frame(pages::FrameIndex frame);
    void entry_ended(GrantRef reference, const pages::GrantRecord& record);
    void drop_left_in_flux();

    const std::unique_ptr<Journal>& journal_;
    Stats& stats_;
    std::function<void()> room_made_, flux_dropped_;
    std::uint32_t pages_per_frame_;
    pages::FramePool pool_;
    pages::GrantBook book_;
    cache::PageCache cache_;
    ContentIndex contents_;
    /// By frame: in hand since it was restored. Empty but while a pool is taken over.
    std::vector<bool> restored_;
    std::uint32_t in_hand_ = 0, shown_ = 0;  ///< frames
    std::uint32_t loading_ = 0;              ///< pages, each the only one on its frame
    std::vector<cache::Slot>
        left_in_flux_;  ///< empty between calls: the book is not to be re-entered
    std::vector<cache::Evicted> evicted_;  ///< empty between calls
};

}  // namespace xenfs::server
