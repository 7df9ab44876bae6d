#pragma once
// PageFetch decides which pages to ask for when one is missing, and brings them.

#include <vector>

#include "model/client/flush.h"
#include "model/client/page_exchange.h"

namespace xenfs::client {

/// Owns the list of pages that a notice overtook while they were fetched: they are there for the
/// caller's one use and go with drop_outdated().
class PageFetch : Part {
  public:
    using Use = TransferChoice::Use;
    PageFetch(const Shared& shared, TransferChoice& choice, PageExchange& exchange,
              Flusher& flusher)
        : Part(shared), choice_(choice), exchange_(exchange), flusher_(flusher) {}

    /// Brings [first, first + need) and up to `window` pages more, as far as they lie before the
    /// end of the file and before a page that is there already. Returns 0 where the first page is
    /// there until the next yield, or where another task was fetching it, so that the caller looks
    /// again; ENODATA where it lies beyond the end.
    int fetch(Node& node, std::uint64_t first, std::uint32_t need, std::uint32_t window,
              Use use) MAY_YIELD {
        return fetch(node, first, need, window, use, false);
    }
    /// Drops the outdated pages after the caller's use of what fetch() brought. Pages otherwise in
    /// use stay; with `lent`, those on loan leave their place.
    void drop_outdated(bool lent = false);

  private:
    int fetch(Node& node, std::uint64_t first, std::uint32_t need, std::uint32_t window, Use use,
              bool whole_range) MAY_YIELD;
    struct Plan;
    bool choose(const Node& node, std::uint64_t end, std::uint32_t window, Use use, Plan& plan);
    void widen(std::uint32_t file, std::uint64_t end, PageRequest& request) const;
    std::uint32_t missing_from(std::uint32_t file, std::uint64_t first, std::uint32_t count,
                               std::uint64_t most) const;
    int make_hole(Node& node, std::uint64_t page) MAY_YIELD;
    TransferChoice& choice_;
    PageExchange& exchange_;
    Flusher& flusher_;
    std::vector<PageKey> outdated_;
};

}  // namespace xenfs::client
