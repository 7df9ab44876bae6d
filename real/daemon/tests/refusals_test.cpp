// What the daemon says when it cannot begin or go on, and that it leaves nothing then.
#include "model/settings/read.h"
#include "real/daemon/capacity.h"
#include "real/daemon/config.h"
#include "real/daemon/tests/daemon_rig.h"

namespace xenfs::real::daemon {
namespace {

using RefusalTest = DaemonRig;

/// The sentence for a configuration that is wrong.
std::string wrong(const std::string& text) {
    try {
        (void)parse_config(text, "x.toml");
    } catch (const settings::InputError& error) {
        return error.what();
    }
    return "accepted";
}

const std::string good = "[[export]]\nname=\"a\"\npath=\"/tmp\"\n[[export.guest]]\nname=\"g\"\n";

TEST(Configuration, IsReadStrictlyAndSaysWhere) {
    EXPECT_EQ(wrong(good), "accepted");
    EXPECT_TRUE(wrong("host = \"vmware\"\n" + good)
                    .starts_with("x.toml:1: host: there is no \"vmware\"; there are: xen, local"));
    EXPECT_TRUE(wrong("[cache]\nsise = \"1 GiB\"\n" + good)
                    .starts_with("x.toml:2: cache.sise: there is no such key; there are: size,"));
    EXPECT_TRUE(wrong("[cash]\n" + good)
                    .starts_with("x.toml:1: cash: there is no such section; there are: local,"));
    EXPECT_TRUE(
        wrong("[cache]\nsize = 7\n" + good)
            .starts_with("x.toml:2: cache.size: a whole number where a size with its unit"));
    EXPECT_TRUE(wrong("[cache]\nsize = \"7 KiB\"\n" + good).starts_with("x.toml:2: cache.size: "));
    EXPECT_TRUE(wrong("[cache]\neviction = \"best\"\n" + good)
                    .starts_with("x.toml:2: cache.eviction: there is no \"best\"; there are: "));
    EXPECT_TRUE(
        wrong("[cache]\ncharging = \"entitlement\"\n" + good)
            .starts_with("x.toml:2: cache.charging: there is no \"entitlement\"; there are: "));
    EXPECT_EQ(wrong("[cache]\ncharging = \"each\"\n" + good), "accepted");
    EXPECT_TRUE(wrong("[server]\nslots = 33\n" + good).find("power of two") != std::string::npos);
    EXPECT_TRUE(wrong("host = \n").starts_with("x.toml:1: "));
    EXPECT_TRUE(wrong("").find("there is no [[export]]") != std::string::npos);
    EXPECT_TRUE(wrong("[export]\nname=\"a\"\n").find("write it as [[export]]") !=
                std::string::npos);
    EXPECT_TRUE(
        wrong("[[export]]\nname=\"a\"\n").starts_with("x.toml:1: export: the key path is missing"));
    EXPECT_TRUE(wrong("[[export]]\nname=\"a\"\npath=\"/\"\n").find("[[export.guest]]") !=
                std::string::npos);
    EXPECT_TRUE(wrong(good + "[[export.guest]]\nname=\"g\"\n").find("has a device 0 already") !=
                std::string::npos);
    EXPECT_TRUE(wrong(good + "quota = \"1 B\"\n").starts_with("x.toml:6: export.guest.quota: "));
    EXPECT_EQ(wrong("[[export]]\nname=\"\"\npath=\"/\"\n"),
              "x.toml:2: export.name: it must not be empty");
    EXPECT_EQ(wrong("[local]\nsocket=\"a\\u0000b\"\n" + good),
              "x.toml:2: local.socket: it must not have a NUL in it");
    EXPECT_EQ(parse_config("[local]\nsocket = \"s\"\n" + good, "/etc/x.toml").local_socket,
              "/etc/s")
        << "paths are relative to the file";
}

TEST(Capacity, IsThatOfTheGuestsThatAreNamedOrOfAllThatMayCome) {
    DaemonConfig config = parse_config(good, "x.toml");
    EXPECT_EQ(expected_mounts(config), 1u);
    config = parse_config("[server]\nguests = 500\n" + good + "[[export.guest]]\nname = \"*\"\n",
                          "x.toml");
    EXPECT_EQ(expected_mounts(config), 500u);
    const std::string three =
        good + "[[export.guest]]\nname = \"h\"\n" + "[[export.guest]]\nname = \"i\"\n";
    config = parse_config("[server]\nguests = 2\n" + three, "x.toml");
    EXPECT_EQ(expected_mounts(config), 2u);
    EXPECT_EQ(shortages(config, 1 << 20, 1 << 20),
              std::vector<std::string>{"3 guests are named, and no more than 2 are served at once: "
                                       "raise server.guests"});
}

TEST(Capacity, SaysInOneSentenceEachWhatDoesNotSuffice) {
    const auto of = [](const std::string& host, std::uint32_t guests, const std::string& cache) {
        return parse_config("host = \"" + host + "\"\n[cache]\nsize = \"" + cache +
                                "\"\n[server]\nguests = " + std::to_string(guests) + "\n" + good +
                                "[[export.guest]]\nname = \"*\"\n",
                            "x.toml");
    };
    // The defaults: Xen's grant table of 64 pages, the unit's descriptors.
    EXPECT_TRUE(shortages(of("local", 1024, "256 MiB"), 64 * 512, 262'144).empty());
    EXPECT_TRUE(shortages(of("local", 1024, "128 MiB"), 64 * 512, 16'384).empty());
    auto words = shortages(of("local", 1024, "128 MiB"), 64 * 512 - 1, 16'384);
    ASSERT_EQ(words.size(), 1u);
    EXPECT_NE(words[0].find("has 32767 entries, fewer than 32 for each of 1024 mounts: raise "
                            "pool.grant_frames to 64 "),
              std::string::npos)
        << words[0];
    words = shortages(of("local", 1024, "127 MiB"), 64 * 512, 16'384);
    ASSERT_EQ(words.size(), 1u);
    EXPECT_NE(words[0].find("raise cache.size to 128 MiB"), std::string::npos) << words[0];
    words = shortages(of("local", 1024, "128 MiB"), 64 * 512, 16'383);
    ASSERT_EQ(words.size(), 1u);
    EXPECT_NE(words[0].find("take 4096 descriptors, and this process may have 16383"),
              std::string::npos)
        << words[0];
    EXPECT_NE(words[0].find("to 16384"), std::string::npos) << words[0];
    // On Xen a mount takes none.
    EXPECT_TRUE(shortages(of("xen", 1024, "128 MiB"), 64 * 512, 1024).empty());
    EXPECT_EQ(shortages(of("local", 4096, "1 MiB"), 512, 1024).size(), 3u);
}

TEST(Capacity, GuestsMayHaveMostDescriptorsForTheirFiles) {
    DaemonConfig config =
        parse_config("host = \"local\"\n" + good + "[[export.guest]]\nname = \"*\"\n", "x.toml");
    for (const std::size_t descriptors : {1024u, 20'000u, 262'144u}) {
        EXPECT_GE(open_files(config, descriptors), descriptors / 2 + 1);
        EXPECT_GE(descriptors - open_files(config, descriptors),
                  std::min(mount_descriptors(config), descriptors / 4) + 96);
    }
    EXPECT_EQ(mount_descriptors(config), 4 * 1024u);
}

TEST(Configuration, TheExampleIsRight) {
    const DaemonConfig example = load_config(XENFS_PACKAGING "/xenfsd.toml");
    EXPECT_EQ(example.exports.size(), 1u);
    EXPECT_EQ(example.host, "xen");
}

TEST(Configuration, TheManPageHasItsKeys) {
    const std::string page = settings::read_text(XENFS_PACKAGING "/xenfsd.toml.5");
    EXPECT_NE(page.find(config_manual()), std::string::npos)
        << "put what 'xenfsd --print-manual' prints between the page's two markers";
}

TEST_F(RefusalTest, OfAWrongConfigurationIsExitCode2) {
    configure(configuration("nonsense = 1\n"));
    const auto [code, said] = refusal();
    EXPECT_EQ(code, 2);
    EXPECT_NE(said.find("xenfsd.toml:9: server.nonsense: there is no such key"), std::string::npos)
        << said;
    std::filesystem::remove(top / "xenfsd.toml");
    EXPECT_EQ(refusal().first, 2);
    EXPECT_NE(refusal().second.find("cannot be read"), std::string::npos);
}

TEST_F(RefusalTest, OfAWrongArgumentIsOneLine) {
    Program wrong({XENFSD, "--bogus"}, top / "said");
    EXPECT_EQ(wrong.finish(), 2);
    EXPECT_EQ(wrong.said(),
              "xenfsd: The following argument was not expected: --bogus; see xenfsd --help\n");
}

TEST_F(RefusalTest, ACheckLooksForTheDirectories) {
    const auto check = [&](const std::string& path) {
        configure(configuration("[[export]]\nname=\"r\"\npath=\"" + path + "\"\n" + guest("*")));
        auto words = command();
        words.push_back("--check");
        Program program(words, top / "said");
        return program.finish();
    };
    EXPECT_EQ(check("tree"), 0);
    EXPECT_EQ(check("gone"), 2);
    EXPECT_EQ(check("xenfsd.toml"), 2);
}

TEST_F(RefusalTest, LeavesNothingBehind) {
    const std::vector<std::string> nothing{"host.sock", "log", "tree", "xenfsd.toml"};
    const auto refused = [&](const std::string& text, const std::string& sentence) {
        configure(text);
        const auto [code, said] = refusal();
        EXPECT_EQ(code, 1);
        EXPECT_NE(said.find(sentence), std::string::npos) << said;
        EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
        EXPECT_EQ(left_behind(), nothing);
    };
    const std::string served = one_export(guest("*"));
    refused(configuration("[[export]]\nname=\"r\"\npath=\"gone\"\n" + guest("*")),
            "No such file or directory; make the directory, or name another one");
    refused(configuration("[[export]]\nname=\"r\"\npath=\"xenfsd.toml\"\n" + guest("*")),
            "Not a directory");
    std::string elsewhere = configuration(served);
    elsewhere.replace(elsewhere.find("host.sock"), 9, "none.sock");
    refused(elsewhere, "start it with 'xenfs-localhost --socket");
    std::string no_directory = configuration(served);
    no_directory.replace(no_directory.find("metrics.sock"), 12, "no/such/m");
    refused(no_directory, "make its directory");
    std::string taken = configuration(served);
    taken.replace(taken.find("metrics.sock"), 12, "xenfsd.toml");
    refused(taken, "another file has that name");
    std::string xen = configuration(served);
    xen.replace(xen.find("\"local\""), 7, "\"xen\"");
    refused(xen, "");  // no Xen here: which sentence depends on what was built
    const auto pool = local::LocalHost::join_server(socket(), {"other", {.memory_pages = 16}});
    refused(configuration(served), "refuses the domain");
}

TEST_F(RefusalTest, AGuestBeyondTheLimitIsToldSoAndServedWhenAnotherHasLeft) {
    std::string text = configuration("guests = 2\n" + one_export(guest("*")));
    configure(text);
    start();
    auto one = std::make_unique<Guest>(socket(), "one");
    Guest two(socket(), "two"), three(socket(), "three");
    ASSERT_EQ(one->mount(), 0);
    ASSERT_EQ(two.mount(), 0);
    EXPECT_EQ(three.mount(), EUSERS);
    const std::string said = daemon->said();
    EXPECT_NE(said.find("a guest is refused: as many are served as may be (server.guests)"),
              std::string::npos)
        << said;
    EXPECT_NE(said.find("domain=three"), std::string::npos) << said;
    one.reset();
    int error = EUSERS;
    for (int i = 0; i < 100 && error == EUSERS; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        error = three.mount();
    }
    EXPECT_EQ(error, 0);
    EXPECT_EQ(three.write("file", "served"), 0);
    EXPECT_EQ(two.read("file"), "served");
}

TEST_F(RefusalTest, ASecondDaemonLeavesTheFirstAlone) {
    configure(configuration(one_export(guest("*"))));
    start();
    Program second(command(), top / "second");
    EXPECT_EQ(second.finish(), 1);
    EXPECT_NE(second.said().find("another xenfsd does; end it first"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(top / "control.sock"));
    EXPECT_EQ(status()["host"], "local");
}

TEST_F(RefusalTest, ADeadDaemonsSocketsAreTakenOver) {
    configure(configuration(one_export(guest("*"))));
    start();
    EXPECT_EQ(daemon->finish(SIGKILL), -SIGKILL);
    EXPECT_TRUE(std::filesystem::exists(top / "control.sock"));
    std::filesystem::remove(top / "log");
    start();
    EXPECT_EQ(status()["host"], "local");
    EXPECT_EQ(daemon->finish(SIGTERM), 0);
}

TEST_F(RefusalTest, AHostThatGoesAwayEndsTheDaemonWithAWord) {
    configure(configuration(one_export(guest("*"))));
    start();
    end_broker();
    EXPECT_EQ(daemon->finish(), 1);
    EXPECT_NE(daemon->said().find("the host went away"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(top / "control.sock"));
}

}  // namespace
}  // namespace xenfs::real::daemon
