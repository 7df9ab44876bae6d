// Every opcode of the protocol has one row, and what a row says of rights holds for every request
// that a client could encode.
#include "model/server/operations.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace xenfs::server {
namespace {

using protocol::Opcode;

/// The enumerators of protocol::Opcode, read from its header.
std::set<std::uint32_t> declared_opcodes() {
    std::ifstream file(FUSE_HEADER);
    std::stringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    const std::size_t begin = all.find("enum class Opcode");
    const std::string body = all.substr(begin, all.find("};", begin) - begin);
    std::set<std::uint32_t> found;
    const std::regex enumerator(R"(\w+ = (\d+))");
    for (std::sregex_iterator i(body.begin(), body.end(), enumerator), end; i != end; ++i) {
        found.insert(static_cast<std::uint32_t>(std::stoul((*i)[1])));
    }
    return found;
}

TEST(Operations, EachOpcodeHasOneRow) {
    const std::set<std::uint32_t> declared = declared_opcodes();
    ASSERT_GT(declared.size(), 40u);
    std::set<std::uint32_t> rows;
    for (const Operation& row : operations()) {
        const auto opcode = static_cast<std::uint32_t>(row.opcode);
        EXPECT_TRUE(rows.insert(opcode).second) << row.name << " twice";
        EXPECT_EQ(find_operation(opcode), &row) << row.name;
        EXPECT_NE(row.handler, nullptr) << row.name;
        EXPECT_EQ(row.writes != nullptr, row.right == Right::by_request) << row.name;
    }
    EXPECT_EQ(rows, declared);
}

TEST(Operations, WhatHasNoRowIsNotFound) {
    const std::set<std::uint32_t> declared = declared_opcodes();
    for (std::uint32_t opcode = 0; opcode < 10000; ++opcode) {
        EXPECT_EQ(find_operation(opcode) != nullptr, declared.contains(opcode)) << opcode;
    }
    EXPECT_EQ(find_operation(~0u), nullptr);
}

TEST(Operations, WhatChangesTheTreeNeedsTheRightToWrite) {
    for (const Operation& row : operations()) {
        const bool changes = row.outcome != Outcome::repeatable;
        EXPECT_TRUE(!changes || row.right == Right::write) << row.name;
    }
    for (const Opcode opcode : {Opcode::setxattr, Opcode::removexattr}) {
        EXPECT_EQ(find_operation(static_cast<std::uint32_t>(opcode))->right, Right::write);
    }
}

template <class In>
bool needs_write(Opcode opcode, const In& in) {
    std::byte message[sizeof in];
    std::memcpy(message, &in, sizeof in);
    return find_operation(static_cast<std::uint32_t>(opcode))
        ->needs_write(protocol::Reader(message, sizeof message));
}

TEST(Operations, OpensAndPageRequestsNeedWhatTheyAskFor) {
    for (const Opcode opcode : {Opcode::open, Opcode::opendir}) {
        EXPECT_FALSE(needs_write(opcode, protocol::OpenIn{protocol::open_read_only, 0}));
        EXPECT_TRUE(needs_write(opcode, protocol::OpenIn{protocol::open_write_only, 0}));
        EXPECT_TRUE(needs_write(opcode, protocol::OpenIn{protocol::open_read_write, 0}));
        EXPECT_TRUE(needs_write(opcode, protocol::OpenIn{protocol::open_truncate, 0}));
    }
    using protocol::PageMode;
    for (std::uint32_t mode = 0; mode < 256; ++mode) {
        protocol::PagesGetIn in{};
        in.mode = static_cast<decltype(in.mode)>(mode);
        const auto kind = static_cast<PageMode>(mode);
        const bool reads =
            kind == PageMode::map_read || kind == PageMode::copy_out || kind == PageMode::flip_out;
        EXPECT_EQ(needs_write(Opcode::pages_get, in), !reads) << mode;
    }
}

TEST(Operations, ACommitThatIsAnFsyncCountsAsOne) {
    const auto kind = [](std::uint32_t flags) {
        protocol::PagesCommitIn in{};
        in.flags = static_cast<decltype(in.flags)>(flags);
        std::byte message[sizeof in];
        std::memcpy(message, &in, sizeof in);
        return find_operation(static_cast<std::uint32_t>(Opcode::pages_commit))
            ->kind_of(protocol::Reader(message, sizeof message));
    };
    EXPECT_EQ(kind(0), RequestKind::write);
    EXPECT_EQ(kind(protocol::commit_keep), RequestKind::write);
    EXPECT_EQ(kind(protocol::commit_sync), RequestKind::sync);
    EXPECT_EQ(kind(protocol::commit_sync_all | protocol::commit_mtime), RequestKind::sync);
}

}  // namespace
}  // namespace xenfs::server
