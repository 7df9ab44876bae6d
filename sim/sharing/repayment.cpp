#include "sim/sharing/repayment.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace xenfs::sim {

void Repayment::give(std::size_t saved, const std::vector<std::size_t>& sharing) {
    assert(sharing.size() == fifo_.size());
    const std::size_t all = std::accumulate(sharing.begin(), sharing.end(), std::size_t{0});
    if (surplus_ == Surplus::keep || saved <= given_ || all == 0) return;
    const std::size_t more = saved - given_;
    for (std::size_t guest = 0; guest < fifo_.size(); ++guest) {
        const std::size_t part = more * sharing[guest] / all;  // rounded down: never too much
        fifo_[guest] += part;
        given_ += part;
    }
}

void Repayment::broken(std::size_t guest, std::size_t saved) {
    while (surplus_ == Surplus::repay && given_ > saved) {
        std::size_t from = guest;
        if (fifo_[from] == 0) {
            from = static_cast<std::size_t>(std::max_element(fifo_.begin(), fifo_.end()) -
                                            fifo_.begin());
            ++taken_from_others_;
        }
        assert(fifo_[from] > 0 && "the FIFOs are as long as what was given");
        --fifo_[from];
        --given_;
        ++taken_back_;
    }
    overcommitted_peak_ = std::max(overcommitted_peak_, overcommitted(saved));
}

}  // namespace xenfs::sim
