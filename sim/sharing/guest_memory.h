#pragma once
// What a guest's memory holds besides file data: zeros, kernel and programs from a base image, and
// anonymous pages that live and die. Contents are made up from what they stand for, so that pages
// which are equal in reality are equal here, in whichever guest.

#include <cstdint>
#include <queue>
#include <random>
#include <vector>

#include "sim/machine/machine.h"

namespace xenfs::sim {

enum class LifetimeShape : std::uint8_t { fixed, exponential, pareto };

/// [memory] of a scenario, in pages and ns.
struct GuestMemoryOptions {
    std::size_t zero_pages = 0;

    std::size_t image_pages = 0;  ///< of the base image, as read from its disk
    std::uint64_t image = 0;      ///< which one: guests of the same image hold the same pages
    double image_changed = 0;     ///< share of them that each guest has changed since
    Nanoseconds storm_ns = 0;     ///< when the guest writes to all of them; 0: never

    std::size_t repeated_pages = 0;  ///< pages that the guest itself has several times
    unsigned repeats = 2;            ///< how often

    std::size_t anonymous_pages = 0;  ///< alive at any time; a dead page's frame gets the next one
    Nanoseconds lifetime_ns = 0;      ///< mean; 0: for ever
    LifetimeShape shape = LifetimeShape::exponential;
    double anonymous_zero = 0;    ///< share of them that hold zeros
    double anonymous_common = 0;  ///< share that other guests hold as well, at the same time

    std::size_t pages() const {
        return zero_pages + image_pages + repeated_pages + anonymous_pages;
    }
};

/// Of one guest. The frames are taken by populate() and stay the guest's.
class GuestMemory {
  public:
    /// `seed`: of the guest; `common_seed`: of all guests of the run. Pages that are common have
    /// the same contents and lifetimes wherever they are.
    GuestMemory(Domain& domain, const GuestMemoryOptions& options, std::uint64_t seed,
                std::uint64_t common_seed);

    /// Fills the memory: image pages as a device does, the others as programs do. False: the
    /// guest has not so many pages. To be called from a task of the guest.
    [[nodiscard]] bool populate();
    /// Spawns the service that lets anonymous pages die, where they do.
    void start();

    std::uint64_t deaths() const { return deaths_; }

  private:
    struct Death {
        Nanoseconds at;
        std::uint32_t slot;
        bool operator>(const Death& other) const {
            return at != other.at ? at > other.at : slot > other.slot;
        }
    };
    bool is_common(std::uint32_t slot) const;
    Fingerprint anonymous_content(std::uint32_t slot) const;
    Nanoseconds lifetime(std::uint32_t slot, bool residual) const;
    void renew(std::uint32_t slot, Nanoseconds now, bool residual);

    Domain& domain_;
    const GuestMemoryOptions options_;
    const std::uint64_t seed_, common_seed_;
    std::vector<Frame> image_;
    std::vector<Frame> anonymous_;           ///< by slot
    std::vector<std::uint32_t> generation_;  ///< by slot
    std::priority_queue<Death, std::vector<Death>, std::greater<>> deaths_due_;
    std::uint64_t deaths_ = 0;
};

}  // namespace xenfs::sim
