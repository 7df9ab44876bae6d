#include "sim/arms/kernel_page_cache.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "model/policies/eviction/registry.h"

namespace xenfs::sim {
namespace {
// The index may for a moment hold more than the capacity, while frames change hands.
constexpr std::uint32_t slack_pages = 256;

std::uint64_t pages_for(std::uint64_t bytes) {
    return (bytes + page_size - 1) >> page_shift;
}
}  // namespace

KernelCacheOptions KernelCacheOptions::from(const CostModel& costs, std::uint32_t capacity_pages) {
    KernelCacheOptions options;
    options.capacity_pages = capacity_pages;
    options.dirty_expire_ns = costs.time("kernel.dirty_expire");
    options.flusher_interval_ns = costs.time("kernel.flusher_interval");
    options.dirty_background = costs.value("kernel.dirty_background");
    options.dirty_limit = costs.value("kernel.dirty_limit");
    options.readahead_pages =
        static_cast<std::uint32_t>(costs.count("kernel.readahead") / page_size);
    options.reclaim_ns = costs.time("kernel.reclaim");
    return options;
}

KernelPageCache::KernelPageCache(Domain& domain, PageSource& source, KernelCacheOptions options)
    : domain_(domain),
      clock_(domain.host().clock()),
      memory_(domain.host().memory()),
      frame_source_(domain.host().frames()),
      costs_(domain.host().core_costs()),
      source_(source),
      options_(std::move(options)),
      pages_(policies::make_eviction_policy(options_.eviction),
             options_.capacity_pages + slack_pages),
      changed_(domain.host().tasks().make_gate()),
      flusher_(domain.host().tasks().make_gate()) {
    assert(options_.capacity_pages >= least_pages && options_.flusher_interval_ns > 0);
    domain.spawn(
        "flusher", [this] { keep_flushing(); }, true);
}

KernelPageCache::~KernelPageCache() = default;

int KernelPageCache::read(NodeId node, std::uint64_t offset, host::Buffer into, ReadAhead& ahead) {
    if (into.length == 0) return 0;
    const std::uint64_t end_page = pages_for(offset + into.length);
    std::uint64_t page = offset >> page_shift;
    auto head = static_cast<std::uint16_t>(offset & (page_size - 1));
    // A reader that goes on where it was doubles its window; any other gets what it asked for.
    if (page == ahead.next_page || (head != 0 && page + 1 == ahead.next_page)) {
        ahead.window = std::min(options_.readahead_pages, std::max(ahead.window * 2, 4u));
    } else {
        ahead.window = 0;
    }
    std::size_t done = 0;
    std::array<Slot, chunk> slots;
    std::vector<Hold> holds;
    while (page < end_page) {
        const std::size_t count = std::min<std::uint64_t>(chunk, end_page - page);
        const std::span<Slot> wanted(slots.data(), count);
        if (const int error =
                wait_or_fill(node, page, count, wanted,
                             page + std::max<std::uint64_t>(count, ahead.window), holds)) {
            return error;
        }
        for (std::size_t i = 0; i < count; ++i) {
            const auto length = static_cast<std::uint16_t>(
                std::min<std::size_t>(page_size - head, into.length - done));
            pieces_[i] = {host::Page::of_frame(pages_.frame(slots[i])), head, length, done};
            done += length;
            head = 0;
        }
        pages_.touch(wanted);
        clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
        memory_.load({pieces_.data(), count}, into);
        if (!holds.empty()) let_go(holds);
        page += count;
    }
    ahead.next_page = end_page;
    return 0;
}

int KernelPageCache::write(NodeId node, std::uint64_t offset, host::Buffer from,
                           std::uint64_t file_end) {
    if (from.length == 0) return 0;
    throttle();
    const std::uint64_t end = offset + from.length;
    const std::uint64_t end_page = pages_for(end);
    std::uint64_t page = offset >> page_shift;
    auto head = static_cast<std::uint16_t>(offset & (page_size - 1));
    std::size_t done = 0;
    std::vector<Hold> holds;
    std::vector<Frame> fresh;
    while (page < end_page) {
        const std::size_t count = std::min<std::uint64_t>(chunk, end_page - page);
        // Pages that keep some of their old data are read first, the others only get a frame.
        std::size_t missing = 0;
        for (;;) {
            missing = 0;
            int error = 0;
            for (std::size_t i = 0; i < count && error == 0; ++i) {
                const std::uint64_t at = (page + i) << page_shift;
                const Slot slot = pages_.find({file(node), static_cast<std::uint32_t>(page + i)});
                if (slot != cache::kNoSlot) {
                    if (pages_.state(slot) != cache::PageState::loading) continue;
                    error = -1;  // somebody reads it: look again
                    changed_->wait();
                    break;
                }
                const bool whole = at >= offset && at + page_size <= end;
                if (whole || at >= source_.size_of(node)) {
                    ++missing;
                    continue;
                }
                error = bring_in(node, page + i, 1, page + i + 1, holds);
                if (error == 0) error = -1;
                break;
            }
            if (error == 0 && fresh.size() >= missing) break;
            if (error == 0 && !take_frames(missing - fresh.size(), fresh)) error = ENOMEM;
            if (error > 0) {
                let_go(holds);
                spare_.insert(spare_.end(), fresh.begin(), fresh.end());
                release_spare();
                return error;
            }
        }
        // From here to the end of the chunk nothing yields.
        for (std::size_t i = 0; i < count; ++i) {
            const PageKey key{file(node), static_cast<std::uint32_t>(page + i)};
            const auto length = static_cast<std::uint16_t>(
                std::min<std::size_t>(page_size - head, from.length - done));
            Slot slot = pages_.find(key);
            if (slot == cache::kNoSlot) {
                const Frame frame = fresh.back();
                fresh.pop_back();
                if (length == page_size) {
                    domain_.set_content(host::Page::of_frame(frame), zero_fingerprint,
                                        Writer::program);
                } else {
                    memory_.zero(host::Page::of_frame(frame), 0, page_size);
                }
                pages_.missed(key);
                slot = pages_.insert(key, frame);
                assert(slot != cache::kNoSlot);
            } else {
                pages_.touch(slot);
            }
            pieces_[i] = {host::Page::of_frame(pages_.frame(slot)), head, length, done};
            set_dirty(slot);
            done += length;
            head = 0;
        }
        spare_.insert(spare_.end(), fresh.begin(), fresh.end());
        fresh.clear();
        release_spare();
        clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
        memory_.store({pieces_.data(), count}, from);
        source_.extend(node, std::min(offset + done, file_end));
        if (!holds.empty()) let_go(holds);
        page += count;
    }
    return 0;
}

int KernelPageCache::lend(NodeId node, std::uint64_t first, std::span<Fingerprint> out) {
    std::array<Slot, chunk> slots;
    std::vector<Hold> holds;
    for (std::size_t done = 0; done < out.size();) {
        const std::size_t count = std::min(chunk, out.size() - done);
        const std::span<Slot> wanted(slots.data(), count);
        if (const int error =
                wait_or_fill(node, first + done, count, wanted, first + out.size(), holds)) {
            return error;
        }
        pages_.touch(wanted);
        clock_.charge(costs_.page_hit * static_cast<Nanoseconds>(count));
        for (std::size_t i = 0; i < count; ++i) {
            out[done + i] = domain_.content(host::Page::of_frame(pages_.frame(slots[i])));
        }
        if (!holds.empty()) let_go(holds);
        done += count;
    }
    return 0;
}

int KernelPageCache::map(NodeId node, std::uint64_t first, std::size_t count, bool dirty,
                         std::span<Fingerprint> contents) {
    const std::uint64_t end = first + count;
    if (end > pages_for(source_.size_of(node))) return EFAULT;  // SIGBUS
    std::array<Slot, chunk> slots;
    std::vector<Hold> holds;
    for (std::uint64_t page = first; page < end;) {
        const std::size_t now = std::min<std::uint64_t>(chunk, end - page);
        const std::span<Slot> wanted(slots.data(), now);
        const int error =
            wait_or_fill(node, page, now, wanted,
                         page + std::max<std::uint64_t>(now, options_.readahead_pages), holds);
        if (error != 0) {
            unmap(node, first, page - first);
            return error;
        }
        pages_.touch(wanted);
        pages_.pin(wanted);
        for (std::size_t i = 0; i < now; ++i) {
            if (dirty) set_dirty(slots[i]);
            if (!contents.empty()) {
                contents[page - first + i] =
                    domain_.content(host::Page::of_frame(pages_.frame(slots[i])));
            }
        }
        if (!holds.empty()) let_go(holds);
        clock_.charge(costs_.faults(now, dirty));
        page += now;
    }
    return 0;
}

void KernelPageCache::unmap(NodeId node, std::uint64_t first, std::size_t count) {
    std::array<Slot, chunk> slots;
    const std::uint64_t end = first + count;
    for (std::uint64_t page = first; page < end;) {
        const std::size_t now = std::min<std::uint64_t>(chunk, end - page);
        pages_.find_run(file(node), static_cast<std::uint32_t>(page), {slots.data(), now});
        for (std::size_t i = 0; i < now; ++i) {
            unmap_page({file(node), static_cast<std::uint32_t>(page + i)}, slots[i]);
        }
        page += now;
    }
}

}  // namespace xenfs::sim
