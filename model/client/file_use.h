#pragma once
// FileUse records how the pages of one file were used so far, for the transfer policy.

#include <algorithm>
#include <cstdint>

#include "model/host/types.h"

namespace xenfs::client {

/// It holds plain counts, of pages of 4 KiB, and is forgotten with the caches (echo 3 >
/// drop_caches).
class FileUse {
  public:
    /// Counts a request for `pages` of a file of `file_pages`; `once` says that they go after one
    /// use.
    void fetched(std::uint64_t pages, std::uint64_t file_pages, bool once) {
        ++requests_;
        fetched_ = std::min(fetched_ + pages, std::max<std::uint64_t>(file_pages, 1));
        if (!once) {
            kept_fetched_ += pages;
        } else if (kept_fetched_ != 0) {  // old knowledge of kept pages fades
            const std::uint64_t left = kept_fetched_ - std::min(kept_fetched_, (pages + 31) / 32);
            kept_read_ = kept_read_ / kept_fetched_ * left;
            kept_fetched_ = left;
        }
    }
    void was_read(std::uint64_t bytes, bool once) {
        read_ += bytes;
        if (!once) kept_read_ += bytes;
    }
    std::uint64_t requests() const { return requests_; }

    /// Returns whether most pages that were fetched to be kept have gone again; `here` are left.
    bool keeping_is_vain(std::uint64_t here) const {
        return kept_fetched_ >= 8 && 2 * here < kept_fetched_;
    }
    /// Returns how often a page that is about to be fetched will probably be used while it could be
    /// kept: as often as each page was so far, and once more where all have been fetched, since the
    /// page was here before. Where keeping is vain, it is how often pages were used until they
    /// went.
    double expected_uses(std::uint64_t here, std::uint64_t file_pages) const {
        if (fetched_ == 0) return unknown;
        if (keeping_is_vain(here)) return std::max(1.0, ratio(kept_read_, kept_fetched_));
        return std::max(unknown, ratio(read_, fetched_) + (fetched_ >= file_pages ? 1 : 0));
    }

  private:
    /// Where nothing is known, one page in twenty is taken to be used again. Otherwise a file whose
    /// pages all go after one use would never show that they are used again.
    static constexpr double unknown = 1.05;

    static double ratio(std::uint64_t bytes, std::uint64_t pages) {
        return static_cast<double>(bytes) / static_cast<double>(pages * page_size);
    }

    std::uint64_t fetched_ = 0, read_ = 0;  ///< distinct pages, at most the file's; bytes
    std::uint64_t kept_fetched_ = 0, kept_read_ = 0;
    std::uint64_t requests_ = 0;
};

}  // namespace xenfs::client
