// The options of xenfs-mount: values with and without units, refusals, and the manual page.
#include "real/mount/options.h"

#include <gtest/gtest.h>

#include "model/settings/read.h"

namespace xenfs::real::mount {
namespace {

Options parse(const std::string& words) {
    bool help = false, version = false;
    return parse_options({"xen", "/mnt", "-o", words}, help, version);
}

std::string refusal(const std::string& words) {
    try {
        (void)parse(words);
    } catch (const MountError& error) {
        return error.what();
    }
    return "accepted";
}

TEST(MountOptions, ANumberWithoutAUnitCountsMebibytesOrSeconds) {
    const Options options = parse("mapping=64,memory=8MiB,write_behind=3,server_timeout=2min");
    EXPECT_EQ(options.client.mapping_budget, 64u << 8);
    EXPECT_EQ(options.memory_pages, 8u << 8);
    EXPECT_EQ(options.client.write_behind, 3'000'000'000);
    EXPECT_EQ(options.client.server_timeout, 120'000'000'000);
}

TEST(MountOptions, WithoutOptionsTheClientHasItsDefaults) {
    bool help = false, version = false;
    const Options options = parse_options({"xen", "/mnt"}, help, version);
    EXPECT_EQ(options.client.transfer, client::ClientConfig().transfer);
    EXPECT_EQ(options.client.mmap, client::MmapMode::private_copy);
    EXPECT_EQ(options.kernel_pages, KernelPages::text);
}

TEST(MountOptions, AWrongValueIsRefusedInOneSentence) {
    EXPECT_EQ(refusal("cache=some"),
              "option cache=some: there is no \"some\"; there are: none, text, all");
    EXPECT_EQ(refusal("mapping=0"), "option mapping=0: \"0 B\" is out of range: 64 KiB to 1 TiB");
    EXPECT_EQ(refusal("mapping=99999999999999"),
              "option mapping=99999999999999: '99999999999999 MiB' is too large");
    EXPECT_EQ(refusal("readahead=many"), "option readahead=many: give a whole number");
    EXPECT_EQ(refusal("readahead=-1"), "option readahead=-1: -1 is out of range: 0 to 1024");
    EXPECT_EQ(refusal("write_behind=-1"), "option write_behind=-1: '-1 s' is negative");
    EXPECT_EQ(refusal("guest"), "option guest: give it a value, as in guest=guest");
    EXPECT_EQ(refusal("names=10ms"), "option names=10ms: \"10 ms\" is less than 1 s");
    EXPECT_EQ(refusal("maping=1"), "option 'maping' is unknown; see xenfs-mount --help");
    EXPECT_TRUE(refusal("transfer=teleport").starts_with("option transfer=teleport: there is no"));
}

TEST(MountOptions, TheManPageHasThem) {
    const std::string page = settings::read_text(XENFS_MOUNT_PAGE);
    EXPECT_NE(page.find(options_manual()), std::string::npos)
        << "put this between the page's two markers:\n"
        << options_manual();
}

}  // namespace
}  // namespace xenfs::real::mount
