// What somebody changes in dom0 in the tree of a running daemon, its guests see, by whichever means
// the daemon watches. This process is somebody else to the daemon.
#include <sys/mman.h>
#include <sys/stat.h>

#include "real/daemon/tests/daemon_rig.h"

namespace xenfs::real::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

class Watch : public DaemonRig, public testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        DaemonRig::SetUp();
        if (GetParam() == "fanotify"sv && geteuid() != 0) {
            GTEST_SKIP() << "fanotify needs CAP_SYS_ADMIN";
        }
    }
    /// Starts a daemon that watches so, and two guests.
    void serve(const std::string& means) {
        configure(configuration("[[export]]\nname = \"root\"\npath = \"tree\"\nwatch = \"" + means +
                                "\"\n" + guest("*")));
        start();
        for (const char* name : {"one", "two"}) {
            guests.push_back(std::make_unique<Guest>(socket(), name));
            ASSERT_EQ(guests.back()->mount(), 0);
        }
    }
    void serve() { serve(GetParam()); }
    void TearDown() override {
        guests.clear();
        DaemonRig::TearDown();
    }

    fs::path in(const std::string& name) const { return top / "tree" / name; }
    void put(const std::string& name, const std::string& text) const {
        std::ofstream(in(name)) << text;
    }
    /// 0 where there is no such name.
    static NodeId node(Guest& guest, std::string_view name, NodeId parent = root_node) {
        NodeId found = 0;
        guest.run([&] {
            const auto answer = guest.client->lookup(parent, name);
            EXPECT_TRUE(answer || answer.error() == ENOENT) << answer.error();
            found = answer ? *answer : 0;
        });
        return found;
    }
    static Result<host::Attr> attr(Guest& guest, NodeId node) {
        Result<host::Attr> found = Errno{EIO};
        guest.run([&] { found = guest.client->getattr(node); });
        return found;
    }
    /// Waits until every guest sees it.
    void expect(const std::string& what, const std::function<bool(Guest&)>& seen) {
        for (const auto& guest : guests) {
            bool done = seen(*guest);
            for (int i = 0; i < 3000 && !done; ++i) {
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                done = seen(*guest);
            }
            EXPECT_TRUE(done) << what << " is not seen\n" << daemon->said();
        }
    }
    void expect_content(const std::string& name, const std::string& text) {
        expect(name + " with " + text.substr(0, 20),
               [&](Guest& guest) { return node(guest, name) != 0 && guest.read(name) == text; });
    }
    std::uint64_t counter(const char* name) const {
        return status()["counters"][name].get<std::uint64_t>();
    }

    std::vector<std::unique_ptr<Guest>> guests;
};

TEST_P(Watch, EachKindOfChangeReachesEveryGuest) {
    put("file", "as it was");
    fs::create_directory(in("dir"));
    serve();
    EXPECT_EQ(status()["exports"][0]["watch"], GetParam());
    for (const auto& guest : guests) {
        EXPECT_EQ(guest->read("file"), "as it was");
        EXPECT_EQ(node(*guest, "new"), 0u);
        EXPECT_EQ(node(*guest, "inside", node(*guest, "dir")), 0u);
    }
    put("file", "as it is now, and longer");
    expect_content("file", "as it is now, and longer");
    fs::resize_file(in("file"), 5);
    expect_content("file", "as it");
    std::ofstream(in("file"), std::ios::app) << " will be";
    expect_content("file", "as it will be");

    put("new", "there was nothing");
    expect_content("new", "there was nothing");
    const NodeId dir = node(*guests[0], "dir");
    put("dir/inside", "x");
    expect("a name in a directory", [&](Guest& g) { return node(g, "inside", dir) != 0; });
    chmod(in("file").c_str(), 0604);
    expect("another mode", [&](Guest& guest) {
        const auto found = attr(guest, node(guest, "file"));
        return found && found->mode == 0604;
    });

    // As an editor or a package's upgrade does it; who has the old file open keeps it.
    const NodeId old = node(*guests[0], "file");
    client::Client& one = *guests[0]->client;
    files::Handle handle = 0;
    guests[0]->run([&] { handle = *one.open(old, {}); });
    put("file.new", "another file");
    fs::rename(in("file.new"), in("file"));
    expect_content("file", "another file");
    EXPECT_NE(node(*guests[0], "file"), old);
    std::string text(100, '\0');
    guests[0]->run([&] {
        const auto got =
            one.read(handle, 0, {reinterpret_cast<std::byte*>(text.data()), nullptr, text.size()});
        text.resize(got ? *got : 0);
        EXPECT_EQ(one.close(handle), 0);
    });
    EXPECT_EQ(text, "as it will be");

    fs::rename(in("dir"), in("moved"));
    expect("a directory's new name", [&](Guest& guest) {
        return node(guest, "dir") == 0 && node(guest, "moved") == dir &&
               node(guest, "inside", dir) != 0;
    });
    put("moved/later", "x");
    expect("a name in what was moved", [&](Guest& g) { return node(g, "later", dir) != 0; });
    fs::remove_all(in("moved"));
    fs::remove(in("file"));
    expect("what was removed",
           [&](Guest& guest) { return node(guest, "moved") == 0 && node(guest, "file") == 0; });
    EXPECT_EQ(counter("outside_overflows"), 0u);
    EXPECT_GT(counter("outside_changes"), 5u);
}

TEST_P(Watch, WhatIsStoredThroughAMappingIsSeenWhenTheFileIsLetGo) {
    put("file", "as it was");
    serve();
    for (const auto& guest : guests) EXPECT_EQ(guest->read("file"), "as it was");
    Descriptor file(open(in("file").c_str(), O_RDWR));
    void* const at = mmap(nullptr, 9, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    ASSERT_NE(at, MAP_FAILED);
    std::memcpy(at, "mapped", 6);
    munmap(at, 9);
    file = {};
    expect_content("file", "mappedwas");
}

/// Both guests' pages and dom0's at once: each page is its last writer's.
TEST_P(Watch, WhatAGuestHasWrittenStays) {
    put("file", std::string(3 * page_size, 'a'));
    serve();
    client::Client& one = *guests[0]->client;
    files::Handle handle = 0;
    std::string page(page_size, 'g');
    guests[0]->run([&] {
        handle = *one.open(*one.lookup(root_node, "file"sv), {.read = true, .write = true});
        EXPECT_TRUE(one.write(handle, page_size,
                              {reinterpret_cast<std::byte*>(page.data()), nullptr, page.size()}));
    });
    put("file", std::string(4 * page_size, 'd'));
    std::string both(4 * page_size, 'd');
    both.replace(page_size, page_size, page);
    expect_content("file", both);
    guests[0]->run([&] {
        EXPECT_EQ(one.fsync(handle, false), 0);
        EXPECT_EQ(one.close(handle), 0);
    });
    EXPECT_EQ(in_tree("file"), both);
    expect_content("file", both);
}

TEST_P(Watch, GuestsOwnChangesAreNoEvents) {
    std::uint64_t notices[2] = {}, requests[2] = {};
    for (const bool watched : {false, true}) {
        serve(watched ? GetParam() : "off");
        const std::string d = watched ? "on" : "off";
        guests[0]->run([&] {
            ASSERT_TRUE(guests[0]->client->mkdir(root_node, std::string_view(d), 0755, {}));
        });
        for (int i = 0; i < 40; ++i) {
            const std::string name = d + std::to_string(i % 10);
            ASSERT_EQ(guests[0]->write(name, std::string(10'000u + static_cast<unsigned>(i), 'x'),
                                       i % 3 == 0),
                      0);
            ASSERT_EQ(guests[1]->read(name).size(), 10'000u + static_cast<unsigned>(i));
            ASSERT_EQ(guests[1]->write(name, "short"), 0);
            ASSERT_EQ(guests[0]->read(name), "short");
        }
        guests[0]->run([&] {
            for (int i = 0; i < 10; i += 2) {
                const std::string name = d + std::to_string(i), next = d + std::to_string(i + 1);
                EXPECT_EQ(guests[0]->client->rename(root_node, std::string_view(name), root_node,
                                                    std::string_view(next), 0),
                          0);
                EXPECT_EQ(guests[0]->client->unlink(root_node, std::string_view(next)), 0);
            }
            EXPECT_EQ(guests[0]->client->sync(), 0);
        });
        // Events come in their order: when this one is there, so are all of the guests' changes.
        if (watched) {
            put("canary", "sings");
            expect("the canary", [&](Guest& guest) { return node(guest, "canary") != 0; });
        }
        const auto counters = status()["counters"];
        notices[watched] = counters["notices"];
        requests[watched] = counters["requests"];
        if (watched) {
            // The canary has a name, a first write and a close.
            EXPECT_LE(counters["outside_events"], 4) << counters.dump(1);
        } else {
            EXPECT_EQ(counters["outside_events"], 0);
        }
        guests.clear();
        EXPECT_EQ(daemon->finish(SIGTERM), 0);
        fs::remove(top / "log");
    }
    std::printf("notices %lu and %lu, requests %lu and %lu, without watch and with it\n",
                notices[0], notices[1], requests[0], requests[1]);
    EXPECT_LE(notices[1], notices[0] + 8) << "the canary's, to two guests";
}

/// More happens than the kernel keeps while the daemon does not look.
TEST_P(Watch, AnOverflowIsSurvived) {
    put("file", "as it was");
    put("count", "0");
    serve();
    for (const auto& guest : guests) {
        EXPECT_EQ(guest->read("file"), "as it was");
        EXPECT_EQ(node(*guest, "absent"), 0u);
    }
    daemon->signal(SIGSTOP);
    // As many as the kernel's default limits of both queues, and none is like the one before.
    for (int i = 0; i < 20'000; ++i) {
        put("n" + std::to_string(i), "");
        fs::remove(in("n" + std::to_string(i)));
    }
    put("file", "as it is");
    put("absent", "here");
    daemon->signal(SIGCONT);
    expect_content("file", "as it is");
    expect_content("absent", "here");
    EXPECT_GE(counter("outside_overflows"), 1u);
}

TEST_P(Watch, WhatWasChangedWhileThereWasNoDaemonIsSeen) {
    put("file", "as it was");
    put("same", "the same");
    serve();
    for (const auto& guest : guests) {
        EXPECT_EQ(guest->read("file"), "as it was");
        EXPECT_EQ(guest->read("same"), "the same");
        EXPECT_EQ(node(*guest, "absent"), 0u);
    }
    daemon->finish(SIGKILL);
    put("file", "as it is");
    put("absent", "here");
    fs::remove(top / "log");
    start();
    expect_content("file", "as it is");
    expect_content("absent", "here");
    expect_content("same", "the same");
    EXPECT_GE(counter("recovery_stale_pages"), 1u);
    put("same", "no more");
    expect_content("same", "no more");
}

INSTANTIATE_TEST_SUITE_P(Means, Watch, testing::Values("fanotify", "inotify"),
                         [](const auto& each) { return std::string(each.param); });

using WatchSetting = DaemonRig;

/// Without the privilege, "auto" takes what there is and says so; "fanotify" is an error.
TEST_F(WatchSetting, AutoFallsBackAndSaysSoOnce) {
    if (geteuid() != 0) GTEST_SKIP() << "fanotify needs CAP_SYS_ADMIN";
    const auto configure_as = [&](const std::string& means) {
        configure(configuration("[[export]]\nname = \"root\"\npath = \"tree\"\nwatch = \"" + means +
                                "\"\n" + guest("*")));
    };
    configure_as("auto");
    start();
    EXPECT_EQ(status()["exports"][0]["watch"], "fanotify");
    EXPECT_EQ(daemon->said().find("inotify"), std::string::npos);
    daemon->finish(SIGTERM);
    fs::remove(top / "log");
    starter = {"/usr/bin/setpriv", "--bounding-set=-sys_admin"};
    start();
    EXPECT_EQ(status()["exports"][0]["watch"], "inotify");
    EXPECT_NE(daemon->said().find("the tree is watched by inotify"), std::string::npos);
    daemon->finish(SIGTERM);
    configure_as("fanotify");
    const auto [code, said] = refusal();
    EXPECT_EQ(code, 1);
    EXPECT_NE(said.find("fanotify is refused"), std::string::npos) << said;
    configure_as("off");
    start();
    EXPECT_EQ(status()["exports"][0]["watch"], "off");
}

}  // namespace
}  // namespace xenfs::real::daemon
