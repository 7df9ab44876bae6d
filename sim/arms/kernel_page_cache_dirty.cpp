// Dirty pages: their age, their limits, their way to the source.
#include <algorithm>
#include <cassert>

#include "sim/arms/kernel_page_cache.h"

namespace xenfs::sim {
namespace {
constexpr std::uint32_t flusher_batch = 1024;  // pages, as Linux's MAX_WRITEBACK_PAGES [M]
}  // namespace

/// Time in flusher intervals, modulo 256: enough, since pages are dirty for a few of them only.
std::uint8_t KernelPageCache::tick() const {
    return static_cast<std::uint8_t>(clock_.now() / options_.flusher_interval_ns);
}

void KernelPageCache::set_dirty(Slot slot) {
    if (pages_.state(slot) == cache::PageState::dirty) return;
    pages_.mark_dirty(slot);
    pages_.set_flags(slot, tick());
    if (flusher_idle_) {
        flusher_idle_ = false;
        flusher_->wake_one();
    }
}

/// A writer waits, and writes, while more is dirty than may be (balance_dirty_pages).
void KernelPageCache::throttle() {
    const double capacity = options_.capacity_pages;
    const auto background = static_cast<std::uint32_t>(options_.dirty_background * capacity);
    if (pages_.dirty_count() <= background) return;
    flusher_->wake_one();
    const auto limit = static_cast<std::uint32_t>(options_.dirty_limit * capacity);
    std::vector<Slot> slots;
    while (pages_.dirty_count() > limit) {
        ++stats_.throttled;
        slots.clear();
        pages_.oldest_dirty(flusher_batch, slots);
        write_back(slots);
        if (slots.empty()) changed_->wait();  // others write all of them now
    }
}

/// Writes these dirty pages, in runs by file and page. They count as clean from now on, so that
/// what is written to them meanwhile makes them dirty again. Pages that are being written already
/// stay dirty and are taken out of `slots`: two writes of one page under way could reach the source
/// in either order (Linux waits for PG_writeback there). A yield point. The first error.
int KernelPageCache::write_back(std::vector<Slot>& slots) {
    std::erase_if(slots,
                  [this](Slot slot) { return under_way_.contains(packed(pages_.key(slot))); });
    if (slots.empty()) return 0;
    std::sort(slots.begin(), slots.end(),
              [this](Slot a, Slot b) { return pages_.key(a) < pages_.key(b); });
    std::vector<Hold> holds;
    std::vector<Fingerprint> content;
    std::vector<PageSource::Run> runs;
    content.reserve(slots.size());  // runs point into it
    for (const Slot slot : slots) {
        const PageKey key = pages_.key(slot);
        pages_.mark_clean(slot);
        under_way_.insert(packed(key));
        holds.push_back(hold(slot));
        content.push_back(domain_.content(host::Page::of_frame(pages_.frame(slot))));
        domain_.sent(pages_.frame(slot));
        if (!runs.empty() && file(runs.back().node) == key.file &&
            runs.back().first_page + runs.back().pages.size() == key.page) {
            runs.back().pages = {runs.back().pages.data(), runs.back().pages.size() + 1};
        } else {
            runs.push_back({key.file, key.page, {&content.back(), 1}, 0});
        }
    }
    for (const PageSource::Run& run : runs) ++writing_[run.node];
    source_.write_pages(runs);
    int first_error = 0;
    for (const PageSource::Run& run : runs) {
        if (--writing_[run.node] == 0) writing_.erase(run.node);
        stats_.pages_written += run.pages.size();
        if (run.error == 0 || run.error == ESTALE) continue;  // a file that is gone needs no data
        ++stats_.write_errors;
        errors_[run.node] = run.error;
        if (first_error == 0) first_error = run.error;
    }
    stats_.write_runs += runs.size();
    for (const Hold& held : holds) under_way_.erase(packed(held.key));
    let_go(holds);
    changed_->wake_all();
    return first_error;
}

bool KernelPageCache::dirty(NodeId node) const {
    if (writing_.contains(node)) return true;
    std::vector<Slot> slots;
    if (pages_.dirty_count() > 0) pages_.dirty_of(file(node), slots);
    return !slots.empty();
}

/// Writes what `collect` finds and waits while `busy`; again as long as a page was left out that
/// was being written already. The first error of its own writes.
template <class Collect, class Busy>
int KernelPageCache::write_all(Collect collect, Busy busy) {
    std::vector<Slot> slots;
    int first_error = 0;
    for (;;) {
        slots.clear();
        collect(slots);
        const std::size_t dirty = slots.size();
        const int error = write_back(slots);
        if (first_error == 0) first_error = error;
        const bool all = slots.size() == dirty;
        while (busy()) changed_->wait();
        if (all) return first_error;
    }
}

int KernelPageCache::flush(NodeId node) {
    write_all([&](std::vector<Slot>& slots) { pages_.dirty_of(file(node), slots); },
              [&] { return writing_.contains(node); });
    const auto error = errors_.find(node);
    if (error == errors_.end()) return 0;
    const int result = error->second;  // told once, as fsync(2) does
    errors_.erase(error);
    return result;
}

int KernelPageCache::flush_all() {
    return write_all(
        [&](std::vector<Slot>& slots) { pages_.oldest_dirty(pages_.dirty_count(), slots); },
        [&] { return !writing_.empty(); });
}

void KernelPageCache::keep_flushing() {
    const auto expire_ticks = static_cast<std::uint8_t>(
        std::clamp<Nanoseconds>(options_.dirty_expire_ns / options_.flusher_interval_ns, 1, 200));
    const auto background =
        static_cast<std::uint32_t>(options_.dirty_background * options_.capacity_pages);
    std::vector<Slot> slots;
    for (;;) {
        while (pages_.dirty_count() == 0) {
            flusher_idle_ = true;
            flusher_->wait();
        }
        flusher_idle_ = false;
        flusher_->wait(options_.flusher_interval_ns);
        for (;;) {
            slots.clear();
            pages_.oldest_dirty(flusher_batch, slots);
            if (pages_.dirty_count() <= background) {
                const std::uint8_t now = tick();
                const auto young = std::find_if(slots.begin(), slots.end(), [&](Slot slot) {
                    return static_cast<std::uint8_t>(now - pages_.flags(slot)) < expire_ticks;
                });
                slots.erase(young, slots.end());
            }
            write_back(slots);
            if (slots.empty()) break;
        }
    }
}

}  // namespace xenfs::sim
