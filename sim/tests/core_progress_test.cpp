// Whatever the order in which requests meet, nobody waits for who waits for him. Two guests with
// eight tasks each use the same few files, as an ordinary stress does, with room and without. All
// clients are honest, so no wait lasts until the server loses its patience with a client (1 s) or
// with a page (1.25 s): each is over as soon as those in front are served.
#include <array>
#include <random>

#include "model/conformance/seed.h"
#include "sim/machine/child.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {
namespace {

using files::FileLock;
using files::SetAttr;

constexpr Nanoseconds bound = 900 * ms;

class Stress {
  public:
    Stress(World& world, std::uint64_t seed, int steps) : world_(world), seed_(seed) {
        for (std::size_t task = 0; task < 16; ++task) {
            const std::size_t guest = task % 2;
            world_.program(guest, [this, task, steps](Client& client) {
                run(client, task, steps);
                ++done_;
            });
        }
        // If tasks waited for each other for ever, the clock would run on; this program then fails
        // the run.
        world_.program(0, [this](Client&) {
            while (done_ < 16) {
                world_.guests[0]->host().clock().sleep(20 * ms);
                for (const auto& [what, start] : under_way_) {
                    if (what == nullptr || world_.simulation.now() - start < 3 * bound) continue;
                    report();
                    std::_Exit(1);
                }
            }
        });
    }

    Nanoseconds longest() const { return longest_; }
    const std::string& what() const { return what_; }

  private:
    void report() const {
        for (std::size_t task = 0; task < under_way_.size(); ++task) {
            const auto& [what, start] = under_way_[task];
            std::printf("task %zu: %s since %lld of %lld ms\n", task,
                        what == nullptr ? "nothing" : what, static_cast<long long>(start / ms),
                        static_cast<long long>(world_.simulation.now() / ms));
        }
        const server::Stats& stats = world_.server.stats();
        std::printf("%llu acks timed out, %llu pages detached, %zu tasks done\n",
                    static_cast<unsigned long long>(stats.ack_timeouts),
                    static_cast<unsigned long long>(stats.detached), done_);
        std::fflush(stdout);
    }

    /// Runs one operation and notes how long it took.
    template <class Operation>
    auto timed(std::size_t task, const char* what, Operation&& operation) {
        const Nanoseconds start = world_.simulation.now();
        under_way_[task] = {what, start};
        auto result = operation();
        under_way_[task].first = nullptr;
        const Nanoseconds took = world_.simulation.now() - start;
        if (took > longest_) {
            longest_ = took;
            what_ = what;
        }
        return result;
    }

    void run(Client& client, std::size_t task, int steps) {
        std::mt19937_64 random(seed_ * 16 + task);
        const auto below = [&](std::uint64_t n) { return random() % n; };
        for (int step = 0; step < steps; ++step) {
            if (longest_ > bound) return;
            const std::string name = "f" + std::to_string(below(3));
            const std::uint64_t choice = below(20);
            if (choice == 0) {
                const std::string other = "f" + std::to_string(below(3));
                timed(task, "rename", [&] {
                    return client.rename(root_node, std::string_view(name), root_node,
                                         std::string_view(other), 0);
                });
                continue;
            }
            if (choice == 1) {
                timed(task, "unlink",
                      [&] { return client.unlink(root_node, std::string_view(name)); });
                continue;
            }
            OpenFlags flags = writing();
            flags.truncate = below(8) == 0;
            const auto opened = timed(task, "create", [&] {
                return client.create(root_node, std::string_view(name), 0644, {}, flags);
            });
            if (!opened) continue;
            for (std::uint64_t i = below(6); i > 0; --i) {
                use(client, *opened, task, random);
            }
            timed(task, "close", [&] { return client.close(opened->handle); });
        }
    }

    void use(Client& client, const files::Opened& file, std::size_t task, std::mt19937_64& random) {
        const auto below = [&](std::uint64_t n) { return random() % n; };
        const std::uint64_t pages = 1 + below(24);
        std::vector<Fingerprint> data(pages + 1, 1 + below(1000));
        const files::Buffer buffer{nullptr, data.data(), pages * page_size - below(2) * 100};
        const std::uint64_t offset = below(40) * page_size + below(2) * 700;
        switch (below(8)) {
            case 0:
            case 1:
            case 2:
                timed(task, "write",
                      [&] { return client.write(file.handle, offset, buffer).error(); });
                break;
            case 3:
            case 4:
                timed(task, "read",
                      [&] { return client.read(file.handle, offset, buffer).error(); });
                break;
            case 5: {
                SetAttr change;
                change.valid = SetAttr::size_;
                change.value.size = below(40 * page_size);
                timed(task, "truncate", [&] { return client.setattr(file.node, change).error(); });
                break;
            }
            case 6:
                timed(task, "fsync", [&] { return client.fsync(file.handle, false); });
                break;
            default: {
                FileLock lock{.start = below(3), .length = 1, .owner = task + 1};
                lock.type = below(2) == 0 ? FileLock::Type::shared : FileLock::Type::exclusive;
                const int got =
                    timed(task, "lock", [&] { return client.set_lock(file.handle, lock, true); });
                if (got != 0) break;
                timed(task, "write",
                      [&] { return client.write(file.handle, offset, buffer).error(); });
                lock.type = FileLock::Type::unlock;
                timed(task, "unlock", [&] { return client.set_lock(file.handle, lock, false); });
            }
        }
    }

    World& world_;
    const std::uint64_t seed_;
    Nanoseconds longest_ = 0;
    std::string what_;
    std::array<std::pair<const char*, Nanoseconds>, 16> under_way_{};
    std::size_t done_ = 0;
};

class CoreProgress : public testing::TestWithParam<unsigned> {};

TEST_P(CoreProgress, NoOperationWaitsForWhatWaitsForIt) {
    const std::uint64_t first = test_seed();
    for (std::uint64_t seed = first; seed < first + 12; ++seed) {
        const std::string outcome = run_in_child([&] {
            std::mt19937_64 random(seed);
            WorldOptions options;
            options.seed = seed;
            options.server.workers = GetParam();
            options.client.transfer = std::array{"adaptive", "copy", "map"}[random() % 3];
            if (random() % 2 == 0) options.client.slots = 8;
            if (random() % 2 == 0) tighten(options);
            World world(options);
            Stress stress(world, seed, 40);
            world.run();
            const server::Stats& stats = world.server.stats();
            const auto lost = stats.ack_timeouts + stats.detached;
            if (stress.longest() <= bound && lost == 0) return std::string("well");
            return stress.what() + " took " + std::to_string(stress.longest() / ms) + " ms, " +
                   std::to_string(lost) + " times the server lost its patience";
        });
        EXPECT_EQ(outcome, "well") << "XENFS_SEED=" << seed;
    }
}

INSTANTIATE_TEST_SUITE_P(Workers, CoreProgress, testing::Values(1u, 2u, 4u),
                         [](const auto& workers) { return std::to_string(workers.param); });

}  // namespace
}  // namespace xenfs::sim::tests
