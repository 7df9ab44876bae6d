#include "sim/sharing/ksm.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace xenfs::sim {

Nanoseconds KsmScan::wake() {
    scan(options_.pages_per_wake);
    return options_.sleep_ns;
}

void KsmScan::released(Frame frame) {
    if (frame < checksums_.size()) checksums_[frame] = never_seen;
}

Nanoseconds KsmScan::descend(std::size_t nodes) const {
    return options_.tree_step_ns * static_cast<Nanoseconds>(std::bit_width(nodes));
}

void KsmScan::scan(std::uint32_t pages) {
    bool empty = false;  // a whole pass without a page of a guest
    for (std::uint32_t seen = 0; seen < pages;) {
        const std::size_t used = pages_.frames();
        if (cursor_ >= used + pages_.idle_pages()) {
            if (std::exchange(empty, seen == 0)) return;
            cursor_ = 0;
            unstable_.clear();
            ++stats_.passes;
        }
        if (cursor_ >= used &&
            pages_.idle_pages() >
                0) {  // memory that no guest uses now: read, and never found equal
            const auto idle = static_cast<std::uint32_t>(
                std::min<std::size_t>(pages - seen, used + pages_.idle_pages() - cursor_));
            spend(options_.hash_ns * static_cast<Nanoseconds>(idle));
            cursor_ += idle;
            seen += idle;
            stats_.scanned += idle;
            continue;
        }
        if (used == 0) return;
        const auto frame = static_cast<Frame>(cursor_++);
        if (pages_.foreign(frame)) continue;
        ++seen;
        ++stats_.scanned;
        if (pages_.mergeable(frame)) examine(frame, false);
    }
}

void KsmScan::examine(Frame frame, bool trusted) {
    if (shared_.group_of(frame) != SharedPages::no_group) return;
    const ContentKey key = pages_.key(frame);
    spend(descend(shared_.groups()));
    if (join_known(frame, key)) return;
    spend(options_.hash_ns);
    if (frame >= checksums_.size()) {
        checksums_.resize(std::max<std::size_t>(frame + 1, checksums_.size() * 2), never_seen);
    }
    const bool held = checksums_[frame] == key.content;
    checksums_[frame] = key.content;
    if (options_.volatile_check && !trusted && !held) {
        ++stats_.volatile_pages;
        return;
    }
    if (options_.zero_pages && key.content == zero_fingerprint) {
        spend(options_.merge_ns);  // with the host's own page of zeros: no partner is needed
        shared_.protect(frame, key);
        return;
    }
    spend(descend(unstable_.size()));
    const auto [place, is_new] = unstable_.try_emplace(key, frame);
    if (is_new) return;
    const Frame other = place->second;
    const bool good = other != frame && pages_.mergeable(other) && pages_.key(other) == key &&
                      shared_.group_of(other) == SharedPages::no_group;
    if (good) {
        merge(other, frame, key);
        unstable_.erase(place);
    } else {
        place->second = frame;
    }
}

std::unique_ptr<SharingPolicy> make_sharing_ksm(GuestPages& pages, SharedPages& shared,
                                                SharingStats& stats,
                                                const SharingOptions& options) {
    return std::make_unique<KsmScan>(pages, shared, stats, options);
}

}  // namespace xenfs::sim
