// Scans as `scan` does, but looks first at pages just read from the disk or written by a client,
// without waiting for a second look at them (XLH's idea, USENIX ATC 2013). The newest come first,
// from a bounded queue whose oldest hints are dropped.
#include <deque>

#include "model/policies/dedup/scan.h"

namespace xenfs::policies {
namespace {

class HintedScan final : public CacheScan {
  public:
    using CacheScan::CacheScan;

    void filled(std::uint32_t page) override {
        if (page >= waiting_.size()) waiting_.resize(std::max<std::size_t>(page + 1, 2 * page));
        if (waiting_[page]) return;
        if (queue_.size() >= options_.hint_queue) {
            waiting_[queue_.front()] = false;
            queue_.pop_front();
        }
        waiting_[page] = true;
        queue_.push_back(page);
    }

    void wake(ScannedCache& cache) override {
        const auto most = static_cast<std::uint32_t>(options_.hint_share * options_.pages_per_wake);
        std::uint32_t used = 0;
        while (used < most && !queue_.empty()) {
            const std::uint32_t page = queue_.back();
            queue_.pop_back();
            waiting_[page] = false;
            if (!cache.scannable(page)) continue;
            ++used;
            examine(cache, page, true);
        }
        scan(cache, options_.pages_per_wake - used);
    }

  private:
    std::deque<std::uint32_t> queue_;
    std::vector<bool> waiting_;  ///< by page: whether it is in the queue
};

class Hinted final : public DedupPolicy {
  public:
    std::string_view name() const override { return "hinted"; }
    bool shares_by_name() const override { return false; }
    bool shares_by_content() const override { return true; }
    std::unique_ptr<DedupScanner> make_scanner(const ScanOptions& options) const override {
        return std::make_unique<HintedScan>(options);
    }
};

}  // namespace

std::unique_ptr<DedupPolicy> make_dedup_hinted() {
    return std::make_unique<Hinted>();
}

}  // namespace xenfs::policies
