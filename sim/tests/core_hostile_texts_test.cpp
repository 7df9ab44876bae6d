// A client puts and asks for texts in parts that do not fit together, beside an honest client at
// verified work.
#include "model/server/server_state.h"
#include "sim/tests/core_hostile_siege.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using protocol::GetxattrIn;
using protocol::SetxattrIn;
using protocol::TextIn;
using protocol::TextUse;
using Words = std::vector<std::uint32_t>;

constexpr std::uint32_t part = 4000;

TEST(CoreHostileTexts, PartsThatDoNotFitTogetherAreRefused) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        const OwnFile file = own_file(evil, "evil");
        const auto put = [&](std::uint32_t offset, std::uint32_t length) {
            return evil.ask(Opcode::text_put, 0, TextIn{offset, length}, Words(length / 4)).error;
        };
        const auto get = [&](std::uint32_t offset, std::uint32_t length) {
            return evil.ask(Opcode::text_get, 0, TextIn{offset, length});
        };
        EXPECT_EQ(get(0, part).error, EAGAIN) << "there is no text";
        EXPECT_EQ(put(part, part), EAGAIN) << "it does not begin";
        EXPECT_EQ(evil.ask(Opcode::text_put, 0, TextIn{0, ~0u}, Words(1)).error, EINVAL);
        EXPECT_EQ(evil.ask(Opcode::text_put, 0, 1).error, EINVAL);
        EXPECT_EQ(put(0, part), 0);
        EXPECT_EQ(put(2 * part, part), EAGAIN) << "a part is left out";
        EXPECT_EQ(put(part, part), 0);
        EXPECT_EQ(get(part, ~0u).length, std::size_t{part});
        EXPECT_EQ(get(2 * part, 1).error, EAGAIN);
        EXPECT_EQ(get(~0u, ~0u).error, EAGAIN);

        const auto set = [&](std::uint32_t size) {
            const SetxattrIn in{size, 0, 0, 1};
            return evil.ask(Opcode::setxattr, file.node, in, "user.long"sv).error;
        };
        EXPECT_EQ(set(part), EAGAIN) << "another size";
        EXPECT_EQ(set(2 * part), EAGAIN) << "it was taken";
        EXPECT_EQ(set(0), EAGAIN);
        EXPECT_EQ(set(~0u), EAGAIN);
        const auto link = [&](const auto&... target) {
            return evil.ask(Opcode::symlink, root_node, "link"sv, target...).error;
        };
        EXPECT_EQ(link(""sv, TextUse{part, 0}), EAGAIN);
        EXPECT_EQ(link(""sv, TextUse{0, 0}), EAGAIN);
        EXPECT_EQ(link("both"sv, TextUse{part, 0}), EINVAL);
        EXPECT_EQ(link(""sv), ENOENT);

        std::uint32_t size = 0;
        int error = 0;
        for (; error == 0; size += part) error = put(size, part);
        EXPECT_EQ(error, E2BIG);
        EXPECT_LE(size, protocol::max_text_bytes + part);
        EXPECT_GT(size, protocol::max_text_bytes - part);
        EXPECT_EQ(put(0, 0), 0);
        EXPECT_EQ(get(0, 1).error, EAGAIN) << "an empty text";
        siege.audit();
    });
}

TEST(CoreHostileTexts, ATextThatIsUsedTwiceOrWhileItChangesHarmsNobody) {
    Siege siege;
    HostileClient& evil = siege.client;
    siege.run([&] {
        ASSERT_TRUE(evil.connect());
        constexpr std::uint32_t half = 2000;  // both fit into a block of the volume
        const OwnFile file = own_file(evil, "evil");
        const SetxattrIn in{2 * half, 0, 0, 1};
        for (int round = 0; round < 20; ++round) {
            evil.ask(Opcode::text_put, 0, TextIn{0, half}, Words(half / 4));
            evil.ask(Opcode::text_put, 0, TextIn{half, half}, Words(half / 4));
            // All in flight at once: the storage is busy with one as the others come.
            evil.send(Opcode::setxattr, file.node, in, "user.a"sv);
            evil.send(Opcode::text_put, 0, TextIn{0, half}, Words(half / 4));
            evil.send(Opcode::setxattr, file.node, in, "security.capability"sv);
            evil.send(Opcode::getxattr, file.node, GetxattrIn{protocol::max_text_bytes, 1},
                      "user.a"sv);
            evil.send(Opcode::text_put, 0, TextIn{0, 0}, Words{});
            evil.ask(Opcode::text_get, 0, TextIn{half, half});
        }
        const auto got = evil.ask(Opcode::getxattr, file.node,
                                  GetxattrIn{protocol::max_text_bytes, 1}, "user.a"sv);
        EXPECT_EQ(got.error, 0);
        EXPECT_EQ(got.get<protocol::TextOut>().size, 2 * half);
        siege.audit();
    });
}

}  // namespace
}  // namespace xenfs::sim::tests
