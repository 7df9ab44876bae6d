// Entries on resident pages, and what a predecessor left.
#include <algorithm>
#include <array>
#include <set>

#include "model/protocol/pages.h"
#include "model/server/residency.h"

namespace xenfs::server {

using cache::PageState;
using cache::Slot;
using pages::FrameIndex;

std::size_t Residency::grant(pages::AccountId account, std::span<const Slot> slots,
                             pages::EntryKind kind, std::span<GrantRef> out, bool& credit_short) {
    std::array<FrameIndex, protocol::max_pages_per_request> frames;
    for (std::size_t i = 0; i < slots.size(); ++i) frames[i] = cache_.frame(slots[i]);
    return book_.grant(account, std::span(frames).first(slots.size()), slots, kind, out,
                       credit_short);
}

/// The book calls this for each entry that ends, and must not be re-entered from here.
void Residency::entry_ended(GrantRef reference, const pages::GrantRecord& record) {
    ++stats_.entries_ended;
    journal_->drop_entry(reference);
    if (record.tag == pages::no_tag) return;
    const Slot slot = record.tag;
    cache_.unpin(slot);
    if ((cache_.flags(slot) & page_flux) != 0 && record.kind == pages::EntryKind::write) {
        left_in_flux_.push_back(slot);
    }
}

/// Pages that came back without a commit hold nothing of the file's.
void Residency::drop_left_in_flux() {
    if (left_in_flux_.empty()) return;
    for (const Slot slot : left_in_flux_) {
        if (cache_.in_use(slot) && (cache_.flags(slot) & page_flux) != 0) drop(slot);
    }
    left_in_flux_.clear();
    flux_dropped_();
}

pages::GrantBook::EndResult Residency::end(pages::AccountId account,
                                           std::span<const GrantRef> references) {
    const auto result = book_.end(account, references);
    drop_left_in_flux();
    if (result.ended != 0) room_made_();
    return result;
}

void Residency::end_all(pages::AccountId account) {
    book_.end_all(account);
    drop_left_in_flux();
}

std::size_t Residency::retry_busy() {
    const std::size_t ended = book_.retry_deferred();
    drop_left_in_flux();
    if (ended != 0) room_made_();
    return ended;
}

void Residency::make_slots(std::uint32_t pages) {
    cache_.set_capacity(std::max(cache_.capacity(), pages));
}

void Residency::restore_frames(std::span<const Frame> by_index) {
    pool_.restore(by_index);
    restored_.resize(pool_.indices());
    for (FrameIndex i = 0; i < pool_.indices(); ++i) restored_[i] = !pool_.vacant(i);
    in_hand_ += pool_.owned();
}

FrameIndex Residency::restore_frame(Frame frame) {
    const FrameIndex index = pool_.adopt(frame);
    restored_.resize(pool_.indices());
    restored_[index] = true;
    ++in_hand_;
    return index;
}

Slot Residency::restore_page(cache::PageKey key, FrameIndex frame, bool flux) {
    const Slot slot = cache_.insert(key, frame, PageState::clean);
    assert(restored_[frame] && "no page shows it yet");
    restored_[frame] = false;
    --in_hand_;
    ++shown_;
    if (flux) {
        set_state(slot, PageState::loading);
        begin_flux(slot);
    }
    return slot;
}

bool Residency::adopt_entry(pages::AccountId account, GrantRef reference, FrameIndex frame,
                            std::uint32_t slot, pages::EntryKind kind, bool revoked) {
    if (!book_.adopt(account, reference, frame, slot, kind, revoked)) return false;
    if (slot != pages::no_tag) cache_.pin(slot);
    return true;
}

void Residency::end_restore() {
    for (FrameIndex i = 0; i < restored_.size(); ++i) {
        if (!restored_[i]) continue;
        --in_hand_;
        pool_.drop_user(i);
    }
    restored_.clear();
}

void Residency::check() const {
    book_.check_all();
    assert(left_in_flux_.empty() && evicted_.empty());
    std::set<FrameIndex> shown;
    std::uint32_t loading = 0;
    for (Slot slot = 0; slot < cache_.slots(); ++slot) {
        if (!cache_.in_use(slot)) continue;
        shown.insert(cache_.frame(slot));
        loading += cache_.state(slot) == PageState::loading;
        if ((cache_.flags(slot) & page_flux) != 0) {
            assert(cache_.state(slot) == PageState::loading && "a page in flux is filled");
        }
        std::uint32_t entries = 0;
        book_.for_each_of_frame(cache_.frame(slot), [&](const pages::GrantRecord& record) {
            entries += record.tag == slot;
        });
        assert(cache_.pins(slot) >= entries && "an entry does not pin its page");
    }
    std::uint32_t detached = 0;
    for (FrameIndex i = 0; i < pool_.indices(); ++i) {
        detached += !pool_.vacant(i) && pool_[i].users == 0 && pool_[i].grants != 0;
    }
    assert(shown.size() == shown_ && loading == loading_ && detached == pool_.detached());
    const FrameAccount all = frames();
    assert(all.free + all.cached + all.loading + all.detached + all.in_hand == all.owned &&
           "a frame is lost");
}

}  // namespace xenfs::server
