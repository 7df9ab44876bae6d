// One scenario and seed give one history in any process. A random program of three guests
// and a server runs in processes of their own (started anew, so that addresses differ too), and the
// hashes of its log are compared.
#include <gtest/gtest.h>
#include <xxhash.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "model/conformance/seed.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {
namespace {

class Program {
  public:
    explicit Program(std::uint64_t seed)
        : simulation_({.seed = seed}), machine_(simulation_, config()) {}

    std::uint64_t run() {
        Domain& dom0 = machine_.create_domain({.name = "dom0", .user_space = true});
        Domain& pool =
            machine_.create_domain({.name = "pool", .memory_pages = 2000, .populated = false});
        host::Host& server = machine_.server_view(dom0, pool);
        auto wake = server.tasks().make_gate();
        for (int g = 0; g < 3; ++g) {
            Domain& guest =
                machine_.create_domain({.name = "guest", .vcpus = 2, .memory_pages = 500});
            const Port offered = *server.events().allocate_unbound(guest.id());
            const Port port = *guest.host().events().bind(dom0.id(), offered);
            server.events().on_event(offered, [&, g] {
                note(0x100 + static_cast<std::uint64_t>(g));
                wake->wake_all();
            });
            for (int t = 0; t < 4; ++t) {
                guest.spawn("task", [&, port, g, t] {
                    life(guest, server, port,
                         static_cast<std::uint64_t>(g) * 4 + static_cast<std::uint64_t>(t));
                });
            }
        }
        dom0.spawn(
            "server",
            [&] {
                for (;;) {
                    note(wake->wait(50'000) ? 1 : 2);
                    server.clock().charge(1234);
                }
            },
            true);
        simulation_.every(333'333, [&] { note(machine_.memory().unique); });
        simulation_.run();
        note(machine_.memory().unique_peak);
        note(static_cast<std::uint64_t>(machine_.core_busy_ns()));
        return XXH3_64bits(log_.data(), log_.size() * sizeof log_[0]);
    }
    std::size_t length() const { return log_.size(); }

  private:
    static MachineConfig config() {
        MachineConfig config;
        config.cores = 2;
        config.cpu = CpuMode::contended;
        config.count_unique = true;
        config.memory_pages = 8000;
        config.event_faults = {.lost = 0.1, .doubled = 0.1};
        return config;
    }

    void note(std::uint64_t what) {
        log_.push_back(static_cast<std::uint64_t>(simulation_.now()));
        log_.push_back(what);
    }

    void life(Domain& domain, host::Host& server, Port port, std::uint64_t number) {
        std::mt19937_64 random(simulation_.stream_seed("task " + std::to_string(number)));
        host::Host& host = domain.host();
        for (int step = 0; step < 400; ++step) {
            const auto draw = random() % 6;
            note(number << 32 | draw);
            if (draw == 0) {
                host.clock().sleep(static_cast<Nanoseconds>(random() % 20'000));
            } else if (draw == 1) {
                host.clock().charge(static_cast<Nanoseconds>(random() % 5'000));
                host.clock().flush();
            } else if (draw == 2) {
                host.events().notify(port);
            } else if (draw == 3) {
                note(static_cast<std::uint64_t>(host.store().write(
                    "/local/domain/" + std::to_string(domain.id()) + "/x", std::to_string(step))));
            } else {
                share(host, server, random() % 50);
            }
        }
    }

    void share(host::Host& host, host::Host& server, Fingerprint content) {
        Frame frame = no_frame;
        if (server.frames().allocate({&frame, 1}) != 1) return note(3);
        const host::Piece piece{host::Page::of_frame(frame), 0, page_size, 0};
        server.memory().store({&piece, 1}, {nullptr, &content, page_size});
        GrantRef reference = no_grant;
        if (server.grants().grant(host.self(), {&frame, 1}, Access::read, {&reference, 1}) == 1) {
            MapHandle handle = no_handle;
            GrantStatus status{};
            host.grants().map(server.granter(), {&reference, 1}, Access::read, {&handle, 1},
                              {&status, 1});
            note(handle);
            host.clock().flush();
            host.grants().unmap({&handle, 1});
            server.grants().revoke({&reference, 1}, {&status, 1});
            note(static_cast<std::uint64_t>(status) << 32 | reference);
        }
        server.frames().release({&frame, 1});
    }

    Simulation simulation_;
    Machine machine_;
    std::vector<std::uint64_t> log_;
};

constexpr const char* child_variable = "XENFS_DETERMINISM_SEED";

/// This is the child's part, which prints the hash. It does nothing when run by itself.
TEST(Determinism, Child) {
    const char* const seed = std::getenv(child_variable);
    if (seed == nullptr) GTEST_SKIP() << "run by Determinism.EveryProcessHasTheSameHistory";
    Program program(std::strtoull(seed, nullptr, 0));
    const std::uint64_t hash = program.run();
    std::printf("story %016llx %zu\n", static_cast<unsigned long long>(hash), program.length());
}

std::string history_in_new_process(std::uint64_t seed, const std::string& environment) {
    const std::string command = environment + " " + child_variable + "=" + std::to_string(seed) +
                                " " + std::filesystem::read_symlink("/proc/self/exe").string() +
                                " --gtest_filter=Determinism.Child 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "r");
    std::string story;
    std::array<char, 4096> line;
    while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
        if (std::string_view(line.data()).starts_with("story ")) story = line.data();
    }
    EXPECT_EQ(::pclose(pipe), 0);
    return story;
}

TEST(Determinism, EveryProcessHasTheSameHistory) {
    const std::uint64_t seed = test_seed();
    const std::string first = history_in_new_process(seed, "");
    ASSERT_FALSE(first.empty());
    EXPECT_GT(std::stoul(first.substr(23)), 5000u) << "a story of some length: " << first;
    for (const char* environment : {"", "", "MALLOC_PERTURB_=85", "LC_ALL=de_DE.UTF-8"}) {
        EXPECT_EQ(history_in_new_process(seed, environment), first) << environment;
    }
    EXPECT_NE(history_in_new_process(seed + 1, ""), first);
}

}  // namespace
}  // namespace xenfs::sim
