#pragma once
// A small host for the end-to-end tests: dom0 with a disk and the server, a pool, and some guests
// with a client each. Tests are programs of guests; World::run() is the whole life of the host.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/client/client.h"
#include "model/server/server.h"
#include "sim/machine/child.h"
#include "sim/machine/machine.h"
#include "sim/storage/block_device.h"
#include "sim/storage/disk_driver.h"
#include "sim/storage/disk_parameters.h"
#include "sim/storage/volume.h"
#include "sim/storage/volume_storage.h"

namespace xenfs::sim::tests {

using client::Client;
using client::ClientConfig;
using files::Buffer;
using files::Handle;
using files::Name;
using files::OpenFlags;

inline constexpr Nanoseconds us = 1000, ms = 1'000'000, s = 1'000'000'000;

inline OpenFlags reading() {
    return {};
}
inline OpenFlags writing() {
    return {.read = true, .write = true};
}

struct WorldOptions {
    std::size_t guests = 2;
    std::uint64_t seed = 1;
    std::size_t guest_pages = 8192;  ///< memory of each guest
    CpuMode cpu = CpuMode::pinned;
    EventFaults event_faults;
    std::uint64_t quota = 4096;
    std::vector<std::uint32_t> trust_groups;  ///< by guest; where empty, all are of one group
    std::size_t grant_frames = 1024;          ///< pages of the pool's grant table, 512 entries each
    std::size_t pool_pages = 0;      ///< memory of the pool's domain; 0 for more than it needs
    Nanoseconds disk_latency = 0;    ///< of each request; 0 for an NVMe disk's
    bool own_server_domain = false;  ///< so that the server can be killed without the disk's driver
    server::Config server;
    ClientConfig client;

    /// Tests that name no transfer policy go through the one that chooses among all ways.
    WorldOptions() { client.transfer = "adaptive"; }
};

inline WorldOptions one_guest() {
    WorldOptions options;
    options.guests = 1;
    return options;
}

/// Makes all budgets so small that each limit is met all the time.
inline void tighten(WorldOptions& options) {
    options.client.mapping_budget = 24;
    options.client.own_budget = 16;
    options.client.release_batch = 8;
    options.client.entry_limit = 16;
    options.client.node_limit = 24;
    options.client.slots = 4;
    options.quota = 64;
    options.server.cache_pages = 256;
}

class World {
  public:
    explicit World(WorldOptions options = {})
        : options_(std::move(options)),
          simulation({.seed = options_.seed}),
          machine(simulation, machine_config()),
          dom0(machine.create_domain({.name = "dom0", .vcpus = 2, .memory_pages = 16384})),
          pool(machine.create_domain({.name = "pool",
                                      .memory_pages = options_.pool_pages != 0
                                                          ? options_.pool_pages
                                                          : options_.server.cache_pages + 65536,
                                      .grant_frames = options_.grant_frames,
                                      .populated = false})),
          server_domain(
              options_.own_server_domain
                  ? machine.create_domain({.name = "server", .vcpus = 2, .memory_pages = 1024})
                  : dom0),
          disk(disk_config()),
          driver(simulation, disk, DiskQueue::fcfs),
          partition(dom0.host(), driver, 0, volume_blocks),
          volume(volume_blocks),
          storage(dom0, volume, partition, MountOptions::from(machine.costs())),
          server_host(machine.server_view(server_domain, pool)),
          server(server_host, storage, options_.server) {
        for (std::size_t i = 0; i < options_.guests; ++i) {
            Domain& guest = machine.create_domain({.name = "guest" + std::to_string(i),
                                                   .vcpus = 2,
                                                   .memory_pages = options_.guest_pages});
            guests.push_back(&guest);
            ClientConfig config = options_.client;
            config.server = server_domain.id();
            clients.push_back(std::make_unique<Client>(guest.host(), config));
        }
        start_server();
        mounting_ = options_.guests;
        for (std::size_t i = 0; i < options_.guests; ++i) {
            guests[i]->spawn("mount", [this, i] {
                // The others would wait for it for ever.
                if (const int error = clients[i]->mount()) {
                    throw std::runtime_error("guest " + std::to_string(i) +
                                             " cannot mount: errno " + std::to_string(error));
                }
                --mounting_;
            });
        }
    }

    server::Server& current() { return next_server ? *next_server : server; }
    void start_server() {
        for (std::size_t i = 0; i < guests.size(); ++i) {
            server::Attachment offer{.guest = guests[i]->id(), .quota_pages = options_.quota};
            if (!options_.trust_groups.empty()) offer.trust_group = options_.trust_groups[i];
            EXPECT_EQ(current().attach(offer), 0);
        }
        server_domain.spawn("start", [this] { current().start(); });
    }
    bool all_mounted() const { return mounting_ == 0; }
    /// Kills the server as kill -9 does, from a task of another domain: it stops wherever it is.
    void kill_server() {
        current().abandon();
        machine.kill_process(server_domain.id());
        storage.server_died();
    }
    /// Starts a server over the pool that the killed one left.
    void restart_server() {
        next_server = std::make_unique<server::Server>(server_host, storage, options_.server);
        start_server();
    }

    /// Adds a program of guest i, which starts when all guests have mounted.
    void program(std::size_t i, std::function<void(Client&)> body) {
        ++programs_;
        guests[i]->spawn("program", [this, i, body = std::move(body)] {
            wait_until(i, [this] { return mounting_ == 0; });
            body(*clients[i]);
            --programs_;
        });
    }

    /// Blocks guest i's task until the condition holds, for programs that take turns.
    void wait_until(std::size_t i, const std::function<bool()>& condition) {
        Nanoseconds pause = 5 * us;
        for (int i_try = 0; !condition(); ++i_try) {
            guests[i]->host().clock().sleep(pause);
            if (i_try > 50) pause = std::min(pause + pause / 4, 1 * ms);
        }
    }

    /// Runs all programs to their end, then unmounts and checks that everything was given back.
    void run(bool orderly = true) {
        for (std::size_t i = 0; i < options_.guests; ++i) {
            guests[i]->spawn("unmount", [this, i, orderly] {
                wait_until(i, [this] { return programs_ == 0 && mounting_ == 0; });
                current().check();
                if (orderly) {
                    EXPECT_EQ(clients[i]->unmount(), 0);
                }
            });
        }
        simulation.run();
        if (!orderly) return;
        for (Domain* guest : guests) {
            EXPECT_EQ(guest->counters().bad_handles, 0u);
            EXPECT_EQ(guest->counters().file_frames, 0u) << guest->name() << " kept file data";
            EXPECT_EQ(current().charges(guest->id()).pinned, 0u) << guest->name();
        }
        EXPECT_EQ(machine.memory().mappings, ring_mappings) << "mappings were left behind";
    }

    static constexpr std::uint64_t volume_blocks = 1 << 18;
    static constexpr std::size_t ring_mappings = 0;

  private:
    DiskParameters disk_config() const {
        auto made = disk_parameters(CostModel::defaults(), "nvme", std::uint64_t{1} << 32);
        if (options_.disk_latency != 0) {
            made.latency_ns = made.sequential_latency_ns = options_.disk_latency;
        }
        return made;
    }
    MachineConfig machine_config() const {
        MachineConfig config;
        config.cores = 4;
        config.memory_pages = 1 << 20;
        config.cpu = options_.cpu;
        config.event_faults = options_.event_faults;
        return config;
    }

    WorldOptions options_;
    std::size_t mounting_ = 0;
    int programs_ = 0;

  public:
    Simulation simulation;
    Machine machine;
    Domain& dom0;
    Domain& pool;
    Domain& server_domain;
    Disk disk;
    DiskDriver driver;
    Partition partition;
    Volume volume;
    VolumeStorage storage;
    host::Host& server_host;
    server::Server server;                        ///< the first one; see current()
    std::unique_ptr<server::Server> next_server;  ///< after a kill
    std::vector<Domain*> guests;
    std::vector<std::unique_ptr<Client>> clients;
};

/// Steps of several guests, one after the other: each begins when the one before has returned.
class Script {
  public:
    explicit Script(World& world) : world_(world) {}

    void on(std::size_t guest, std::function<void(Client&)> step) {
        steps_.push_back({guest, std::move(step)});
    }
    /// Plays all steps and ends the world; see World::run().
    void play(bool orderly = true) {
        for (std::size_t i = 0; i < world_.guests.size(); ++i) {
            world_.program(i, [this, i](Client& client) {
                for (std::size_t k = 0; k < steps_.size(); ++k) {
                    if (steps_[k].guest != i) continue;
                    world_.wait_until(i, [this, k] { return next_ == k; });
                    steps_[k].body(client);
                    ++next_;
                }
            });
        }
        world_.run(orderly);
    }

  private:
    struct Step {
        std::size_t guest;
        std::function<void(Client&)> body;
    };
    World& world_;
    std::vector<Step> steps_;
    std::size_t next_ = 0;
};

// These are shorthands for programs. They expect success.

inline files::Opened create(Client& client, NodeId parent, const Name& name,
                            OpenFlags flags = writing()) {
    const auto made = client.create(parent, name, 0644, {}, flags);
    EXPECT_TRUE(made) << "create " << name.text << ": errno " << made.error();
    return *made;
}
inline NodeId lookup(Client& client, NodeId parent, const Name& name) {
    const auto found = client.lookup(parent, name);
    EXPECT_TRUE(found) << "lookup " << name.text << ": errno " << found.error();
    return *found;
}
inline int lookup_error(Client& client, NodeId parent, const Name& name) {
    return client.lookup(parent, name).error();
}
inline std::uint64_t size_of(Client& client, NodeId node) {
    const auto attr = client.getattr(node);
    EXPECT_TRUE(attr) << "getattr: errno " << attr.error();
    return attr->size;
}
/// Writes whole pages.
inline void write_pages(Client& client, Handle handle, std::uint64_t first,
                        std::vector<Fingerprint> data) {
    const auto written =
        client.write(handle, first * page_size, {nullptr, data.data(), data.size() * page_size});
    ASSERT_TRUE(written) << "write: errno " << written.error();
    ASSERT_EQ(*written, data.size() * page_size);
}
inline std::vector<Fingerprint> read_pages(Client& client, Handle handle, std::uint64_t first,
                                           std::size_t count) {
    std::vector<Fingerprint> data(count, 0xdead);
    const auto got =
        client.read(handle, first * page_size, {nullptr, data.data(), count * page_size});
    EXPECT_TRUE(got) << "read: errno " << got.error();
    data.resize((*got + page_size - 1) / page_size);
    return data;
}

}  // namespace xenfs::sim::tests
