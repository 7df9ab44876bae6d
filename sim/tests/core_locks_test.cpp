// Locks of two guests with eight tasks each, over rings with few slots, step by step against an
// oracle of Linux's rules: who gets what, who waits, in which order waits are granted, and which
// wait is refused with EDEADLK. In some variants the server is killed meanwhile.
#include <map>
#include <random>

#include "model/conformance/seed.h"
#include "sim/tests/core_world.h"
#include "sim/tests/lock_oracle.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using files::FileLock;
using Type = FileLock::Type;
using Wanted = LockOracle::Wanted;

constexpr std::size_t tasks = LockOracle::owners, tasks_a_guest = 8;
constexpr int pending = -1;

struct Variant {
    const char* name;
    std::uint32_t slots = 4;
    bool kills = false;
    double lost_events = 0;
};

void PrintTo(const Variant& variant, std::ostream* out) {
    *out << variant.name;
}

/// What a task is to do next, and how its present wait goes.
struct Task {
    std::function<void(Client&)> todo;
    std::array<Handle, LockOracle::files> handles{};
    client::LockTicket ticket = 0;  ///< of the present wait; 0: its task blocks in it
    int result = pending;
    bool waits = false;  ///< the oracle says so
    Wanted wanted;       ///< for what
};

class Locking {
  public:
    Locking(World& world, const Variant& variant, std::uint64_t seed)
        : world_(world), variant_(variant), random_(seed) {
        for (std::size_t i = 0; i < tasks; ++i) {
            world.program(i / tasks_a_guest, [this, i](Client& c) { run(c, i); });
        }
        for (std::size_t guest = 0; guest < closers_.size(); ++guest) {
            world.program(guest, [this, guest](Client& c) { serve(c, guest, closers_[guest]); });
        }
        world.dom0.spawn(
            "controller", [this] { control(); }, true);
    }
    std::map<std::string, int> seen;  ///< what has happened how often

  private:
    static std::array<LockOracle::World, tasks> worlds() {
        std::array<LockOracle::World, tasks> made{};
        for (std::size_t i = 0; i < tasks; ++i) {
            made[i] = i % 8 == 6   ? LockOracle::World::open_file
                      : i % 8 == 7 ? LockOracle::World::whole_file
                                   : LockOracle::World::process;
        }
        return made;
    }
    std::uint64_t below(std::uint64_t n) { return random_() % n; }

    void run(Client& c, std::size_t i) {
        Task& me = all_[i];
        const std::size_t guest = i / tasks_a_guest;
        if (i == 0) {
            for (const auto name : {"f0"sv, "f1"sv})
                EXPECT_EQ(c.close(create(c, root_node, name).handle), 0);
            made_ = true;
        }
        world_.wait_until(guest, [this] { return made_; });
        for (std::size_t f = 0; f < me.handles.size(); ++f) {
            me.handles[f] = *c.open(lookup(c, root_node, f == 0 ? "f0"sv : "f1"sv), writing());
        }
        ++ready_;
        serve(c, guest, me.todo);
        for (const Handle handle : me.handles) EXPECT_EQ(c.close(handle), 0);
    }
    /// Does what is asked for until the test is over.
    void serve(Client& c, std::size_t guest, std::function<void(Client&)>& todo) {
        for (;;) {
            world_.wait_until(guest, [&] { return todo || over_; });
            if (over_) return;
            std::exchange(todo, nullptr)(c);
        }
    }

    FileLock lock_of(const Wanted& wanted) const {
        FileLock lock;
        lock.start = wanted.first;
        lock.length = wanted.last == LockOracle::bytes - 1 ? 0 : wanted.last - wanted.first + 1;
        lock.owner = 100 + wanted.owner;
        lock.pid = static_cast<std::uint32_t>(wanted.owner);
        lock.type = wanted.type;
        lock.whole_file = worlds_[wanted.owner] == LockOracle::World::whole_file;
        lock.ofd = worlds_[wanted.owner] == LockOracle::World::open_file;
        return lock;
    }
    Wanted draw(std::size_t owner) {
        Wanted wanted{owner, below(LockOracle::files), below(LockOracle::bytes),
                      below(LockOracle::bytes), static_cast<Type>(below(3))};
        if (wanted.first > wanted.last) std::swap(wanted.first, wanted.last);
        if (worlds_[owner] == LockOracle::World::whole_file || below(8) == 0) {
            wanted.first = 0;
            wanted.last = LockOracle::bytes - 1;
        }
        // A client claims its exclusive lock until it knows that it has become weaker. If the
        // server dies after it has told others and before it has told this client, the claims
        // conflict.
        if (variant_.kills && wanted.type == Type::shared) wanted.type = Type::exclusive;
        return wanted;
    }

    void control() {
        auto& clock = world_.dom0.host().clock();
        while (ready_ < tasks) clock.sleep(ms);
        const int steps = variant_.lost_events > 0 ? 150 : 2000;
        for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
            SCOPED_TRACE("step " + std::to_string(step));
            one_step(below(tasks));
        }
        for (std::size_t i = 0; i < tasks; ++i) {
            for (std::size_t f = 0; f < LockOracle::files; ++f) close_file(i, f);
        }
        EXPECT_EQ(oracle_.waits(), 0u);
        over_ = true;
    }

    /// Lets all guests come to rest; kills the server first in some steps of some variants.
    void settle() {
        auto& clock = world_.dom0.host().clock();
        if (variant_.kills && below(6) == 0) {
            clock.sleep(static_cast<Nanoseconds>(below(60)) * us);
            world_.kill_server();
            clock.sleep(static_cast<Nanoseconds>(below(ms)));
            world_.restart_server();
            ++seen["kill"];
            clock.sleep(300 * ms);
        }
        clock.sleep(variant_.lost_events > 0 ? 200 * ms : 4 * ms);
    }
    void expect_grants() {
        for (const std::size_t owner : oracle_.grant()) {
            EXPECT_EQ(all_[owner].result, 0) << "task " << owner << " should have been granted";
            all_[owner].waits = false;
            ++seen["granted later"];
        }
        for (std::size_t i = 0; i < tasks; ++i) {
            if (!all_[i].waits) continue;
            EXPECT_EQ(all_[i].result, pending) << "task " << i << " should wait";
        }
    }
    /// Another task of the guest closes one of the files, and opens it again: the locks that were
    /// taken through it end, and so does a wait.
    void close_file(std::size_t i, std::size_t file) {
        Task& task = all_[i];
        closers_[i / tasks_a_guest] = [&task, file](Client& c) {
            EXPECT_EQ(c.close(task.handles[file]), 0);
            task.handles[file] =
                *c.open(lookup(c, root_node, file == 0 ? "f0"sv : "f1"sv), writing());
        };
        settle();
        if (task.waits && task.wanted.file == file) {
            EXPECT_EQ(task.result, EBADF);
            oracle_.cancel(i);
            task.waits = false;
            ++seen["closed while it waited"];
        }
        oracle_.take({i, file, 0, LockOracle::bytes - 1, Type::unlock});
        expect_grants();
    }

    void one_step(std::size_t i) {
        if (all_[i].waits && below(2) == 0) return cancel(i);
        if (all_[i].waits || below(20) == 0) return close_file(i, below(LockOracle::files));
        if (below(5) == 0) return probe(draw(i));
        // Where the server is killed, waits of one guest keep their order, and others have none.
        const bool may_wait = !variant_.kills || i < tasks_a_guest;
        act(draw(i), may_wait && below(4) != 0);
    }

    void cancel(std::size_t i) {
        if (all_[i].ticket == 0) return;  // its task blocks in it
        all_[i].todo = [ticket = all_[i].ticket](Client& c) { c.cancel_lock(ticket); };
        settle();
        EXPECT_EQ(all_[i].result, EINTR);
        oracle_.cancel(i);
        all_[i].waits = false;
        ++seen["cancelled"];
        expect_grants();
    }

    void act(const Wanted& wanted, bool wait) {
        Task& task = all_[wanted.owner];
        const bool conflict = oracle_.conflicts(wanted);
        const bool deadlock = conflict && wait && oracle_.would_deadlock(wanted);
        const bool blocks = wait && below(2) == 0;
        const FileLock lock = lock_of(wanted);
        const Handle handle = task.handles[wanted.file];
        task.result = pending;
        task.ticket = 0;
        task.todo = [&task, lock, handle, wait, blocks](Client& c) {
            if (!wait || blocks) {
                task.result = c.set_lock(handle, lock, wait);
            } else {
                task.ticket = c.set_lock(handle, lock, [&task](int error) { task.result = error; });
            }
        };
        settle();
        if (!conflict) {
            EXPECT_EQ(task.result, 0);
            oracle_.take(wanted);
            ++seen[wanted.type == Type::unlock ? "unlocked" : "granted at once"];
        } else if (!wait) {
            EXPECT_EQ(task.result, EAGAIN);
            ++seen["refused"];
        } else if (deadlock) {
            EXPECT_EQ(task.result, EDEADLK);
            ++seen["deadlock"];
        } else {
            EXPECT_EQ(task.result, pending);
            oracle_.wait(wanted);
            task.waits = true;
            task.wanted = wanted;
            ++seen["waits"];
            if (worlds_[wanted.owner] == LockOracle::World::open_file) ++seen["open file waits"];
        }
        expect_grants();
    }

    /// F_GETLK: it finds a whole lock of somebody who stands in the way.
    void probe(Wanted wanted) {
        if (wanted.type == Type::unlock) wanted.type = Type::exclusive;
        FileLock found;
        int error = pending;
        all_[wanted.owner].todo = [&, lock = lock_of(wanted),
                                   handle = all_[wanted.owner].handles[wanted.file]](Client& c) {
            const auto got = c.get_lock(handle, lock);
            if (got) found = *got;
            error = got ? 0 : got.error();
        };
        settle();
        ASSERT_EQ(error, 0);
        ASSERT_EQ(found.type != Type::unlock, oracle_.conflicts(wanted));
        ++seen["probed"];
        if (found.type == Type::unlock) return;
        ASSERT_LT(found.pid, tasks);
        ASSERT_TRUE(oracle_.stands_in_the_way(found.pid, wanted));
        const std::size_t last =
            found.length == 0 ? LockOracle::bytes - 1 : found.start + found.length - 1;
        for (std::size_t i = 0; i < LockOracle::bytes; ++i) {
            const bool inside = found.start <= i && i <= last;
            const bool beside = i + 1 == found.start || i == last + 1;
            const bool same = oracle_.held(wanted.file, found.pid, i) == found.type;
            if (inside) {
                EXPECT_TRUE(same) << "byte " << i;
            } else if (beside) {
                EXPECT_FALSE(same) << "byte " << i << ": neighbours are one lock";
            }
        }
    }

    World& world_;
    const Variant variant_;
    std::mt19937_64 random_;
    const std::array<LockOracle::World, tasks> worlds_ = worlds();
    LockOracle oracle_{worlds_};
    std::array<Task, tasks> all_{};
    std::array<std::function<void(Client&)>, tasks / tasks_a_guest> closers_;
    std::size_t ready_ = 0;
    bool made_ = false, over_ = false;
};

class CoreLockRules : public testing::TestWithParam<Variant> {};

TEST_P(CoreLockRules, AreLinuxs) {
    const Variant& variant = GetParam();
    const std::uint64_t seed = test_seed();
    WorldOptions options;
    options.seed = seed;
    options.client.slots = variant.slots;
    options.event_faults.lost = options.event_faults.doubled = variant.lost_events;
    if (variant.lost_events > 0) options.client.event_timeout = 2 * ms;
    if (variant.kills) {
        options.own_server_domain = true;
        options.server.recovery = true;
        options.server.resume_grace = 2 * s;
        options.client.transfer = "map";
    }
    World world(options);
    Locking locking(world, variant, seed);
    world.run();
    for (const auto& [what, times] : locking.seen) std::printf("%s: %d\n", what.c_str(), times);
    if (variant.kills) {
        EXPECT_GT(locking.seen["kill"], 5);
    }
    if (variant.kills || variant.lost_events > 0) return;  // these take fewer steps
    for (const char* what :
         {"granted later", "granted at once", "unlocked", "refused", "deadlock", "waits",
          "open file waits", "cancelled", "closed while it waited", "probed"}) {
        EXPECT_GT(locking.seen[what], 0) << what;
    }
}

INSTANTIATE_TEST_SUITE_P(Rings, CoreLockRules,
                         testing::Values(Variant{"few_slots"}, Variant{"two_slots", 2},
                                         Variant{"many_slots", 64},
                                         Variant{"lost_events", 4, false, 0.1},
                                         Variant{"kills", 4, true}),
                         [](const auto& variant) { return std::string(variant.param.name); });

}  // namespace
}  // namespace xenfs::sim::tests
