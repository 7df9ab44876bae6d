// As many guests at one daemon as it may serve: they are domains of a local host, a share of them
// in each of some processes. The local host, the daemon and the guests are children of the test.
#include <sys/mman.h>
#include <sys/resource.h>

#include "real/daemon/tests/daemon_rig.h"
#include "real/tests/child_process.h"

namespace xenfs::real::daemon {
namespace {

constexpr std::size_t groups = 8, in_a_group = 128, many = groups * in_a_group;
constexpr std::size_t common_pages = 4, writes_each = 8;

std::string common_content() {
    std::string text(common_pages * page_size, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i / 7 % 26);
    return text;
}

std::string own_name(std::size_t guest) {
    return "own" + std::to_string(guest);
}
std::string own_content(std::size_t guest) {
    return "written by " + std::to_string(guest);
}

/// Memory through which the processes tell each other how far they are.
struct Progress {
    std::atomic<std::uint32_t> reached[4]{};  ///< guests that have come to the end of each phase
    std::atomic<std::uint32_t> begun{0};      ///< phases that have begun
    std::atomic<int> leaves{-1};              ///< a guest that is to leave before the others
};

void take_all_descriptors() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

client::ClientConfig light() {
    client::ClientConfig config;
    config.slots = 2;  // one is kept for a successor of the daemon
    config.own_budget = 16;
    config.mapping_budget = 16;
    config.release_batch = 4;
    config.readahead = 4;
    config.mount_timeout = 60'000'000'000;
    return config;
}

class ManyGuests : public DaemonRig {
  protected:
    void SetUp() override {
        take_all_descriptors();
        std::string name = std::filesystem::temp_directory_path() / "xenfsd-XXXXXX";
        top = mkdtemp(name.data());
        std::filesystem::create_directory(top / "tree");
        std::ofstream(top / "tree/common") << common_content();
        progress = new (mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Progress;
        local_host = std::make_unique<Program>(
            std::vector<std::string>{XENFS_LOCALHOST, "--socket", socket(), "--memory-mib", "1024"},
            top / "local-host");
        for (int i = 0; i < 500 && !std::filesystem::exists(socket()); ++i) usleep(10'000);
    }
    void TearDown() override {
        for (const pid_t child : children) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
        }
        daemon.reset();
        local_host.reset();
        munmap(progress, sizeof(Progress));
        std::filesystem::remove_all(top);
    }

    void child(const std::function<void()>& body) {
        children.push_back(tests::child_process(body));
    }
    void wait_for_children() {
        for (const pid_t child : std::exchange(children, {})) {
            int status = 0;
            waitpid(child, &status, 0);
            EXPECT_EQ(status, 0);
        }
    }
    static bool eventually(const std::function<bool()>& condition) {
        for (int i = 0; i < 24'000 && !condition(); ++i) usleep(5'000);
        return condition();
    }
    bool reach(std::size_t phase, std::size_t guests) const {
        return eventually([&] { return progress->reached[phase] == guests; });
    }

    /// The life of a share of the guests.
    void live(std::size_t group) const {
        std::vector<std::unique_ptr<Guest>> guests;
        const std::string common = common_content();
        const std::size_t first = group * in_a_group;
        const auto check = [&](std::size_t i, std::size_t other) {
            EXPECT_EQ(guests[i]->read("common"), common) << first + i;
            EXPECT_EQ(guests[i]->read(own_name(other), 100), own_content(other)) << first + i;
        };
        for (std::size_t i = 0; i < in_a_group; ++i) {
            const std::size_t number = first + i;
            guests.push_back(std::make_unique<Guest>(socket(), "guest" + std::to_string(number),
                                                     light(), local::any_domain, 96));
            ASSERT_EQ(guests[i]->mount(), 0) << number;
            if (number % writes_each == 0) {
                ASSERT_EQ(guests[i]->write(own_name(number), own_content(number)), 0);
            }
            EXPECT_EQ(guests[i]->read("common"), common) << number;
            ++progress->reached[0];
        }
        const auto wait_for = [&](std::uint32_t phase) {
            while (progress->begun < phase) {
                const auto leaves = static_cast<std::size_t>(progress->leaves.load());
                if (leaves / in_a_group == group) {
                    guests[leaves % in_a_group].reset();
                    progress->leaves = -1;
                }
                usleep(5'000);
            }
        };
        for (std::uint32_t phase = 1; phase < 3; ++phase) {
            wait_for(phase);
            for (std::size_t i = 0; i < in_a_group; ++i) {
                if (guests[i] == nullptr) continue;
                guests[i]->run([&] { guests[i]->client->drop_caches(); });
                // What a guest of another process has written.
                check(i, (first + i * writes_each + in_a_group) % many);
                ++progress->reached[phase];
            }
        }
        wait_for(3);
    }

    Progress* progress = nullptr;
    std::unique_ptr<Program> local_host;
    std::vector<pid_t> children;
};

TEST_F(ManyGuests, AreServedTakenOverAndOneMoreIsRefusedWithAWord) {
    configure(
        "host = \"local\"\n[local]\nsocket = \"host.sock\"\n[pool]\ngrant_frames = 256\n"
        "[cache]\nsize = \"256 MiB\"\n[server]\nguests = " +
        std::to_string(many) + "\ncontrol = \"control.sock\"\nmetrics = \"\"\n" +
        one_export(guest("*", "quota = \"512 KiB\"\n")));
    start();
    EXPECT_EQ(daemon->said().find("level=warning"), std::string::npos) << daemon->said();
    for (std::size_t group = 0; group < groups; ++group) {
        child([this, group] { live(group); });
    }
    ASSERT_TRUE(reach(0, many)) << progress->reached[0];
    EXPECT_EQ(status()["guests"].size(), many);
    progress->begun = 1;
    ASSERT_TRUE(reach(1, many)) << progress->reached[1];

    child([this] {
        Guest more(socket(), "one-more", light(), local::any_domain, 96);
        EXPECT_EQ(more.mount(), EUSERS);
        progress->leaves = 777;
        int error = EUSERS;
        for (int i = 0; i < 600 && error != 0; ++i) {
            usleep(100'000);
            error = more.mount();
        }
        EXPECT_EQ(error, 0) << "a place has come free";
        EXPECT_EQ(more.read("common"), common_content());
        EXPECT_EQ(more.write("late", "by one who waited"), 0);
    });
    const pid_t late = children.back();
    children.pop_back();
    int status_of_late = 0;
    waitpid(late, &status_of_late, 0);
    EXPECT_EQ(status_of_late, 0);
    const std::string said = daemon->said();
    const std::size_t refusal = said.find("a guest is refused");
    ASSERT_NE(refusal, std::string::npos);
    const std::string line = said.substr(refusal, said.find('\n', refusal) - refusal);
    EXPECT_NE(line.find("server.guests"), std::string::npos) << line;
    EXPECT_NE(line.find("domain=one-more"), std::string::npos) << line;
    EXPECT_NE(line.find("guests=" + std::to_string(many)), std::string::npos) << line;
    EXPECT_EQ(said.find("a guest is refused", refusal + 1), std::string::npos) << "said once";

    // The daemon is killed, and all mounts go on under its successor.
    EXPECT_EQ(daemon->finish(SIGKILL), -SIGKILL);
    std::filesystem::remove(top / "log");
    start();
    ASSERT_TRUE(eventually([&] { return status()["counters"]["resumed"] == many - 1; }))
        << status()["counters"];
    EXPECT_EQ(status()["counters"]["not_resumed"], 0);
    progress->begun = 2;
    ASSERT_TRUE(reach(2, many - 1)) << progress->reached[2];
    progress->begun = 3;
    wait_for_children();
    EXPECT_EQ(daemon->finish(SIGTERM), 0) << daemon->said();
    EXPECT_EQ(in_tree("late"), "by one who waited");
    for (std::size_t i = 0; i < many; i += writes_each) {
        EXPECT_EQ(in_tree(own_name(i)), own_content(i));
    }
}

}  // namespace
}  // namespace xenfs::real::daemon
