#pragma once
// How long it is worth looking for what will come before one sleeps, by what it took the last
// times.

#include <algorithm>

#include "model/host/types.h"

namespace xenfs::host {

/// The rule is that of the halt polling of KVM: where what one waited for came within the longest
/// window, though later than one looked, the window doubles; where it took longer, the window is
/// halved, down to none. So whoever waits for a slow or a busy peer does not look at all.
/// Invariant: window() ≤ the longest.
class PollWindow {
  public:
    /// `longest` is in nanoseconds; 0 means never to look.
    explicit PollWindow(Nanoseconds longest) : longest_(longest) {}
    Nanoseconds window() const { return window_; }
    /// Says how long it took until what was waited for came.
    void waited(Nanoseconds time) {
        if (time <= window_) return;
        const Nanoseconds least = longest_ / 8;
        if (time <= longest_) {
            window_ = std::min(longest_, std::max(least, 2 * window_));
        } else {
            window_ = window_ / 2 < least ? 0 : window_ / 2;
        }
    }

  private:
    Nanoseconds longest_;
    Nanoseconds window_ = 0;
};

}  // namespace xenfs::host
