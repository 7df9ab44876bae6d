// A scanner of the shared cache after Linux's KSM; `scan` uses it, and `hinted` builds on it.
#pragma once

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/policies/dedup/policy.h"

namespace xenfs::policies {

/// Walks all pages round and round. A page whose content is shared already joins that frame; else,
/// if its hash is that of its last visit, it is kept as a candidate for the rest of the pass, or
/// shares with the candidate of the same content. Candidates are forgotten at each pass's end.
class CacheScan : public DedupScanner {
  public:
    explicit CacheScan(const ScanOptions& options) : options_(options) {}

    void wake(ScannedCache& cache) override { scan(cache, options_.pages_per_wake); }

  protected:
    void scan(ScannedCache& cache, std::uint32_t pages) {
        const std::uint32_t slots = cache.slots();
        for (std::uint32_t looked = 0, seen = 0; seen < pages && looked < slots; ++looked) {
            if (cursor_ >= slots) {
                cursor_ = 0;
                candidates_.clear();
                cache.passed();
            }
            const std::uint32_t page = cursor_++;
            if (!cache.scannable(page)) continue;
            ++seen;
            examine(cache, page, false);
        }
    }

    /// Looks at one page. A `trusted` one is not asked whether it changes often.
    void examine(ScannedCache& cache, std::uint32_t page, bool trusted) {
        const std::uint64_t content = cache.read(page);
        if (page >= seen_.size()) seen_.resize(std::max<std::size_t>(page + 1, 2 * seen_.size()));
        const bool held = std::exchange(seen_[page], content) == content;
        if (cache.share(page, content)) return;
        if (!held && !trusted) return;
        const auto [place, is_new] = candidates_.try_emplace(content, page);
        if (is_new || place->second == page) return;
        if (cache.share_two(place->second, page, content)) {
            candidates_.erase(place);
        } else {
            place->second = page;
        }
    }

    const ScanOptions options_;

  private:
    std::uint32_t cursor_ = 0;
    std::vector<std::uint64_t> seen_;  ///< by page, the hash at its last visit
    std::unordered_map<std::uint64_t, std::uint32_t> candidates_;
};

}  // namespace xenfs::policies
