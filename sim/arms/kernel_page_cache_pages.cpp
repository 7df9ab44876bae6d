// Frames and reads: how a page comes into the cache and leaves it.
#include <algorithm>
#include <cassert>

#include "sim/arms/kernel_page_cache.h"

namespace xenfs::sim {
namespace {
constexpr std::uint32_t reclaim_batch = 32;     // pages, as Linux's SWAP_CLUSTER_MAX [M]
constexpr std::uint32_t write_batch = 256;      // dirty pages written to make room
constexpr std::uint64_t largest_request = 256;  // pages read at once: 1 MiB
}  // namespace

/// Makes [first, first + count) present and filled, with their slots in `slots`; reads up to
/// ahead_until where something has to be read anyway. What was read stays held until the caller
/// has used it.
int KernelPageCache::wait_or_fill(NodeId node, std::uint64_t first, std::size_t count,
                                  std::span<Slot> slots, std::uint64_t ahead_until,
                                  std::vector<Hold>& holds) {
    for (bool counted = false;; counted = true) {
        const std::uint32_t hits =
            pages_.find_run(file(node), static_cast<std::uint32_t>(first), slots);
        if (!counted) {
            stats_.hits += hits;
            stats_.misses += count - hits;
        }
        if (hits < count) {
            std::size_t i = 0;
            while (slots[i] != cache::kNoSlot) ++i;
            if (const int error = bring_in(node, first + i, count - i, ahead_until, holds)) {
                let_go(holds);
                return error;
            }
            continue;
        }
        const bool loading = std::any_of(slots.begin(), slots.end(), [this](Slot slot) {
            return pages_.state(slot) == cache::PageState::loading;
        });
        if (!loading) return 0;
        changed_->wait();
    }
}

/// Reads pages from `first`, which was missing, until one that is cached: those wanted, and those
/// behind them up to `until` within the file. Yields; afterwards the caller looks again.
int KernelPageCache::bring_in(NodeId node, std::uint64_t first, std::size_t count,
                              std::uint64_t until, std::vector<Hold>& holds) {
    const std::uint64_t file_end = (source_.size_of(node) + page_size - 1) >> page_shift;
    const std::uint64_t wanted_end = first + count;
    const std::uint64_t ahead_end = std::min(until, file_end);
    std::uint64_t end = std::min(std::max(wanted_end, ahead_end), first + largest_request);
    end = std::min(end, first + options_.capacity_pages / 4);
    std::vector<Frame> frames;
    if (!take_frames(end - first, frames)) {
        // Memory is short: no read-ahead, one page.
        if (frames.empty() && !take_frames(1, frames)) return ENOMEM;
        end = first + frames.size();
    }
    // Frames may have cost a yield, so what is missing is seen only now.
    const std::size_t mine = holds.size();
    std::uint64_t page = first;
    for (; page < end; ++page) {
        const PageKey key{file(node), static_cast<std::uint32_t>(page)};
        if (pages_.find(key) != cache::kNoSlot) break;
        pages_.missed(key);
        const Slot slot = pages_.insert(key, frames.back(), cache::PageState::loading);
        assert(slot != cache::kNoSlot);
        frames.pop_back();
        holds.push_back(hold(slot));
    }
    for (const Frame frame : frames) spare_.push_back(frame);
    release_spare();
    if (page == first) return 0;  // another task brought it meanwhile
    std::vector<Fingerprint> content(page - first);
    const int error = fetch(node, first, content);
    stats_.pages_read += content.size();
    for (std::size_t i = 0; i < content.size(); ++i) {
        const Hold& held = holds[mine + i];
        domain_.set_content(host::Page::of_frame(held.frame), content[i]);
        const Slot slot = pages_.find(held.key);
        if (slot == cache::kNoSlot || pages_.frame(slot) != held.frame) continue;
        if (error == 0) {
            pages_.mark_clean(slot);
        } else {
            dropped({pages_.drop(slot)});
        }
    }
    changed_->wake_all();
    return error;
}

/// From the host's victim cache as far as it has them, else from the source.
int KernelPageCache::fetch(NodeId node, std::uint64_t first, std::span<Fingerprint> out) {
    if (options_.victims == nullptr) return source_.read_pages(node, first, out);
    std::vector<bool> kept(out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (const auto content = options_.victims->get(domain_, node, first + i)) {
            out[i] = *content;
            kept[i] = true;
        }
    }
    for (std::size_t i = 0; i < out.size();) {
        std::size_t end = i;
        while (end < out.size() && kept[end] == kept[i]) ++end;
        if (!kept[i]) {
            const int error = source_.read_pages(node, first + i, out.subspan(i, end - i));
            if (error != 0) return error;
        }
        i = end;
    }
    return 0;
}

/// Adds `count` frames to `out`; evicts, and writes back if nothing clean is left. May yield.
/// False: not all could be had.
bool KernelPageCache::take_frames(std::size_t count, std::vector<Frame>& out) {
    std::vector<cache::Evicted> evicted;
    std::vector<Slot> dirty;
    const std::size_t wanted = out.size() + count;
    while (out.size() < wanted) {
        const std::size_t need = wanted - out.size();
        if (!spare_.empty()) {
            const std::size_t taken = std::min(need, spare_.size());
            out.insert(out.end(), spare_.end() - static_cast<std::ptrdiff_t>(taken), spare_.end());
            spare_.resize(spare_.size() - taken);
            continue;
        }
        if (frames_ < options_.capacity_pages) {
            const std::size_t room = std::min(need, options_.capacity_pages - frames_);
            const std::size_t at = out.size();
            out.resize(at + room);
            const std::size_t got = frame_source_.allocate({out.data() + at, room});
            out.resize(at + got);
            frames_ += got;
            stats_.pages_peak = std::max<std::uint64_t>(stats_.pages_peak, frames_);
            if (got > 0) continue;  // else the domain has no more: reclaim
        }
        const auto batch = std::max(static_cast<std::uint32_t>(need), reclaim_batch);
        evicted.clear();
        pages_.evict(batch, cache::DirtyPages::keep, &evicted);
        if (!evicted.empty()) {
            stats_.evicted += evicted.size();
            clock_.charge(options_.reclaim_ns * static_cast<Nanoseconds>(evicted.size()));
            for (const cache::Evicted& page : evicted) {
                if (options_.victims != nullptr) {
                    options_.victims->put(domain_, page.key.file, page.key.page,
                                          domain_.content(host::Page::of_frame(page.frame)));
                }
                spare_.push_back(page.frame);
            }
            continue;
        }
        dirty.clear();
        pages_.oldest_dirty(write_batch, dirty);
        std::erase_if(dirty, [this](Slot slot) { return pages_.pins(slot) > 0; });
        if (!dirty.empty()) {
            write_back(dirty);
        } else if (!writing_.empty()) {
            changed_->wait();  // somebody else writes: pages will be clean soon
        } else {
            return false;
        }
    }
    return true;
}

void KernelPageCache::release_frame(Frame frame) {
    spare_.push_back(frame);
    release_spare();
}

/// Frames that hold no page are not kept: they would count as file data.
void KernelPageCache::release_spare() {
    if (spare_.empty()) return;
    frame_source_.release(spare_);
    frames_ -= spare_.size();
    spare_.clear();
}

KernelPageCache::Hold KernelPageCache::hold(Slot slot) {
    pages_.pin(slot);
    ++holds_[pages_.frame(slot)];
    return {pages_.key(slot), pages_.frame(slot)};
}

std::uint32_t KernelPageCache::holds_of(Frame frame) const {
    const auto found = holds_.find(frame);
    return found == holds_.end() ? 0 : found->second;
}

void KernelPageCache::let_go(const Hold& hold) {
    const auto held = holds_.find(hold.frame);
    assert(held != holds_.end() && "let go of what is not held");
    if (--held->second == 0) holds_.erase(held);
    const Slot slot = pages_.find(hold.key);
    if (slot != cache::kNoSlot && pages_.frame(slot) == hold.frame) {
        pages_.unpin(slot);
        return;
    }
    const auto found = orphans_.find(hold.key);
    assert(found != orphans_.end() && "a held page that is nowhere");
    auto& list = found->second;
    const auto orphan = std::find_if(
        list.begin(), list.end(), [&](const Orphan& entry) { return entry.frame == hold.frame; });
    assert(orphan != list.end() && orphan->holds > 0);
    --orphan->holds;
    leave_orphan(hold.key, list, static_cast<std::size_t>(orphan - list.begin()));
}

/// One mapping of the page ends: of the page that was dropped by that name, if any is mapped (it
/// was mapped first), else of the one that is there.
void KernelPageCache::unmap_page(PageKey key, Slot slot) {
    if (!orphans_.empty()) {
        if (const auto found = orphans_.find(key); found != orphans_.end()) {
            auto& list = found->second;
            const auto mapped = std::find_if(list.begin(), list.end(),
                                             [](const Orphan& entry) { return entry.maps > 0; });
            if (mapped != list.end()) {
                --mapped->maps;
                leave_orphan(key, list, static_cast<std::size_t>(mapped - list.begin()));
                return;
            }
        }
    }
    assert(slot != cache::kNoSlot && pages_.pins(slot) > holds_of(pages_.frame(slot)) &&
           "unmap of what is not mapped");
    pages_.unpin(slot);
}

/// Releases the frame if nobody has the page any more.
void KernelPageCache::leave_orphan(PageKey key, std::vector<Orphan>& list, std::size_t place) {
    const Orphan& orphan = list[place];
    if (orphan.holds > 0 || orphan.maps > 0) return;
    release_frame(orphan.frame);
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(place));
    if (list.empty()) orphans_.erase(key);
}

void KernelPageCache::let_go(std::vector<Hold>& holds) {
    for (const Hold& held : holds) let_go(held);
    holds.clear();
}

/// Takes care of the frames of pages dropped by name.
void KernelPageCache::dropped(const std::vector<cache::Evicted>& pages) {
    for (const cache::Evicted& page : pages) {
        if (page.state == cache::PageState::dirty) ++stats_.dirty_dropped;
        if (page.pins > 0) {
            const std::uint32_t holds = holds_of(page.frame);
            orphans_[page.key].push_back({page.frame, holds, page.pins - holds});
        } else {
            spare_.push_back(page.frame);
        }
    }
    release_spare();
}

void KernelPageCache::update(NodeId node, std::uint64_t offset, host::Buffer from) {
    if (options_.victims != nullptr) options_.victims->flush(domain_, node, offset >> page_shift);
    const std::uint64_t end = offset + from.length;
    std::vector<Frame> fresh;
    for (std::uint64_t at = offset; at < end;) {
        const std::uint64_t page = at >> page_shift;
        const auto head = static_cast<std::uint16_t>(at & (page_size - 1));
        const auto length =
            static_cast<std::uint16_t>(std::min<std::uint64_t>(page_size - head, end - at));
        const PageKey key{file(node), static_cast<std::uint32_t>(page)};
        if (length == page_size && pages_.find(key) == cache::kNoSlot && fresh.empty()) {
            take_frames(1, fresh);  // may yield
        }
        Slot slot = pages_.find(key);
        while (slot != cache::kNoSlot && pages_.state(slot) == cache::PageState::loading) {
            changed_->wait();  // its reader may bring what was there before
            slot = pages_.find(key);
        }
        if (slot == cache::kNoSlot && length == page_size && !fresh.empty()) {
            slot = pages_.insert(key, fresh.back(), cache::PageState::clean);
            assert(slot != cache::kNoSlot);
            fresh.pop_back();
        }
        if (slot != cache::kNoSlot) {
            pages_.touch(slot);
            clock_.charge(costs_.page_hit);
            const host::Piece piece{host::Page::of_frame(pages_.frame(slot)), head, length,
                                    static_cast<std::size_t>(at - offset)};
            memory_.store({&piece, 1}, from);
        }
        at += length;
    }
    spare_.insert(spare_.end(), fresh.begin(), fresh.end());
    release_spare();
}

bool KernelPageCache::present(NodeId node, std::uint64_t page) {
    const Slot slot = pages_.find({file(node), static_cast<std::uint32_t>(page)});
    if (slot == cache::kNoSlot || pages_.state(slot) == cache::PageState::loading) return false;
    pages_.touch(slot);
    return true;
}

Frame KernelPageCache::mapped_frame(NodeId node, std::uint64_t page, bool dirty) {
    const Slot slot = pages_.find({file(node), static_cast<std::uint32_t>(page)});
    assert(slot != cache::kNoSlot && pages_.state(slot) != cache::PageState::loading);
    if (dirty) set_dirty(slot);
    return pages_.frame(slot);
}

void KernelPageCache::truncate(NodeId node, std::uint64_t size) {
    const auto end = static_cast<std::uint32_t>((size + page_size - 1) >> page_shift);
    if (options_.victims != nullptr) options_.victims->flush(domain_, node, size >> page_shift);
    if (has_pages(node)) {
        std::vector<cache::Evicted> gone;
        pages_.drop_range(file(node), end, UINT32_MAX, &gone);
        dropped(gone);
    }
    const auto rest = static_cast<std::uint16_t>(size & (page_size - 1));
    if (rest == 0) return;
    const Slot last = pages_.find({file(node), end - 1});
    if (last == cache::kNoSlot || pages_.state(last) == cache::PageState::loading) return;
    memory_.zero(host::Page::of_frame(pages_.frame(last)), rest,
                 static_cast<std::uint16_t>(page_size - rest));
}

void KernelPageCache::forget(NodeId node) {
    errors_.erase(node);
    if (options_.victims != nullptr) options_.victims->flush(domain_, node, 0);
    if (!has_pages(node)) return;
    std::vector<cache::Evicted> gone;
    pages_.drop_file(file(node), &gone);
    dropped(gone);
}

void KernelPageCache::invalidate(NodeId node) {
    if (options_.victims != nullptr) options_.victims->flush(domain_, node, 0);
    if (!has_pages(node)) return;
    std::vector<Slot> slots;
    std::vector<cache::Evicted> gone;
    pages_.pages_of(file(node), slots);
    for (const Slot slot : slots) {
        if (pages_.state(slot) == cache::PageState::clean) gone.push_back(pages_.drop(slot));
    }
    dropped(gone);
}

void KernelPageCache::drop_clean() {
    if (options_.victims != nullptr) options_.victims->flush_all(domain_);
    std::vector<cache::Evicted> gone;
    while (pages_.evict(4096, cache::DirtyPages::keep, &gone) > 0) {
    }
    dropped(gone);
}

}  // namespace xenfs::sim
