// Frames have limits and contents, and can be ballooned.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

using host::Page;

void no_server(Side&) {}
void no_guest(Side&, std::size_t) {}

/// A domain gets frames up to its limit and no further, and released ones come back. A limit below
/// what it has takes nothing away.
namespace frame_limit {
void server(Side& side) {
    host::Frames& frames = side.host.frames();
    const std::size_t before = frames.owned();
    const std::size_t old_limit = frames.limit();
    frames.set_limit(before + 20);
    EXPECT_EQ(frames.limit(), before + 20);
    std::vector<Frame> got(30, no_frame);
    ASSERT_EQ(frames.allocate(got), 20u);
    EXPECT_EQ(frames.owned(), before + 20);
    got.resize(20);
    for (std::size_t i = 0; i < got.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) EXPECT_NE(got[i], got[j]);
    }
    frames.set_limit(before + 5);
    EXPECT_EQ(frames.owned(), before + 20);
    for (std::uint32_t i = 0; i < 20; ++i) side.fill(Page::of_frame(got[i]), i);
    for (std::uint32_t i = 0; i < 20; ++i) EXPECT_TRUE(side.holds(Page::of_frame(got[i]), i));
    frames.release({got.data(), 16});
    EXPECT_EQ(frames.owned(), before + 4);
    Frame more[3];
    EXPECT_EQ(frames.allocate(more), 1u);
    frames.release({more, 1});
    frames.release({got.data() + 16, 4});
    EXPECT_EQ(frames.owned(), before);
    frames.set_limit(old_limit);
}
}  // namespace frame_limit

/// Zero, copy, equal and hash agree with each other on contents.
namespace contents {
void server(Side& side) {
    host::Memory& memory = side.host.memory();
    const auto frames = side.frames(3);
    const Page a = Page::of_frame(frames[0]), b = Page::of_frame(frames[1]),
               c = Page::of_frame(frames[2]);
    side.fill(a, 1);
    side.fill(b, 2);
    EXPECT_FALSE(memory.equal(a, b));
    memory.copy(a, b);
    EXPECT_TRUE(memory.equal(a, b));
    EXPECT_TRUE(side.holds(b, 1));
    memory.zero(c, 0, page_size);
    EXPECT_TRUE(side.holds(c, 0));
    memory.zero(b, 100, 200);
    EXPECT_FALSE(memory.equal(a, b));
    memory.zero(a, 100, 200);
    EXPECT_TRUE(memory.equal(a, b)) << "the same change to the same page";
    memory.zero(c, 100, 200);
    EXPECT_TRUE(side.holds(c, 0)) << "zeros over zeros";
    const Page pages[] = {a, b, c};
    Fingerprint hashes[3];
    memory.hash(pages, hashes);
    EXPECT_EQ(hashes[0], hashes[1]);
    EXPECT_NE(hashes[0], hashes[2]);
    side.host.frames().release(frames);
}
}  // namespace contents

/// The host counts what a guest balloons out, the guest has it no more, and the pool may grow by as
/// much; the guest gets it back when the pool has shrunk again.
namespace balloon {
void server(Side& side) {
    host::Host& host = side.host;
    if (!host.capabilities().balloon) GTEST_SKIP() << "no balloon here";
    host::Frames& frames = host.frames();
    EXPECT_EQ(frames.donated_by(side.guest(0)), 0u);
    side.send(side.guest(0), "start");
    const std::size_t donated = side.receive_numbers(side.guest(0), "donated")[0];
    EXPECT_EQ(frames.donated_by(side.guest(0)), donated);
    EXPECT_EQ(frames.donated_by(side.guest(1)), 0u);
    const std::size_t old_limit = frames.limit();
    frames.set_limit(old_limit + donated);
    std::vector<Frame> got(old_limit - frames.owned() + donated);
    EXPECT_EQ(frames.allocate(got), got.size()) << "the pool grew";
    frames.release(got);
    frames.set_limit(old_limit);
    side.send(side.guest(0), "shrunk");
    side.receive(side.guest(0), "reclaimed");
    EXPECT_EQ(frames.donated_by(side.guest(0)), 0u);
}
void guest(Side& side, std::size_t index) {
    host::Frames& frames = side.host.frames();
    if (!side.host.capabilities().balloon || index != 0) return;
    side.receive(side.others.server, "start");
    const std::size_t limit = frames.limit();
    const auto kept = side.frames(10);
    const std::size_t donated = frames.donate(40);
    EXPECT_EQ(donated, 40u);
    std::vector<Frame> rest(limit);
    const std::size_t left = frames.allocate(rest);
    EXPECT_EQ(left + 10 + donated, limit) << "what was donated cannot be used";
    EXPECT_EQ(frames.donate(1), 0u) << "nothing is free";
    frames.release({rest.data(), left});
    const std::uint32_t number = static_cast<std::uint32_t>(donated);
    side.send(side.others.server, "donated", {&number, 1});
    side.receive(side.others.server, "shrunk");
    EXPECT_EQ(frames.reclaim(1000), donated);
    EXPECT_EQ(frames.allocate(rest), limit - 10);
    frames.release({rest.data(), limit - 10});
    frames.release(kept);
    side.send(side.others.server, "reclaimed");
}
}  // namespace balloon

/// A successor of a dead server finds every frame and every entry as they are.
namespace all_listed {
void server(Side& side) {
    host::Host& host = side.host;
    const auto before = host.frames().all();
    if (before.error() == ENOTSUP) return;
    ASSERT_TRUE(before);
    const auto frames = side.frames(3);
    const auto shared = host.memory().allocate_shared();
    const GrantRef read = side.grant(side.guest(0), frames[0], Access::read);
    const GrantRef write = side.grant(side.guest(0), frames[1], Access::read_write);
    const auto found = host.frames().all();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), before->size() + 3 + (shared ? 1 : 0));
    const auto has = [&](Frame frame, bool is_shared) {
        return std::any_of(found->begin(), found->end(), [&](const host::OwnedFrame& f) {
            return f.frame == frame && f.shared == is_shared;
        });
    };
    for (const Frame frame : frames) EXPECT_TRUE(has(frame, false));
    EXPECT_EQ(shared && has(*shared, true), bool(shared));
    const auto entries = host.grants().all();
    ASSERT_TRUE(entries);
    std::size_t seen = 0;
    for (const host::FoundEntry& entry : *entries) {
        if (entry.reference != read && entry.reference != write) continue;
        ++seen;
        EXPECT_EQ(entry.frame, frames[entry.reference == read ? 0 : 1]);
        EXPECT_EQ(entry.domain, side.guest(0));
        EXPECT_EQ(entry.access, entry.reference == read ? Access::read : Access::read_write);
        EXPECT_FALSE(entry.accepts || entry.revoked);
    }
    EXPECT_EQ(seen, 2u);
    EXPECT_EQ(side.revoke(read), GrantStatus::okay);
    EXPECT_EQ(side.revoke(write), GrantStatus::okay);
    host.frames().release(frames);
    if (shared) host.memory().release_shared(*shared);
}
}  // namespace all_listed

}  // namespace

std::vector<Case> frame_cases() {
    return {{"frame_limit", 1, frame_limit::server, no_guest},
            {"frame_limit_of_guest", 1, no_server,
             [](Side& side, std::size_t) { frame_limit::server(side); }},
            {"all_listed", 1, all_listed::server, no_guest},
            {"contents", 1, contents::server, no_guest},
            {"balloon", 2, balloon::server, balloon::guest}};
}

}  // namespace xenfs::conformance
