// Random changes by dom0 among the guests' operations, held against oracles.
#include <set>

#include "model/conformance/seed.h"
#include "sim/tests/core_checker.h"
#include "sim/tests/host_files.h"

namespace xenfs::sim::tests {
namespace {

/// What both tests have in common: dom0's programs, and the moments at which all is at rest.
class HostWorld {
  public:
    explicit HostWorld(const WorldOptions& options)
        : world(options), host(world.storage, world.dom0.host().clock()) {
        sync_.resize(options.guests);
    }

    /// A program of dom0; it ends with the guests' programs.
    void program(std::function<void()> body) {
        world.dom0.spawn("editor", [this, body = std::move(body)] {
            wait([this] { return world.all_mounted(); });
            body();
            host_done = true;
        });
    }
    void wait(const std::function<bool()>& condition) {
        while (!condition()) world.dom0.host().clock().sleep(20 * us);
    }
    void settle() {
        wait([this] {
            return world.storage.events_told() && world.server.outside_changes_settled();
        });
    }
    /// Everything that guests have written is in the storage.
    void sync_guests() {
        std::fill(sync_.begin(), sync_.end(), true);
        wait([this] { return std::find(sync_.begin(), sync_.end(), true) == sync_.end(); });
    }
    /// A guest's program calls this whenever it has nothing else to do.
    void sync_if_asked(std::size_t guest, Client& client) {
        if (!sync_[guest]) return;
        EXPECT_EQ(client.sync(), 0);
        sync_[guest] = false;
    }

    World world;
    HostFiles host;
    bool host_done = false;

  private:
    std::vector<bool> sync_;
};

struct Variant {
    const char* transfer;
    const char* dedup;
    bool leases = true;
    bool tight = false;
};

std::string name_of(const Variant& v) {
    return std::string(v.transfer) + "_" + v.dedup + (v.leases ? "" : "_noleases") +
           (v.tight ? "_tight" : "");
}

void PrintTo(const Variant& variant, std::ostream* out) {
    *out << name_of(variant);
}

WorldOptions options_of(const Variant& v, std::uint64_t seed) {
    WorldOptions options;
    options.seed = seed;
    options.client.transfer = v.transfer;
    options.server.dedup = v.dedup;
    options.server.scan_sleep = 1 * ms;
    options.server.leases = v.leases;
    options.server.dirty_expire = 5 * ms;
    if (v.tight) tighten(options);
    return options;
}

/// dom0 takes its turns in a walk of two guests. What guests have written is synced before each of
/// its steps, since it looks at the storage; afterwards everybody agrees on every answer.
void walk(const Variant& v, std::uint64_t seed) {
    HostWorld hosted(options_of(v, seed));
    World& world = hosted.world;
    constexpr std::size_t guests = 2, host_task = guests;
    constexpr int steps = 1500;
    conformance::FileWalk files(seed, guests + 1,
                                {.mix = [](auto... part) { return mix(part...); }});
    const bool verbose = std::getenv("XENFS_VERBOSE") != nullptr;
    int done = 0;
    std::size_t next = 0;
    const auto step = [&](std::size_t task, files::FileSystem& fs) {
        files.step(task, fs);
        if (verbose) std::printf("%d task %zu: %s\n", done, task, files.what().c_str());
        if (testing::Test::HasFailure()) {
            std::printf("failed at step %d, task %zu: %s\n", done, task, files.what().c_str());
            done = steps;
        }
        ++done;
    };
    for (std::size_t guest = 0; guest < guests; ++guest) {
        world.program(guest, [&, guest](Client& client) {
            while (!hosted.host_done) {
                hosted.sync_if_asked(guest, client);
                if (next == guest && done < steps) {
                    step(guest, client);
                    next = files.below(guests + 1);
                }
                world.guests[guest]->host().clock().sleep(10 * us);
            }
            files.close_all(guest, client);
        });
    }
    hosted.program([&] {
        while (done < steps) {
            hosted.wait([&] { return next == host_task || done >= steps; });
            if (done >= steps) break;
            hosted.sync_guests();
            files.close_nameless(host_task, hosted.host);
            files.compare(hosted.host);
            if (testing::Test::HasFailure()) {
                std::printf("the storage differs after %d steps\n", done);
                done = steps;
                break;
            }
            hosted.host.event_delay(static_cast<Nanoseconds>(files.below(2'000'000)));
            if (files.below(20) == 0) hosted.host.lose_events();
            step(host_task, hosted.host);
            hosted.host.keep_events();
            hosted.settle();
            next = files.below(guests + 1);
        }
        files.close_all(host_task, hosted.host);
        hosted.settle();
    });
    world.run();
    EXPECT_GT(world.server.stats().outside_changes, 50u);
}

/// Guests and dom0 write the same pages, and dom0 cuts the file, with no regard for each other. The
/// last writer of a page wins, but a page that a guest wrote may be stored after a later one of
/// dom0's. Synced, everybody agrees.
class Duel {
  public:
    Duel(const Variant& v, std::uint64_t seed) : hosted_(options_of(v, seed)), random_(seed) {}

    void run() {
        for (std::size_t guest = 0; guest < 2; ++guest) {
            hosted_.world.program(guest, [this, guest](Client& client) { act(guest, client); });
        }
        hosted_.program([this] { direct(); });
        hosted_.world.run();
    }

  private:
    static constexpr std::uint64_t pages = 12;
    enum class Step { none, open, write, read, close };

    std::uint64_t below(std::uint64_t n) { return random_() % n; }

    /// The oracle draws all steps; a guest's are made by its own task.
    void direct() {
        node_ = hosted_.host.create(root_node, std::string_view("file"), 0644, {}, writing())->node;
        for (int step = 0; step < 3000 && !testing::Test::HasFailure(); ++step) {
            const std::uint64_t choice = below(100);
            if (choice < 75) {
                guest_ = below(2);
                page_ = below(pages);
                step_ = choice < 15   ? Step::open
                        : choice < 25 ? Step::close
                        : choice < 50 ? Step::write
                                      : Step::read;
                hosted_.wait([this] { return step_ == Step::none; });
            } else if (choice < 88) {
                write_by_host(below(pages));
            } else if (choice < 92) {
                cut_by_host(below(pages));
            } else if (choice < 97) {
                settle();
            } else {
                compare();
            }
        }
        compare();
    }

    void act(std::size_t guest, Client& client) {
        Handle handle = 0;
        while (!hosted_.host_done) {
            hosted_.sync_if_asked(guest, client);
            if (step_ != Step::none && guest_ == guest) {
                take(guest, client, handle);
                step_ = Step::none;
            }
            hosted_.world.guests[guest]->host().clock().sleep(10 * us);
        }
        if (handle != 0) {
            EXPECT_EQ(client.close(handle), 0);
        }
    }
    void take(std::size_t guest, Client& client, Handle& handle) {
        if (step_ == Step::open && handle == 0) {
            EXPECT_EQ(lookup(client, root_node, std::string_view("file")), node_);
            handle = *client.open(node_, writing());
        }
        if (handle == 0) return;
        if (step_ == Step::close) {
            EXPECT_EQ(client.close(handle), 0);
            handle = 0;
        } else if (step_ == Step::write) {
            Page& page = pages_[page_];
            const Fingerprint content = ++last_;
            write_pages(client, handle, page_, {content});
            say("guest " + std::to_string(guest), page_, content);
            page.allowed = {content};
            page.written_by_guest = content;
            page.host_is_last = false;
        } else if (step_ == Step::read) {
            const Fingerprint seen = read_one(client, handle, page_);
            expect(page_, seen, "guest " + std::to_string(guest));
            pages_[page_].hole_read = pages_[page_].hole_read || seen == zero_fingerprint;
        }
    }
    Fingerprint read_one(Client& client, Handle handle, std::uint64_t page) {
        const auto read = read_pages(client, handle, page, 1);
        return read.empty() ? zero_fingerprint : read[0];
    }

    void write_by_host(std::uint64_t page) {
        const Handle handle = *hosted_.host.open(node_, writing());
        Fingerprint content = ++last_;
        ASSERT_TRUE(hosted_.host.write(handle, page * page_size, {nullptr, &content, page_size}));
        EXPECT_EQ(hosted_.host.close(handle), 0);
        changed_by_host(page, content);
    }
    void cut_by_host(std::uint64_t size) {
        SetAttr change;
        change.valid = SetAttr::size_;
        change.value.size = size * page_size;
        ASSERT_TRUE(hosted_.host.setattr(node_, change));
        for (std::uint64_t page = size; page < pages; ++page) {
            changed_by_host(page, zero_fingerprint);
        }
    }
    void changed_by_host(std::uint64_t page, Fingerprint content) {
        say("dom0", page, content);
        pages_[page].allowed.insert(content);
        pages_[page].by_host = content;
        pages_[page].host_is_last = true;
    }
    /// What dom0 has changed is seen from here on.
    void settle() {
        hosted_.settle();
        say("settled", 0, 0);
        for (Page& page : pages_) {
            if (!page.host_is_last) continue;
            page.allowed = {page.by_host};
            if (page.written_by_guest != 0) page.allowed.insert(page.written_by_guest);
            if (page.hole_read) page.allowed.insert(zero_fingerprint);
        }
    }
    void compare() {
        settle();
        hosted_.sync_guests();
        const std::uint64_t size = hosted_.world.volume.getattr(node_)->size;
        for (std::uint64_t page = 0; page < pages; ++page) {
            Fingerprint stored = 0xdead;
            ASSERT_EQ(hosted_.world.volume.read_content(node_, page, {&stored, 1}), 0);
            expect(page, stored, "the storage");
            pages_[page] = {{stored}};
        }
        EXPECT_LE(size, pages * page_size);
        say("synced", size / page_size, 0);
    }
    void expect(std::uint64_t page, Fingerprint seen, const std::string& who) {
        std::string allowed;
        for (const Fingerprint each : pages_[page].allowed) allowed += " " + std::to_string(each);
        EXPECT_TRUE(pages_[page].allowed.contains(seen))
            << who << " sees " << seen << " on page " << page << ", not one of" << allowed;
    }

    void say(const std::string& what, std::uint64_t page, Fingerprint content) const {
        if (!verbose_) return;
        std::printf("%s: %llu = %llu\n", what.c_str(), static_cast<unsigned long long>(page),
                    static_cast<unsigned long long>(content));
    }

    struct Page {
        std::set<Fingerprint> allowed{zero_fingerprint};
        Fingerprint written_by_guest = 0;  ///< not synced since; 0: none
        /// A guest that has made the file longer under its lease writes the holes that it has read.
        bool hole_read = false;
        Fingerprint by_host = 0;
        bool host_is_last = false;
    };
    HostWorld hosted_;
    std::mt19937_64 random_;
    NodeId node_ = 0;
    std::array<Page, pages> pages_;
    Fingerprint last_ = 100;
    Step step_ = Step::none;
    std::size_t guest_ = 0;
    std::uint64_t page_ = 0;
    const bool verbose_ = std::getenv("XENFS_VERBOSE") != nullptr;
};

class CoreOutsideRandom : public testing::TestWithParam<Variant> {};

TEST_P(CoreOutsideRandom, EverybodyAgreesStepByStep) {
    walk(GetParam(), test_seed());
}

TEST_P(CoreOutsideRandom, TheLastWriterOfAPageWins) {
    Duel(GetParam(), test_seed()).run();
}

INSTANTIATE_TEST_SUITE_P(Policies, CoreOutsideRandom,
                         testing::Values(Variant{"map", "name"}, Variant{"copy", "name"},
                                         Variant{"flip", "name", false},
                                         Variant{"adaptive", "name"},
                                         Variant{"map", "none", true, true},
                                         Variant{"adaptive", "content", true, true},
                                         Variant{"map", "name", false, true}),
                         [](const auto& each) { return name_of(each.param); });

}  // namespace
}  // namespace xenfs::sim::tests
