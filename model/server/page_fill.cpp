#include "model/server/page_fill.h"

#include <algorithm>
#include <bitset>

namespace xenfs::server {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;

std::uint32_t PageFill::file_number(Inode& inode, Inodes::Index index, const Connection& c) {
    if (by_name_) {
        if (inode.file == no_file) inode.file = inodes_.make_file(index);
        return inode.file;
    }
    if (inode.files.size() <= c.index) inode.files.resize(c.index + 1u, no_file);
    std::uint32_t& file = inode.files[c.index];
    if (file == no_file) file = inodes_.make_file(index);
    return file;
}

template <class Which>
void PageFill::drop_if(Inode& inode, Which which) {
    const auto drop = [&](std::uint32_t file) {
        if (file == no_file) return;
        std::vector<Slot> slots;
        cache_.pages_of(file, slots);
        for (const Slot slot : slots) {
            if (which(slot)) residency_.drop(slot);
        }
    };
    drop(inode.file);
    for (const std::uint32_t file : inode.files) drop(file);
}

void PageFill::drop_pages(Inode& inode, std::uint64_t first_page, std::uint64_t end_page) {
    drop_if(inode, [&](Slot slot) {
        const std::uint64_t page = cache_.key(slot).page;
        return page >= first_page && page < end_page;
    });
}

void PageFill::drop_clean(Inode& inode) {
    drop_if(inode, [&](Slot slot) { return cache_.state(slot) == PageState::clean; });
    settled();
}

/// Reads pages that were inserted as loading, pinned by us and adjacent. On failure they are gone.
bool PageFill::load_run(Connection& c, Inode& inode, std::span<const Slot> slots, int& error) {
    std::array<host::Page, max_pages_per_request> pages;
    for (std::size_t i = 0; i < slots.size(); ++i) pages[i] = residency_.page_of(slots[i]);
    const std::uint64_t first = cache_.key(slots[0]).page;
    ++stats_.disk_read_calls;
    stats_.disk_read_pages += slots.size();
    error = storage_.read_pages(inode.node, first, std::span(pages).first(slots.size()));
    for (const Slot slot : slots) {
        if (error == 0) {
            residency_.mark_clean(slot);
            residency_.journal(inode, slot, PageKept::clean);
        } else {
            residency_.unpin(slot);
            residency_.drop(slot);
        }
    }
    if (error == 0 && by_content_) sharing_.share_content(c, slots);
    settled();
    return error == 0;
}

int PageFill::settle_loading(Request& q, Inode& inode, Inodes::Index index, std::uint32_t file,
                             std::uint32_t first, std::uint32_t count) {
    const auto loading = [&](std::uint32_t i) {
        const Slot slot = cache_.find({file, first + i});
        return slot != kNoSlot && cache_.state(slot) == PageState::loading ? slot : kNoSlot;
    };
    for (;;) {
        std::uint32_t i = 0;
        while (i < count && loading(i) == kNoSlot) ++i;
        if (i == count) return 0;
        if (!may_detach(q, loading(i))) {
            q.inode = index;
            q.file = file;
            q.page = first + i;
            q.wait = Wait::page;
            return parked;
        }
        io_.end(inode);
        io_.drain(inode);  // the requests that made the pages may not be over
        for (; i < count; ++i) {
            const Slot slot = loading(i);
            if (slot == kNoSlot || !may_detach(q, slot)) continue;
            ++stats_.detached;  // its client keeps the frame, and pays for it, without the file
            residency_.drop(slot);
        }
        settled();
        io_.begin(inode);
    }
}

/// For a page that is not cached: a frame and a slot, pinned. Its content is there already (zeros,
/// or another client's copy), or `to_read`.
Slot PageFill::insert_page(Worker& w, Inode& inode, cache::PageKey key, bool overwrite,
                           bool& to_read) {
    const pages::FrameIndex frame = room_.take_frame(w);
    if (frame == pages::no_index) return kNoSlot;
    // Beyond the end there is nothing to read: zeros are the right content, also uncommitted.
    const bool fresh = key.page >= (inode.attr.size + page_size - 1) >> page_shift;
    const Slot slot = residency_.admit(key, frame, fresh ? PageState::clean : PageState::loading);
    if (slot == kNoSlot) {
        residency_.put_back(frame);
        return kNoSlot;
    }
    to_read = false;
    if (fresh || overwrite) {
        // The frame may hold another guest's data, and a writable entry can be read.
        host_.memory().zero(residency_.page_of(slot), 0, page_size);
        if (!fresh) residency_.begin_flux(slot, flux_age());
        residency_.journal(inode, slot, fresh ? PageKept::clean : PageKept::flux);
    } else if (by_name_ || !copy_variant(inode, key, slot)) {
        to_read = true;
    }
    return slot;
}

/// Dedup "none": what another client's copy of the page has that the disk has not yet.
bool PageFill::copy_variant(Inode& inode, cache::PageKey key, Slot slot) {
    for (const std::uint32_t file : inode.files) {
        if (file == no_file || file == key.file) continue;
        const Slot other = cache_.find({file, key.page});
        if (other == kNoSlot || cache_.state(other) != PageState::dirty) continue;
        host_.memory().copy(residency_.page_of(other), residency_.page_of(slot));
        residency_.mark_clean(slot);
        return true;
    }
    return false;
}

std::uint32_t PageFill::fill(Request& q, Inode& inode, Inodes::Index index, const Wish& wish,
                             int& error) {
    error = 0;
    if (!journal_->keep_node(inode)) return 0;
    Worker& w = *q.worker;  // survives yields: workers stay as long as the server
    const std::uint32_t file = file_number(inode, index, q.client);
    error = settle_loading(q, inode, index, file, wish.first, wish.count);
    if (error != 0) return 0;
    const auto slots = std::span(w.slots).first(wish.count);
    const std::uint32_t hits = cache_.find_run(file, wish.first, slots);
    if (!q.looked_up) {
        stats_.hits += hits;
        stats_.misses += wish.count - hits;
        q.looked_up = true;
    }
    if (hits == wish.count) {
        residency_.pin(slots);
        return hits;
    }
    std::bitset<max_pages_per_request> pinned, to_read;
    // Hits first: nothing may evict them while frames are sought for the rest.
    for (std::uint32_t i = 0; i < wish.count; ++i) {
        if (slots[i] == kNoSlot) continue;
        residency_.pin(slots[i]);
        pinned.set(i);
    }
    residency_.prepare(wish.count - hits);
    std::uint32_t good = wish.count;
    for (std::uint32_t i = 0; i < good; ++i) {
        if (pinned[i]) continue;
        const bool overwrite = wish.overwrite && !(i == 0 && wish.head_kept) &&
                               !(i + 1 == wish.count && wish.tail_kept);
        bool read = false;
        slots[i] = insert_page(w, inode, {file, wish.first + i}, overwrite, read);
        if (slots[i] == kNoSlot) {
            good = i;
            break;
        }
        pinned.set(i);
        to_read[i] = read;
    }
    const std::uint32_t inserted = good;
    for (std::uint32_t i = 0; i < inserted;) {
        if (!to_read[i]) {
            ++i;
            continue;
        }
        std::uint32_t end = i;
        while (end < inserted && to_read[end]) ++end;
        int failed = 0;
        if (!load_run(q.client, inode, slots.subspan(i, end - i), failed)) {
            error = error == 0 ? failed : error;
            good = std::min(good, i);
            for (std::uint32_t j = i; j < end; ++j) pinned.reset(j);
        }
        i = end;
    }
    for (std::uint32_t i = good; i < wish.count; ++i) {
        if (pinned[i]) release_unused(slots[i]);
    }
    return good;
}

void PageFill::release_unused(Slot slot) {
    residency_.unpin(slot);
    if ((cache_.flags(slot) & page_flux) != 0) {
        residency_.drop(slot);
        settled();
    }
}

void PageFill::settled() {
    io_.wake();
    if (parking_.waiting(Wait::page) == 0) return;
    parking_.look(Wait::page, [this](const Request& q) { return page_settled(q); });
}

/// Whether a request need not wait for its page any longer: the page can be used or is gone, or the
/// client that was to overwrite it has had its time.
bool PageFill::page_settled(const Request& q) const {
    const Slot slot = cache_.find({q.file, q.page});
    return slot == cache::kNoSlot || cache_.state(slot) != PageState::loading ||
           may_detach(q, slot);
}

std::uint8_t PageFill::flux_age() const {
    const auto age = static_cast<std::uint64_t>(host_.clock().now() / age_unit());
    return static_cast<std::uint8_t>(age << 3 & page_age);
}

/// A client has ack_timeout to overwrite a page, from when it got it. A request that always finds
/// others' fresh pages in its way does not wait until its deadline for them.
bool PageFill::may_detach(const Request& q, Slot slot) const {
    const std::uint8_t flags = cache_.flags(slot);
    if ((flags & page_flux) == 0) return false;
    const auto age = static_cast<std::uint8_t>(flux_age() - (flags & page_age));
    const Nanoseconds end = std::min(q.first_parked + 8 * config_.ack_timeout, q.deadline);
    return (age & page_age) >> 3 > 4 || (q.first_parked != 0 && host_.clock().now() >= end);
}

}  // namespace xenfs::server
