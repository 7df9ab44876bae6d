// A client asks for ranges that cannot be, beside an honest client at verified work.
#include "model/server/server_state.h"
#include "sim/tests/core_hostile_siege.h"

namespace xenfs::sim::tests {
namespace {

constexpr std::uint64_t edge = std::uint64_t{1} << 63;

TEST(CoreHostileRanges, NonsenseIsAnsweredWithAnErrno) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil"), other = own_file(evil, "other");
        const auto allocate = [&](std::uint64_t fh, std::uint64_t offset, std::uint64_t length,
                                  std::uint32_t mode) {
            const protocol::FallocateIn in{fh, offset, length, mode, 0};
            return evil.ask(Opcode::fallocate, file.node, in).error;
        };
        EXPECT_EQ(allocate(file.fh, 0, 0, 0), EINVAL);
        EXPECT_EQ(allocate(file.fh, edge, 1, 0), EINVAL);
        EXPECT_EQ(allocate(file.fh, 0, ~std::uint64_t{0}, 3), EINVAL);
        EXPECT_EQ(allocate(file.fh, edge - 1, edge - 1, 3), EFBIG);
        EXPECT_EQ(allocate(file.fh, edge - 1, 1, 0), EFBIG);
        EXPECT_EQ(allocate(file.fh, 0, 1, 2), EOPNOTSUPP) << "a hole that keeps no size";
        EXPECT_EQ(allocate(file.fh, 0, 1, ~0u), EOPNOTSUPP);
        EXPECT_EQ(allocate(file.fh, 1, page_size, 8), EINVAL);
        EXPECT_EQ(allocate(file.fh, 0, page_size, 8), EOPNOTSUPP);
        EXPECT_EQ(allocate(file.fh + 1, 0, 1, 0), EBADF);
        EXPECT_EQ(evil.ask(Opcode::fallocate, file.node, file.fh).error, EINVAL);
        const auto seek = [&](std::uint64_t fh, std::uint64_t offset, std::uint32_t whence) {
            const protocol::LseekIn in{fh, offset, whence, 0};
            return evil.ask(Opcode::lseek, file.node, in).error;
        };
        EXPECT_EQ(seek(file.fh, 0, 0), EINVAL);
        EXPECT_EQ(seek(file.fh, 0, ~0u), EINVAL);
        EXPECT_EQ(seek(file.fh, 0, protocol::seek_data), ENXIO);
        EXPECT_EQ(seek(file.fh, ~std::uint64_t{0}, protocol::seek_hole), ENXIO);
        EXPECT_EQ(seek(file.fh + 1, 0, protocol::seek_data), EBADF);
        const auto copy = [&](auto change) {
            protocol::CopyFileRangeIn in{file.fh, 0, other.node, other.fh, 0, page_size, 0};
            change(in);
            return evil.ask(Opcode::copy_file_range, file.node, in).error;
        };
        using In = protocol::CopyFileRangeIn;
        EXPECT_EQ(copy([](In& in) { in.flags = 1; }), EINVAL);
        EXPECT_EQ(copy([](In& in) { in.len = 100; }), EINVAL);
        EXPECT_EQ(copy([](In& in) { in.len = 0; }), EINVAL);
        EXPECT_EQ(copy([](In& in) { in.off_out = 100; }), EINVAL);
        EXPECT_EQ(copy([](In& in) { in.off_out = edge; }), EFBIG);
        EXPECT_EQ(copy([](In& in) { in.len = ~std::uint64_t{0} << page_shift; }), EFBIG);
        EXPECT_EQ(copy([](In& in) { in.fh_in += 1; }), EBADF);
        EXPECT_EQ(copy([](In& in) { in.fh_out = in.fh_in; }), EBADF) << "another file's number";
        EXPECT_EQ(copy([](In& in) { in.nodeid_out = root_node; }), EBADF);
        EXPECT_EQ(copy([](In& in) { in.nodeid_out = 77777; }), EBADF);
        EXPECT_EQ(copy([](In& in) { in.off_in = ~std::uint64_t{0}; }), 0) << "behind the end";
        EXPECT_EQ(evil.ask(Opcode::fallocate, file.node,
                           protocol::FallocateIn{file.fh, 0, 10 * page_size, 0, 0})
                      .error,
                  0);
        const auto itself = [&](std::uint64_t from, std::uint64_t to, std::uint64_t length) {
            return copy([&](In& in) {
                in.nodeid_out = file.node;
                in.fh_out = file.fh;
                in.off_in = from;
                in.off_out = to;
                in.len = length;
            });
        };
        EXPECT_EQ(itself(0, page_size, 2 * page_size), EINVAL);
        EXPECT_EQ(itself(1, 0, page_size), EINVAL);
        EXPECT_EQ(itself(0, 5 * page_size, 5 * page_size), 0);
        EXPECT_EQ(evil.ask(Opcode::copy_file_range, file.node, file.fh).error, EINVAL);
        siege.audit();
    });
    EXPECT_EQ(siege.world.server.stats().protocol_violations, 0u);
}

}  // namespace
}  // namespace xenfs::sim::tests
