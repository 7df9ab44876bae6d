// XLH (Miller et al., USENIX ATC 2013): KSM, with hints. A page that took part in I/O is likely to
// be in another guest's page cache too, so it goes into a bounded queue, and the scanner takes part
// of its pages from there, newest first, without waiting for a second look at them. The oldest
// hints are dropped when the queue is full. [M: the interleaving and the order]
#include <deque>

#include "sim/sharing/ksm.h"

namespace xenfs::sim {
namespace {

class Xlh final : public KsmScan {
  public:
    using KsmScan::KsmScan;

    void filled(Frame frame) override { hint(frame); }
    void sent(Frame frame) override { hint(frame); }

    Nanoseconds wake() override {
        const auto most = static_cast<std::uint32_t>(options_.hint_share * options_.pages_per_wake);
        std::uint32_t used = 0;
        for (; used < most && !queue_.empty(); ++used) {
            const Frame frame = queue_.back();
            queue_.pop_back();
            waiting_[frame] = false;
            ++stats_.hints_used;
            ++stats_.scanned;
            if (pages_.mergeable(frame)) examine(frame, true);
        }
        scan(options_.pages_per_wake - used);
        return options_.sleep_ns;
    }

  private:
    void hint(Frame frame) {
        if (!pages_.mergeable(frame)) return;
        ++stats_.hints;
        if (frame >= waiting_.size()) waiting_.resize(frame + frame / 2 + 1024);
        if (waiting_[frame]) return;
        if (queue_.size() >= options_.hint_queue) {
            waiting_[queue_.front()] = false;
            queue_.pop_front();
            ++stats_.hints_dropped;
        }
        waiting_[frame] = true;
        queue_.push_back(frame);
    }

    std::deque<Frame> queue_;
    std::vector<bool> waiting_;  ///< by frame: it is in the queue
};

}  // namespace

std::unique_ptr<SharingPolicy> make_sharing_xlh(GuestPages& pages, SharedPages& shared,
                                                SharingStats& stats,
                                                const SharingOptions& options) {
    return std::make_unique<Xlh>(pages, shared, stats, options);
}

}  // namespace xenfs::sim
