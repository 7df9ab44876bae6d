// A dedup policy decides which pages may share one frame.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "model/policies/registry.h"

namespace xenfs::policies {

struct ScanOptions {
    std::uint32_t pages_per_wake = 100;
    std::uint32_t hint_queue = 8192;  ///< how many hints are kept
    double hint_share = 0.5;          ///< their largest share of a wake-up's pages
};

/// A scanner sees the shared cache through this. Pages have numbers below slots(), which may come
/// to name other pages at any time. A scanner only proposes sharing: it is done after the wake-up,
/// when clients have let go of the page, and contents are compared then, so a scanner may be wrong.
class ScannedCache {
  public:
    virtual ~ScannedCache() = default;
    virtual std::uint32_t slots() const = 0;
    /// Returns whether the page is filled, nobody can write to it, and its frame shows no other
    /// page.
    virtual bool scannable(std::uint32_t page) const = 0;
    /// Hashes the page's content with the trust group: the hashes of pages that may share are
    /// equal.
    virtual std::uint64_t read(std::uint32_t page) = 0;
    /// Has the page join the frame known for its content. Returns false where there is none.
    virtual bool share(std::uint32_t page, std::uint64_t content) = 0;
    /// Makes the first page's frame the one for this content. Returns false where its content has
    /// changed since.
    virtual bool share_two(std::uint32_t first, std::uint32_t page, std::uint64_t content) = 0;
    virtual void passed() = 0;  ///< called when a pass over all pages has ended
};

class DedupScanner {
  public:
    virtual ~DedupScanner() = default;
    /// Hints that the page was read from the storage, or written by a client.
    virtual void filled(std::uint32_t) {}
    virtual void wake(ScannedCache& cache) = 0;
};

/// It is asked once a server, not once a page: the answers are constants of the policy.
class DedupPolicy {
  public:
    virtual ~DedupPolicy() = default;
    virtual std::string_view name() const = 0;
    /// Returns true where all clients of a file share its frames; otherwise each has frames of its
    /// own, as with a cache of its own.
    virtual bool shares_by_name() const = 0;
    /// Returns true where pages of equal content share a frame within one trust group; the first
    /// write ends the sharing (copy-on-write).
    virtual bool shares_by_content() const = 0;
    /// Makes the scanner; returns null where equal pages are found when they are filled or
    /// committed.
    virtual std::unique_ptr<DedupScanner> make_scanner(const ScanOptions&) const { return nullptr; }
};

using DedupRegistry = Registry<DedupPolicy, std::function<std::unique_ptr<DedupPolicy>()>>;

/// There is one policy for each file NAME.cpp here that defines make_dedup_NAME(), and those added
/// later.
DedupRegistry& dedup_policies();

}  // namespace xenfs::policies
