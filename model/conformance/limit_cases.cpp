// Tables are finite: grant entries, maptrack.
#include <gtest/gtest.h>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

void nothing(Side&, std::size_t) {}

/// The table takes as many entries as it says and then refuses cleanly; revoked ones can be used
/// again.
namespace grant_table_full {
void server(Side& side) {
    host::Grants& grants = side.host.grants();
    const std::size_t room = grants.grant_capacity() - grants.granted();
    ASSERT_GT(room, 0u);
    const auto frames = side.frames(32);
    std::vector<GrantRef> all;
    for (;;) {
        GrantRef some[32];
        const std::size_t made = grants.grant(side.guest(0), frames, Access::read, some);
        all.insert(all.end(), some, some + made);
        if (made < frames.size()) break;
        ASSERT_LE(all.size(), room);
    }
    EXPECT_EQ(all.size(), room);
    EXPECT_EQ(grants.granted(), grants.grant_capacity());
    GrantRef more = 0;
    EXPECT_EQ(grants.grant(side.guest(0), {frames.data(), 1}, Access::read, {&more, 1}), 0u);
    std::vector<GrantStatus> status(all.size());
    grants.revoke(all, status);
    for (const GrantStatus each : status) ASSERT_EQ(each, GrantStatus::okay);
    EXPECT_EQ(grants.granted() + room, grants.grant_capacity());
    EXPECT_EQ(grants.grant(side.guest(0), {frames.data(), 1}, Access::read, {&more, 1}), 1u);
    EXPECT_EQ(side.revoke(more), GrantStatus::okay);
    side.host.frames().release(frames);
}
}  // namespace grant_table_full

/// A guest that maps without end is refused in the end, keeps what it has, and may map again after
/// an unmap. The bound ends the case on hosts with a large maptrack; there are many entries because
/// Xen lets each be mapped only some hundred times.
namespace maptrack_full {
constexpr std::size_t bound = 300'000;
constexpr std::uint32_t entries = 400;
void server(Side& side) {
    const auto frames = side.frames(entries);
    for (std::uint32_t i = 0; i < entries; ++i) {
        side.fill(host::Page::of_frame(frames[i]), 1 + i);
    }
    const auto references = side.grant(side.guest(0), frames, Access::read);
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "unmapped");
    for (const GrantRef reference : references) {
        EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    }
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    host::Grants& grants = side.host.grants();
    std::vector<MapHandle> mapped;
    GrantStatus refusal = GrantStatus::okay;
    while (mapped.size() < bound && refusal == GrantStatus::okay) {
        MapHandle handles[entries];
        GrantStatus status[entries];
        grants.map(side.others.pool, references, Access::read, handles, status);
        for (std::size_t i = 0; i < entries; ++i) {
            if (status[i] == GrantStatus::okay) {
                mapped.push_back(handles[i]);
            } else {
                refusal = status[i];
                EXPECT_EQ(handles[i], no_handle);
            }
        }
    }
    if (mapped.size() < bound) {
        EXPECT_EQ(refusal, GrantStatus::no_device_space);
        EXPECT_TRUE(side.holds(host::Page::of_mapping(mapped[63]), 64));
        side.unmap(mapped.back());
        MapHandle handle = 0;
        GrantStatus again = GrantStatus::busy;
        for (int tries = 0; again != GrantStatus::okay && tries < 100; ++tries) {
            again = side.try_map(side.others.pool, references[0], Access::read, handle);
            if (again != GrantStatus::okay) side.host.clock().sleep(10'000'000);
        }
        EXPECT_EQ(again, GrantStatus::okay) << "the room comes back, on real hosts after a moment";
        mapped.back() = handle;
    }
    grants.unmap(mapped);
    side.send(side.others.server, "unmapped");
}
}  // namespace maptrack_full

/// Xen counts the mappings of one entry in 8 bits: a peer that maps it without end is refused
/// early, and has room again after an unmap. (A PV guest's gntdev maps each page twice.)
namespace entry_mapped_often {
constexpr std::size_t least = 60, most = 128;
void server(Side& side) {
    const auto frames = side.frames(1);
    side.fill(host::Page::of_frame(frames[0]), 9);
    const GrantRef reference = side.grant(side.guest(0), frames[0], Access::read);
    side.send(side.guest(0), "ref", {&reference, 1});
    side.receive(side.guest(0), "unmapped");
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    side.host.frames().release(frames);
}
void guest(Side& side, std::size_t) {
    const auto reference = side.receive_numbers(side.others.server, "ref")[0];
    std::vector<MapHandle> mapped;
    GrantStatus status = GrantStatus::okay;
    while (mapped.size() <= most) {
        MapHandle handle = no_handle;
        status = side.try_map(side.others.pool, reference, Access::read, handle);
        if (status != GrantStatus::okay) break;
        mapped.push_back(handle);
    }
    EXPECT_NE(status, GrantStatus::okay);
    EXPECT_GE(mapped.size(), least);
    EXPECT_LE(mapped.size(), most);
    EXPECT_TRUE(side.holds(host::Page::of_mapping(mapped.front()), 9));
    side.unmap(mapped.back());
    EXPECT_EQ(side.try_map(side.others.pool, reference, Access::read, mapped.back()),
              GrantStatus::okay);
    side.host.grants().unmap(mapped);
    side.send(side.others.server, "unmapped");
}
}  // namespace entry_mapped_often

}  // namespace

std::vector<Case> limit_cases() {
    return {{"grant_table_full", 1, grant_table_full::server, nothing},
            {"maptrack_full", 1, maptrack_full::server, maptrack_full::guest},
            {"entry_mapped_often", 1, entry_mapped_often::server, entry_mapped_often::guest}};
}

}  // namespace xenfs::conformance
