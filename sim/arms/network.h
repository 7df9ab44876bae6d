#pragma once
// The virtual network of a host: netfront in each guest, netback and a bridge in dom0.

#include <functional>

#include "sim/machine/machine.h"

namespace xenfs::sim {

/// No wire limits a message between two domains of one host. It costs each side the CPU time of its
/// packets and of one copy of its bytes, and both copies go through the host's memory, whose
/// bandwidth all messages under way share. So the network is a link of the platform, with latency
/// and bandwidth, and a message is a transfer on it (SimGrid's activity).
///
/// Segmentation offload makes few large packets, and the first ones are on their way while the
/// sender copies the last ones. A message has therefore arrived one latency after the sender's CPU
/// is done with it, or when the link has moved its bytes, whichever is later: where the link is not
/// saturated, its bandwidth does not show.
///
/// A transfer takes SimGrid 3 to 4 us, as much as the rest of a small call takes the simulator. A
/// message of less than a page would hold the link for less than 2 % of its latency, so send() lets
/// it pass by latency alone.
///
/// Made before the run. The machine outlives it. A platform that is read from a file has the two
/// hosts `MACHINE/bridge-in` and `MACHINE/bridge-out`, and a route with the latency of the costs.
class VirtualNetwork {
  public:
    explicit VirtualNetwork(Machine& machine);

    /// CPU of one side for a message.
    Nanoseconds side_ns(std::uint64_t bytes) const {
        const std::uint64_t packets = bytes / payload_bytes_ + 1;
        return packet_ns_ * static_cast<Nanoseconds>(packets) +
               static_cast<Nanoseconds>(byte_ns_ * static_cast<double>(bytes));
    }

    /// In a task of `sender`: charges its CPU for the message and blocks until that has passed.
    /// `arrived` is called as an interrupt handler; the receiver pays its side itself.
    void send(Domain& sender, std::uint64_t bytes, std::function<void()> arrived);
    /// In a task or handler that must not block: the message leaves when the charges so far, which
    /// include the sender's side, have passed. Always a transfer.
    void post(std::uint64_t bytes, std::function<void()> arrived);

    /// The least message that shares the link, for send().
    static constexpr std::uint64_t least_shared_bytes = page_size;

  private:
    Simulation& simulation_;
    Endpoint in_, out_;  ///< every message enters the bridge at the one and leaves it at the other
    Nanoseconds packet_ns_, latency_ns_;
    double byte_ns_;
    std::uint64_t payload_bytes_;
};

}  // namespace xenfs::sim
