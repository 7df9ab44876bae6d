// Messages on the virtual network: one alone takes what CPU and latency say, many share the link.
#include "sim/arms/network.h"

#include <gtest/gtest.h>

#include <vector>

namespace xenfs::sim {
namespace {

struct Rig {
    explicit Rig(unsigned guests, CostModel costs = CostModel::defaults())
        : machine(simulation, {.memory_pages = 1 << 16, .costs = std::move(costs)}),
          network(machine) {
        for (unsigned i = 0; i < guests; ++i) {
            senders.push_back(&machine.create_domain({.name = "guest" + std::to_string(i)}));
        }
    }
    /// Each guest sends a message of so many bytes at once; the times of arrival.
    std::vector<Nanoseconds> all_send(std::uint64_t bytes) {
        std::vector<Nanoseconds> times;
        for (Domain* sender : senders) {
            sender->spawn("sends", [this, sender, bytes, &times] {
                const auto gate = sender->host().tasks().make_gate();
                bool arrived = false;
                network.send(*sender, bytes, [&] {
                    times.push_back(simulation.now());
                    arrived = true;
                    gate->wake_all();
                });
                while (!arrived) gate->wait();
            });
        }
        simulation.run();
        return times;
    }
    Simulation simulation;
    Machine machine;
    VirtualNetwork network;
    std::vector<Domain*> senders;
};

class OneMessage : public testing::TestWithParam<std::uint64_t> {};

TEST_P(OneMessage, TakesTheSendersWorkAndTheLatency) {
    Rig rig(1);
    const Nanoseconds formula =
        rig.network.side_ns(GetParam()) + rig.machine.costs().time("net.latency");
    EXPECT_EQ(rig.all_send(GetParam()), std::vector<Nanoseconds>{formula});
}
INSTANTIATE_TEST_SUITE_P(Sizes, OneMessage,
                         testing::Values(150, 4'095, 4'096, 65'536, 262'300, 1'048'576));

TEST(VirtualNetwork, FewSendersDoNotFillTheLink) {
    Rig rig(2);
    const Nanoseconds alone =
        rig.network.side_ns(1 << 20) + rig.machine.costs().time("net.latency");
    EXPECT_EQ(rig.all_send(1 << 20), (std::vector<Nanoseconds>{alone, alone}));
}

TEST(VirtualNetwork, ManySendersShareTheLink) {
    Rig rig(8);
    const double link = rig.machine.costs().value("net.bandwidth");
    const auto expected = rig.machine.costs().time("net.latency") +
                          static_cast<Nanoseconds>(8.0 * (1 << 20) / link * 1e9);
    const auto times = rig.all_send(1 << 20);
    ASSERT_EQ(times.size(), 8u);
    for (const Nanoseconds time : times) EXPECT_NEAR(time, expected, 10);
    EXPECT_GT(expected, 2 * rig.network.side_ns(1 << 20));
}

TEST(VirtualNetwork, ASlowLinkShowsInOneMessage) {
    CostModel costs = CostModel::defaults();
    costs.set("net.bandwidth", "5000 MiB/s");
    Rig rig(1, costs);
    EXPECT_EQ(rig.all_send(1 << 20),
              std::vector<Nanoseconds>{rig.machine.costs().time("net.latency") + 200'000});
}

/// A posted message is a transfer whatever its size: its bytes take their time after the latency.
TEST(VirtualNetwork, APostedMessageLeavesWhenTheChargesHavePassed) {
    Rig rig(1);
    Domain& sender = *rig.senders[0];
    Nanoseconds at = 0;
    sender.spawn("posts", [&] {
        sender.host().clock().charge(5'000);
        rig.network.post(200, [&] { at = rig.simulation.now(); });
        sender.host().clock().sleep(100'000);
    });
    rig.simulation.run();
    const Nanoseconds former = 5'000 + rig.machine.costs().time("net.latency");
    EXPECT_GE(at, former);
    EXPECT_LE(at, former + former / 500);  // 0.2 %
}

}  // namespace
}  // namespace xenfs::sim
