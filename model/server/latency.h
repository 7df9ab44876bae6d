#pragma once
// How long requests took, as a histogram that costs nothing to keep: log-linear, four steps to the
// doubling, so that a percentile is at most 25 % too high.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "model/host/types.h"

namespace xenfs::server {

class LatencyHistogram {
  public:
    void add(Nanoseconds latency_ns) {
        ++counts_[bucket(latency_ns)];
        ++total_;
        sum_ns_ += latency_ns;
    }
    std::uint64_t count() const { return total_; }
    Nanoseconds sum_ns() const { return sum_ns_; }
    /// The upper edge of the bucket in which that share (0 … 1) of the requests ends; 0: none yet.
    Nanoseconds percentile_ns(double share) const {
        const double wanted = share * static_cast<double>(total_);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen != 0 && static_cast<double>(seen) >= wanted) return upper_ns(i);
        }
        return 0;
    }

    /// Buckets of [0, 256 ns), then four to the doubling; the last one takes all that is longer.
    static constexpr std::size_t buckets = 1 + 4 * 28;
    static std::size_t bucket(Nanoseconds latency_ns) {
        if (latency_ns < 256) return 0;
        const auto value = static_cast<std::uint64_t>(latency_ns);
        const auto doubling = static_cast<std::size_t>(std::bit_width(value)) - 1;  // ≥ 8
        const std::size_t step = (value >> (doubling - 2)) & 3;
        const std::size_t index = 1 + 4 * (doubling - 8) + step;
        return index < buckets ? index : buckets - 1;
    }
    static Nanoseconds upper_ns(std::size_t index) {
        if (index == 0) return 256;
        const std::size_t doubling = 8 + (index - 1) / 4, step = (index - 1) % 4;
        return (Nanoseconds{4} + static_cast<Nanoseconds>(step) + 1) << (doubling - 2);
    }

  private:
    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t total_ = 0;
    Nanoseconds sum_ns_ = 0;
};

/// Requests of one kind: what an administrator tells apart.
enum class RequestKind : std::uint8_t { names, attributes, open, read, write, sync, other };
inline constexpr std::array request_kind_names{"names", "attributes", "open", "read",
                                               "write", "sync",       "other"};

/// From taking a request off the ring to its reply; waits for locks are not counted.
using Latencies = std::array<LatencyHistogram, request_kind_names.size()>;

}  // namespace xenfs::server
