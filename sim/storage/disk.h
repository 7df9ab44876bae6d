#pragma once
// A disk as arithmetic: when a request that is handed over now will be done, and what it costs in
// energy. Nothing sleeps here (see disk_driver.h), so exact times can be tested without a machine.
//
// Our own rather than SimGrid's: s4u::Disk leaks with each request and has neither seeks nor power
// states.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

inline constexpr std::uint64_t sector_bytes = 512;
inline constexpr std::uint64_t sectors_per_page = page_size / sector_bytes;

/// One request: consecutive sectors, one direction.
struct DiskRequest {
    std::uint64_t first_sector = 0;
    std::uint64_t sectors = 0;
    bool write = false;
};

/// What a disk is. Numbers come from the cost model (disk_parameters.h).
///
/// A request passes two stages: positioning or latency, in one of `parallel` places at once, then
/// the transfer, over one link. For a hard disk `parallel` is 1 and positioning is mechanical:
///   seek(d)  = seek_min + (seek_max - seek_min) * sqrt(d / sectors), 0 on the same track
///   rotation = from where the platter really is at that time to the first sector
/// and a request that begins where the last one ended needs neither (the drive's track buffer).
struct DiskParameters {
    std::string name = "disk";
    std::uint64_t sectors = 0;   ///< capacity
    unsigned parallel = 1;       ///< requests in service at once (queue depth, internal channels)
    Nanoseconds latency_ns = 0;  ///< each request, mechanics apart
    Nanoseconds sequential_latency_ns = 0;  ///< of a request that begins where the last ended
    std::uint64_t read_bytes_per_s = 0, write_bytes_per_s = 0;
    Nanoseconds seek_min_ns = 0, seek_max_ns = 0;  ///< track to track, full stroke; 0: no mechanics
    Nanoseconds rotation_ns = 0;                   ///< one turn; 0: nothing turns
    Nanoseconds spin_down_after_ns = 0;            ///< idle time before; 0: never
    Nanoseconds spin_down_ns = 0, spin_up_ns = 0;  ///< how long these take
    double active_watts = 0, idle_watts = 0, standby_watts = 0;
    double spin_down_watts = 0, spin_up_watts = 0;
};

struct DiskStats {
    std::uint64_t reads = 0, writes = 0;
    std::uint64_t read_bytes = 0, written_bytes = 0;
    std::uint64_t seeks = 0;       ///< requests that had to move the arm or wait for the platter
    std::uint64_t sequential = 0;  ///< requests that began where the last one ended
    std::uint64_t spin_ups = 0;
    std::uint64_t busy_ns = 0;   ///< time with at least one request in service
    std::uint64_t queue_ns = 0;  ///< sum over requests: time before service began
    std::uint64_t sectors() const { return (read_bytes + written_bytes) / sector_bytes; }
};

class Disk {
  public:
    explicit Disk(DiskParameters parameters);

    /// Takes a request at `now` (never less than in the call before) behind all taken earlier, and
    /// returns when it is done. First come, first served.
    Nanoseconds serve(Nanoseconds now, const DiskRequest& request);

    /// Hears of each request taken, for timelines: which of the parallel places serves it, and from
    /// when to when.
    using Observer = std::function<void(const DiskRequest&, std::size_t place, Nanoseconds start,
                                        Nanoseconds done)>;
    void observe(Observer observer) { observer_ = std::move(observer); }

    /// When all that was taken is done.
    Nanoseconds busy_until() const { return busy_until_; }
    /// When a request handed over now would enter service at the earliest.
    Nanoseconds free_at() const;
    /// Where the head will stand after the last request taken: what an elevator starts from.
    std::uint64_t head_sector() const { return next_sector_; }

    /// Joules from time 0 to `now`.
    double energy_joules(Nanoseconds now) const;

    const DiskParameters& parameters() const { return parameters_; }
    const DiskStats& stats() const { return stats_; }

  private:
    Nanoseconds mechanics_ns(Nanoseconds start, const DiskRequest& request);
    Nanoseconds wake(Nanoseconds now);
    double idle_joules(Nanoseconds idle) const;

    DiskParameters parameters_;
    DiskStats stats_;
    std::vector<Nanoseconds> place_free_;  ///< for each of the parallel places
    Nanoseconds link_free_ = 0;
    Nanoseconds busy_until_ = 0;
    std::uint64_t next_sector_ = 0;
    bool last_was_write_ = false;
    Observer observer_;
    double joules_ = 0;  ///< of all time before busy_until_
};

}  // namespace xenfs::sim
