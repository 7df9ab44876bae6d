#include "sim/run/populate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/scenario/error.h"
#include "workloads/capture/builder.h"

namespace xenfs::sim {
namespace {

using workloads::Capture;
using workloads::CaptureBuilder;
using workloads::FileId;

// A build in /src: reads a.c and /usr/lib/libc, changes a log in place, makes and removes a
// temporary in /tmp.
Capture build(Fingerprint libc = 10, Fingerprint config = 20) {
    CaptureBuilder b;
    b.initial_directory("/src");
    b.initial_directory("/tmp", 01777);
    const FileId source = b.initial_file("/src/a.c", 0644, {1, 2}, 5000);
    const FileId settings = b.initial_file("/src/.config", 0644, {config}, 100);
    const FileId log = b.initial_file("/src/sub/log", 0644, {3}, 10);
    const FileId library = b.initial_file("/usr/lib/libc", 0755, {libc}, 4096);
    b.initial_symlink("/src/link", "/src/a.c");
    const auto p = b.process(workloads::kNone, b.path("/usr/bin/cc"));
    for (const auto& [path, file] :
         {std::pair{"/src/a.c", source}, {"/src/.config", settings}, {"/usr/lib/libc", library}}) {
        b.open(p, path, file, workloads::kOpenRead);
        b.read(p, file, 0, 10);
        b.close(p, file);
    }
    b.open(p, "/src/sub/log", log, workloads::kOpenWrite);
    b.add_version(log, {4}, 20);
    b.write(p, log, 10, 10);
    b.close(p, log);
    const FileId temporary = b.new_file(b.path("/tmp/cc1"));
    b.add_version(temporary, {5}, 10);
    b.open(p, "/tmp/cc1", temporary,
           workloads::kOpenWrite | workloads::kOpenCreate | workloads::kOpenCreated);
    b.write(p, temporary, 0, 10);
    b.close(p, temporary);
    b.exit(p, 0);
    return b.finish();
}

NodeId node_of(const Volume& volume, std::string_view path) {
    NodeId node = root_node;
    std::size_t at = 1;
    while (at < path.size()) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const auto found = volume.lookup(node, path.substr(at, end - at));
        if (!found) return 0;
        node = found->node;
        at = end + 1;
    }
    return node;
}

TEST(Populate, FindsWhatEachGuestNeedsForItself) {
    EXPECT_EQ(written_directories(build()), (std::vector<std::string>{"/src/sub", "/tmp"}));
}

TEST(Populate, OnePrivateImageHoldsTheTree) {
    const auto image = private_image(build());
    const NodeId source = node_of(*image, "/src/a.c");
    ASSERT_NE(source, 0u);
    EXPECT_EQ(image->getattr(source)->size, 5000u);
    Fingerprint pages[2];
    ASSERT_EQ(image->read_content(source, 0, pages), 0);
    EXPECT_EQ(pages[1], 2u);
    EXPECT_EQ(*image->readlink(node_of(*image, "/src/link")), "/src/a.c");
    EXPECT_EQ(node_of(*image, "/tmp/cc1"), 0u);
}

TEST(Populate, GuestsShareFilesThatNobodyChanges) {
    const Capture one = build();
    const Volume volume = shared_volume({&one, &one}, {"/src", "/tmp"});
    EXPECT_NE(node_of(volume, "/usr/lib/libc"), 0u);
    EXPECT_EQ(node_of(volume, "/src/a.c"), 0u);
    const NodeId first = node_of(volume, "/guests/1/src/a.c");
    EXPECT_NE(first, 0u);
    EXPECT_EQ(first, node_of(volume, "/guests/2/src/a.c")) << "one file, a name in each tree";
    EXPECT_NE(node_of(volume, "/guests/1/src/sub/log"), node_of(volume, "/guests/2/src/sub/log"))
        << "changed in place: each its own";
    EXPECT_EQ(*volume.readlink(node_of(volume, "/guests/2/src/link")), "/guests/2/src/a.c");
}

TEST(Populate, AnotherConfigSharesWhatIsEqual) {
    const Capture one = build(10, 20), other = build(10, 21);
    const Volume volume = shared_volume({&one, &other, &one}, {"/src", "/tmp"});
    EXPECT_EQ(node_of(volume, "/guests/1/src/a.c"), node_of(volume, "/guests/2/src/a.c"));
    EXPECT_NE(node_of(volume, "/guests/1/src/.config"), node_of(volume, "/guests/2/src/.config"));
    EXPECT_EQ(node_of(volume, "/guests/1/src/.config"), node_of(volume, "/guests/3/src/.config"));
}

TEST(Populate, CapturesThatDisagreeOnASharedFileAreRefused) {
    const Capture one = build(10), other = build(11);
    try {
        (void)shared_volume({&one, &other}, {"/src", "/tmp"});
        FAIL();
    } catch (const InputError& error) {
        EXPECT_STREQ(error.what(),
                     "the captures disagree on the content of /usr/lib/libc: list its directory in "
                     "workload.private");
    }
}

}  // namespace
}  // namespace xenfs::sim
