#include "model/server/sharing.h"

#include <algorithm>

namespace xenfs::server {

using cache::Slot;

void Sharing::share_content(Connection& c, std::span<const Slot> slots) {
    if (scanner_ != nullptr) {
        for (const Slot slot : slots) scanner_->filled(slot);
        return;
    }
    std::array<host::Page, max_pages_per_request> pages;
    std::array<Fingerprint, max_pages_per_request> fingerprints;
    std::array<Slot, max_pages_per_request> asked;
    std::size_t count = 0;
    for (const Slot slot : slots) {
        const pages::PoolFrame& f = pool_[cache_.frame(slot)];
        if (f.grants != 0 || f.users != 1) continue;
        pages[count] = residency_.page_of(slot);
        asked[count++] = slot;
    }
    host_.memory().hash(std::span(pages).first(count), std::span(fingerprints).first(count));
    for (std::size_t i = 0; i < count; ++i) {
        const Slot slot = asked[i];
        const std::uint64_t key = content_key(fingerprints[i], c.attachment.trust_group);
        if (residency_.contents().find(key) == pages::no_index) {
            residency_.index_content(cache_.frame(slot), key);
        } else {
            join_content(slot, key);
        }
    }
}

bool Sharing::join_content(Slot slot, std::uint64_t key) {
    const pages::FrameIndex shared = residency_.contents().find(key);
    if (shared == pages::no_index || shared == cache_.frame(slot)) return false;
    if (!host_.memory().equal(host::Page::of_frame(pool_[shared].frame),
                              residency_.page_of(slot))) {
        ++stats_.dedup_false;
        return false;
    }
    residency_.share(slot, shared);
    ++stats_.dedup_shared;
    return true;
}

void Sharing::replace_frame(Acks& acks, Connection* by, Inode& inode, Slot slot,
                            pages::FrameIndex fresh) {
    const std::uint64_t page = cache_.key(slot).page;
    std::vector<pages::AccountId> held_by;
    residency_.show(inode, slot, fresh, held_by);
    ClientSet told;
    clients_.for_each_alive([&](const Connection& c) {
        const bool holds = std::find(held_by.begin(), held_by.end(), c.account) != held_by.end();
        if (holds) told.insert(c.index);
    });
    if (by != nullptr) told.erase(by->index);
    coherence_.mappings_changed(acks, told, inode.node, page, 1);
}

bool Sharing::make_private(Request& q, Connection* by, Inode& inode, Slot slot, bool& moved,
                           std::vector<pages::FrameIndex>* frames) {
    moved = false;
    if (pool_[cache_.frame(slot)].users > 1) {
        pages::FrameIndex fresh = pages::no_index;
        if (frames != nullptr && !frames->empty()) {
            fresh = frames->back();
            frames->pop_back();
        } else {
            fresh = room_.take_frame(*q.worker);
        }
        if (fresh == pages::no_index) return false;
        const pages::FrameIndex old = cache_.frame(slot);
        if (pool_[old].users > 1) {
            host_.memory().copy(host::Page::of_frame(pool_[old].frame),
                                host::Page::of_frame(pool_[fresh].frame));
            ++stats_.cow_breaks;
            moved = true;
            replace_frame(q.acks, by, inode, slot, fresh);
        } else {
            residency_.put_back(fresh);  // the others went while we sought a frame
        }
    }
    residency_.forget_content(cache_.frame(slot));  // about to change
    return true;
}

}  // namespace xenfs::server
