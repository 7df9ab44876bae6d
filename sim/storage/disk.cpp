#include "sim/storage/disk.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace xenfs::sim {
namespace {

constexpr Nanoseconds second_ns = 1'000'000'000;

double joules(double watts, Nanoseconds time_ns) {
    return watts * (static_cast<double>(time_ns) / second_ns);
}

Nanoseconds transfer_ns(std::uint64_t bytes, std::uint64_t bytes_per_s) {
    // Whole seconds apart, so that the product below stays within 64 bits for any length.
    const std::uint64_t seconds = bytes / bytes_per_s;
    const std::uint64_t rest = bytes % bytes_per_s;
    return static_cast<Nanoseconds>(seconds * second_ns + rest * second_ns / bytes_per_s);
}

}  // namespace

Disk::Disk(DiskParameters parameters) : parameters_(std::move(parameters)) {
    assert(parameters_.sectors > 0 && parameters_.parallel > 0);
    assert(parameters_.read_bytes_per_s > 0 && parameters_.write_bytes_per_s > 0);
    place_free_.assign(parameters_.parallel, 0);
}

Nanoseconds Disk::free_at() const {
    return *std::min_element(place_free_.begin(), place_free_.end());
}

Nanoseconds Disk::serve(Nanoseconds now, const DiskRequest& request) {
    assert(request.sectors > 0 && request.first_sector + request.sectors <= parameters_.sectors);
    const auto place = std::min_element(place_free_.begin(), place_free_.end());
    const Nanoseconds awake = now >= busy_until_ ? wake(now) : now;
    const Nanoseconds start = std::max(awake, *place);
    stats_.queue_ns += static_cast<std::uint64_t>(start - now);

    const bool sequential =
        request.first_sector == next_sector_ && request.write == last_was_write_;
    Nanoseconds positioned = start;
    if (sequential) {
        ++stats_.sequential;
        positioned += parameters_.sequential_latency_ns;
    } else {
        positioned += parameters_.latency_ns;
        positioned += mechanics_ns(positioned, request);
    }
    const std::uint64_t bytes = request.sectors * sector_bytes;
    const std::uint64_t rate =
        request.write ? parameters_.write_bytes_per_s : parameters_.read_bytes_per_s;
    const Nanoseconds done = std::max(positioned, link_free_) + transfer_ns(bytes, rate);

    (request.write ? stats_.writes : stats_.reads) += 1;
    (request.write ? stats_.written_bytes : stats_.read_bytes) += bytes;
    *place = done;
    if (observer_) {
        observer_(request, static_cast<std::size_t>(place - place_free_.begin()), start, done);
    }
    link_free_ = done;
    next_sector_ = request.first_sector + request.sectors;
    last_was_write_ = request.write;
    // Busy from the end of what was known to be busy, or from now.
    const Nanoseconds busy_from = std::max(busy_until_, awake);
    if (done > busy_from) {
        stats_.busy_ns += static_cast<std::uint64_t>(done - busy_from);
        joules_ += joules(parameters_.active_watts, done - busy_from);
        busy_until_ = done;
    }
    return done;
}

/// Ends the idle time that lasts since busy_until_; when the platters turn again.
Nanoseconds Disk::wake(Nanoseconds now) {
    const Nanoseconds idle = now - busy_until_;
    joules_ += idle_joules(idle);
    busy_until_ = now;
    if (parameters_.spin_down_after_ns == 0 || idle <= parameters_.spin_down_after_ns) return now;
    // A spin-down under way is finished first.
    const Nanoseconds stopped_at =
        now - idle + parameters_.spin_down_after_ns + parameters_.spin_down_ns;
    const Nanoseconds stop_rest = std::max<Nanoseconds>(0, stopped_at - now);
    joules_ += joules(parameters_.spin_down_watts, stop_rest);
    joules_ += joules(parameters_.spin_up_watts, parameters_.spin_up_ns);
    ++stats_.spin_ups;
    busy_until_ = now + stop_rest + parameters_.spin_up_ns;
    return busy_until_;
}

double Disk::idle_joules(Nanoseconds idle) const {
    if (parameters_.spin_down_after_ns == 0 || idle <= parameters_.spin_down_after_ns) {
        return joules(parameters_.idle_watts, idle);
    }
    const Nanoseconds after = idle - parameters_.spin_down_after_ns;
    const Nanoseconds stopping = std::min(after, parameters_.spin_down_ns);
    return joules(parameters_.idle_watts, parameters_.spin_down_after_ns) +
           joules(parameters_.spin_down_watts, stopping) +
           joules(parameters_.standby_watts, after - stopping);
}

/// Seek and rotation, for an arm that may leave at `start`.
Nanoseconds Disk::mechanics_ns(Nanoseconds start, const DiskRequest& request) {
    if (parameters_.rotation_ns == 0 && parameters_.seek_max_ns == 0) return 0;
    ++stats_.seeks;
    Nanoseconds seek = 0;
    std::uint64_t track_sectors = parameters_.sectors;
    if (parameters_.rotation_ns > 0) {
        // What passes under the head in one turn at the read rate is a track.
        track_sectors = std::max<std::uint64_t>(
            1, parameters_.read_bytes_per_s * static_cast<std::uint64_t>(parameters_.rotation_ns) /
                   second_ns / sector_bytes);
    }
    if (request.first_sector / track_sectors != next_sector_ / track_sectors) {
        const std::uint64_t distance = request.first_sector > next_sector_
                                           ? request.first_sector - next_sector_
                                           : next_sector_ - request.first_sector;
        const double fraction =
            static_cast<double>(distance) / static_cast<double>(parameters_.sectors);
        const auto range = static_cast<double>(parameters_.seek_max_ns - parameters_.seek_min_ns);
        seek = parameters_.seek_min_ns + static_cast<Nanoseconds>(range * std::sqrt(fraction));
    }
    if (parameters_.rotation_ns == 0) return seek;
    const Nanoseconds turn = parameters_.rotation_ns;
    const auto target = static_cast<Nanoseconds>(request.first_sector % track_sectors *
                                                 static_cast<std::uint64_t>(turn) / track_sectors);
    const Nanoseconds arrival = (start + seek) % turn;
    return seek + (target - arrival + turn) % turn;
}

double Disk::energy_joules(Nanoseconds now) const {
    if (now >= busy_until_) return joules_ + idle_joules(now - busy_until_);
    return joules_ - joules(parameters_.active_watts, busy_until_ - now);
}

}  // namespace xenfs::sim
