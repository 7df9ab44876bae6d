#pragma once
// The virtual network between a guest and dom0 (netfront, netback), as costs and a delay.

#include "sim/costs/cost_model.h"

namespace xenfs::sim {

/// Segmentation offload makes few large packets; each costs both sides a fixed part and its bytes.
struct NetworkPrices {
    Nanoseconds packet_ns = 0, latency_ns = 0;
    double byte_ns = 0;
    std::uint64_t payload_bytes = 1;

    explicit NetworkPrices(const CostModel& costs)
        : packet_ns(costs.time("net.packet")),
          latency_ns(costs.time("net.latency")),
          byte_ns(costs.value("net.byte")),
          payload_bytes(costs.count("net.packet_payload")) {}

    /// CPU of one side for a message.
    Nanoseconds side_ns(std::uint64_t bytes) const {
        const std::uint64_t packets = bytes / payload_bytes + 1;
        return packet_ns * static_cast<Nanoseconds>(packets) +
               static_cast<Nanoseconds>(byte_ns * static_cast<double>(bytes));
    }
};

}  // namespace xenfs::sim
