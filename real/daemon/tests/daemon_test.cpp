// The daemon is a process and guests are domains of a local host: this tests what is promised to
// those who mount an export, and to those who run the daemon.
#include <sys/stat.h>

#include "model/protocol/handshake.h"
#include "real/daemon/tests/daemon_rig.h"

namespace xenfs::real::daemon {
namespace {

using namespace std::string_view_literals;

using DaemonTest = DaemonRig;

std::string pattern(std::size_t bytes, unsigned seed) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((i * 31 + i / 4096 + seed));
    return text;
}

TEST_F(DaemonTest, GuestsReadWriteAndSeeEachOther) {
    std::ofstream(top / "tree/old") << "from dom0";
    configure(configuration(one_export(guest("one") + guest("two"))));
    start();
    Guest one(socket(), "one"), two(socket(), "two");
    ASSERT_EQ(one.mount(), 0);
    ASSERT_EQ(two.mount(), 0);
    EXPECT_EQ(one.read("old"), "from dom0");

    ASSERT_EQ(one.write("new", "first"), 0);
    EXPECT_EQ(two.read("new"), "first") << "a write that returned is seen by every later read";
    ASSERT_EQ(two.write("new", "second one"), 0);
    EXPECT_EQ(one.read("new"), "second one");
    ASSERT_EQ(one.write("synced", "on disk", true), 0);
    EXPECT_EQ(in_tree("synced"), "on disk") << "after fsync";
    one.run([&] { EXPECT_EQ(one.client->unlink(root_node, "new"sv), 0); });
    two.run([&] { EXPECT_EQ(two.find("new").error(), ENOENT); });
}

TEST_F(DaemonTest, TheSecondReaderCostsNoDiskReadAndNoFrame) {
    const std::string content = pattern(1 << 20, 7);
    std::ofstream(top / "tree/file") << content;
    configure(configuration(one_export(guest("*"))));
    start();
    client::ClientConfig config;
    config.transfer = "map";
    Guest one(socket(), "one", config), two(socket(), "two", config);
    ASSERT_EQ(one.mount(), 0);
    ASSERT_EQ(two.mount(), 0);
    EXPECT_EQ(one.read("file"), content);
    const auto before = status();
    EXPECT_EQ(two.read("file"), content);
    const auto after = status();
    EXPECT_EQ(before["counters"]["disk_read_pages"], after["counters"]["disk_read_pages"]);
    EXPECT_EQ(before["cache"]["cached_pages"], after["cache"]["cached_pages"]);
    EXPECT_EQ(before["cache"]["saved_pages"], 0);
    EXPECT_EQ(after["cache"]["saved_pages"], 256);
    EXPECT_EQ(after["cache"]["shared_frames"], 256);
}

TEST_F(DaemonTest, NobodyPinsMoreThanItsQuota) {
    const std::string content = pattern(4 << 20, 3);
    std::ofstream(top / "tree/file") << content;
    configure(configuration(one_export(guest("small", "quota = \"1 MiB\"\n"))));
    start();
    client::ClientConfig config;
    config.transfer = "map";
    Guest small(socket(), "small", config);
    ASSERT_EQ(small.mount(), 0);
    EXPECT_EQ(small.read("file", 4 << 20), content);
    const auto one = status()["guests"][0];
    EXPECT_EQ(one["quota_pages"], 256);
    EXPECT_GT(one["pinned_pages"], 0);
    EXPECT_LE(one["pinned_pages"], 256);
    EXPECT_GT(status()["counters"]["credit_refusals"], 0) << "or the test shows nothing";
}

TEST_F(DaemonTest, ReadOnlyGuestsChangeNothing) {
    std::ofstream(top / "tree/file") << "kept";
    configure(configuration(one_export(guest("reader", "access = \"ro\"\n") + guest("writer"))));
    start();
    Guest reader(socket(), "reader"), writer(socket(), "writer");
    ASSERT_EQ(reader.mount(), 0);
    ASSERT_EQ(writer.mount(), 0);
    EXPECT_EQ(reader.read("file"), "kept");
    EXPECT_EQ(reader.write("other", "x"), EROFS);
    reader.run([&] {
        client::Client& fs = *reader.client;
        const auto node = reader.find("file");
        ASSERT_TRUE(node);
        EXPECT_EQ(fs.open(*node, {.read = true, .write = true}).error(), EROFS);
        const auto handle = fs.open(*node, {});
        EXPECT_TRUE(handle);
        EXPECT_EQ(fs.allocate(*handle, 0, 0, 1), EBADF);
        EXPECT_EQ(fs.close(*handle), 0);
        EXPECT_EQ(fs.mkdir(root_node, "d"sv, 0755, {}).error(), EROFS);
        EXPECT_EQ(fs.unlink(root_node, "file"sv), EROFS);
        EXPECT_EQ(fs.rename(root_node, "file"sv, root_node, "g"sv, 0), EROFS);
        EXPECT_EQ(fs.setxattr(*node, "user.a", "1", 0), EROFS);
        files::SetAttr change;
        change.valid = files::SetAttr::size_;
        EXPECT_EQ(fs.setattr(*node, change).error(), EROFS);
    });
    ASSERT_EQ(writer.write("file", "changed"), 0);
    EXPECT_EQ(reader.read("file"), "changed");
}

TEST_F(DaemonTest, OnlyNamedDomainsAreServed) {
    configure(configuration(one_export(guest("one"))));
    start();
    client::ClientConfig config;
    config.mount_timeout = 300'000'000;
    Guest stranger(socket(), "stranger", config);
    EXPECT_NE(stranger.mount(), 0);
    Guest one(socket(), "one");
    EXPECT_EQ(one.mount(), 0);
    EXPECT_EQ(status()["guests"].size(), 1u);
}

TEST_F(DaemonTest, AnotherDaemonsPoolIsNoGuest) {
    Guest pool(socket(), "pool"), one(socket(), "one");
    pool.run([&] {
        EXPECT_EQ(pool.host->store().write(protocol::pool_mark_path(pool.host->self()), ""), 0);
    });
    configure(configuration(one_export(guest("*"))));
    start();
    EXPECT_EQ(one.mount(), 0);
    const nlohmann::json guests = status()["guests"];
    ASSERT_EQ(guests.size(), 1u) << guests;
    EXPECT_EQ(guests[0]["name"], "one");
}

TEST_F(DaemonTest, FilesBelongToTheGuestsUser) {
    if (geteuid() != 0) GTEST_SKIP() << "only root may give files away";
    configure(configuration(one_export(guest("*"))));
    start();
    Guest one(socket(), "one");
    ASSERT_EQ(one.mount(), 0);
    ASSERT_EQ(one.write("mine", "x", true, {1234, 4321}), 0);
    struct stat status {};
    ASSERT_EQ(stat((top / "tree/mine").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234u);
    EXPECT_EQ(status.st_gid, 4321u);
}

TEST_F(DaemonTest, ADeadGuestsPinsEndAndOthersNoticeNothing) {
    const std::string content = pattern(1 << 20, 1);
    std::ofstream(top / "tree/file") << content;
    configure(configuration(one_export(guest("*"))));
    start();
    Guest survivor(socket(), "survivor");
    ASSERT_EQ(survivor.mount(), 0);
    {
        Guest victim(socket(), "victim");
        ASSERT_EQ(victim.mount(), 0);
        EXPECT_EQ(victim.read("file"), content);
        ASSERT_EQ(status()["guests"].size(), 2u);
        victim.die();
    }
    const auto gone = [&] {  // both the list of domains and the server are told
        const auto now = status();
        return now["guests"].size() == 1 && now["counters"]["clients_died"] == 1;
    };
    for (int i = 0; i < 500 && !gone(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    const auto after = status();
    ASSERT_EQ(after["guests"].size(), 1u);
    EXPECT_EQ(after["guests"][0]["name"], "survivor");
    EXPECT_EQ(after["counters"]["clients_died"], 1);
    EXPECT_EQ(survivor.read("file"), content);
}

TEST_F(DaemonTest, WithoutADaemonOperationsWaitAsLongAsTheirClientSays) {
    std::ofstream(top / "tree/file") << "content";
    configure(configuration(one_export(guest("*"))));
    start();
    client::ClientConfig soon, late;
    soon.server_timeout = 200'000'000;
    late.server_timeout = 3600'000'000'000;
    Guest impatient(socket(), "impatient", soon), patient(socket(), "patient", late);
    ASSERT_EQ(impatient.mount(), 0);
    ASSERT_EQ(patient.mount(), 0);
    daemon->finish(SIGKILL);
    std::atomic<bool> waiting{true};
    std::thread program([&] {
        EXPECT_EQ(patient.read("file"), "content");
        waiting = false;
    });
    impatient.run([&] { EXPECT_EQ(impatient.find("file").error(), EIO); });
    EXPECT_TRUE(waiting);
    start();
    program.join();
    EXPECT_EQ(impatient.read("file"), "content");
}

/// A mount is killed and another comes in the same guest: there is no event, and nothing changes in
/// the store.
TEST_F(DaemonTest, AClientThatEndsWithoutAWordIsFollowedByAnother) {
    configure(configuration(one_export(guest("one"))));
    start();
    Guest one(socket(), "one");
    ASSERT_EQ(one.mount(), 0);
    ASSERT_EQ(one.write("file", "first", true), 0);
    const std::unique_ptr<client::Client> silent = std::move(one.client);
    client::ClientConfig config;
    config.server = 0;
    one.client = std::make_unique<client::Client>(*one.host, config);
    ASSERT_EQ(one.mount(), 0);
    EXPECT_EQ(one.read("file"), "first");
    EXPECT_EQ(one.write("file", "second"), 0);
    EXPECT_EQ(status()["guests"].size(), 1u);
    EXPECT_EQ(one.read("file"), "second");
    one.die();
}

/// Domains get the numbers of others that have just gone, with the same name or another.
TEST_F(DaemonTest, ADomainsNumberIsUsedAgain) {
    configure(configuration(one_export(guest("one") + guest("two"))));
    start();
    for (int i = 0; i < 20; ++i) {
        Guest domain(socket(), i % 3 == 0 ? "one" : "two", {}, 7);
        ASSERT_EQ(domain.mount(), 0) << "round " << i;
        ASSERT_EQ(domain.write(i % 4 == 3 ? "lost" : "count", std::to_string(i)), 0);
        if (i % 4 == 3) domain.die();
    }
    Guest last(socket(), "one", {}, 7);
    ASSERT_EQ(last.mount(), 0);
    EXPECT_EQ(last.read("count"), "18");
}

/// More files than the daemon may have open are written and read through one mount.
TEST_F(DaemonTest, FilesBeyondTheLimitOfOpenOnes) {
    constexpr int many = 2000;
    starter = {"/usr/bin/prlimit", "--nofile=700:700"};  // 604 for guests' files
    configure(configuration(one_export(guest("one"))));
    start();
    {
        Guest one(socket(), "one");
        ASSERT_EQ(one.mount(), 0);
        int errors = 0;
        for (int i = 0; i < many; ++i) {
            errors += one.write("f" + std::to_string(i), std::to_string(i)) != 0 ? 1 : 0;
        }
        EXPECT_EQ(errors, 0);
        for (int i = 0; i < many; i += 3)
            ASSERT_EQ(one.read("f" + std::to_string(i)), std::to_string(i));
        EXPECT_LE(status()["guests"][0]["open_files"], 604);
    }
    daemon->finish(SIGTERM);
    for (int i = 0; i < many; ++i) ASSERT_EQ(in_tree("f" + std::to_string(i)), std::to_string(i));
}

TEST_F(DaemonTest, SigtermWritesWhatIsDirtyAndLeavesNothing) {
    configure(configuration(one_export(guest("*"))));
    start();
    {
        Guest one(socket(), "one");
        ASSERT_EQ(one.mount(), 0);
        ASSERT_EQ(one.write("dirty", "written back at the end"), 0);
    }  // they are unmounted, but the server keeps their pages for 30 s
    EXPECT_EQ(daemon->finish(SIGTERM), 0) << daemon->said();
    EXPECT_EQ(in_tree("dirty"), "written back at the end");
    EXPECT_EQ(left_behind(), (std::vector<std::string>{"host.sock", "log", "tree", "xenfsd.toml"}));
    const auto again = local::LocalHost::join_server(socket(), {"xenfs", {.memory_pages = 1024}});
    const auto backends = again->store().list("/local/domain/0/backend/xenfs");
    for (const std::string& domain : backends ? *backends : std::vector<std::string>{}) {
        EXPECT_TRUE(again->store().list("/local/domain/0/backend/xenfs/" + domain)->empty());
    }
}

TEST_F(DaemonTest, AnswersPrometheusAndRefusesNonsense) {
    configure(configuration(one_export(guest("*"))));
    start();
    Guest one(socket(), "one");
    ASSERT_EQ(one.mount(), 0);
    ASSERT_EQ(one.write("file", "x", true), 0);
    const std::string answer = ask("metrics.sock", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.0 200 OK\r\n"));
    EXPECT_NE(answer.find("\nxenfs_requests_total "), std::string::npos);
    EXPECT_NE(answer.find("xenfs_guest_pinned_bytes{guest=\"one\",domain=\"2\",device=\"0\",export="
                          "\"root\"} "),
              std::string::npos)
        << answer;
    EXPECT_NE(answer.find("xenfs_request_duration_seconds_count{kind=\"sync\"}"),
              std::string::npos);
    EXPECT_EQ(ask("metrics.sock", std::string(100000, 'x')), "");
    EXPECT_NE(ask("control.sock", "format c:\n").find("there are: status, metrics"),
              std::string::npos);
    EXPECT_GT(status()["latency"]["sync"]["p99_us"], 0);
    Program control({XENFSCTL, "--socket", top / "control.sock", "status"}, top / "out");
    EXPECT_EQ(control.finish(), 0);
    EXPECT_NE(control.said().find("one"), std::string::npos);
    Program twice({XENFSCTL, "--socket", top / "control.sock", "top", "-i", "0.1", "-n", "2"},
                  top / "out");
    EXPECT_EQ(twice.finish(), 0);
    EXPECT_NE(twice.said().find("requests/s"), std::string::npos);
}

}  // namespace
}  // namespace xenfs::real::daemon
