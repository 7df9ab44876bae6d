// These are grants: maps, access, wrong domains and references, revocation.
#include <gtest/gtest.h>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

using host::Page;

/// A read-only mapping shows the granter's page, and at once what it writes later.
namespace map_read {
void server(Side& side) {
    const auto frames = side.frames(16);
    for (std::uint32_t i = 0; i < 16; ++i) side.fill(Page::of_frame(frames[i]), 100 + i);
    const auto references = side.grant(side.guest(0), frames, Access::read);
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "mapped");
    side.fill(Page::of_frame(frames[3]), 999);
    side.send(side.guest(0), "changed");
    side.receive(side.guest(0), "unmapped");
    for (const GrantRef reference : references) {
        EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    }
    side.host.frames().release(frames);
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    const auto handles = side.map(side.others.pool, references, Access::read);
    for (std::uint32_t i = 0; i < 16; ++i) {
        EXPECT_TRUE(side.holds(Page::of_mapping(handles[i]), 100 + i)) << i;
    }
    side.send(side.others.server, "mapped");
    side.receive(side.others.server, "changed");
    EXPECT_TRUE(side.holds(Page::of_mapping(handles[3]), 999));
    side.host.grants().unmap(handles);
    side.send(side.others.server, "unmapped");
}
}  // namespace map_read

/// One frame is granted to two guests at once, as a page shared by the whole host.
namespace map_twice {
void server(Side& side) {
    const auto frames = side.frames(1);
    side.fill(Page::of_frame(frames[0]), 7);
    std::vector<GrantRef> references;
    for (const std::size_t i : {0u, 1u}) {
        references.push_back(side.grant(side.guest(i), frames[0], Access::read));
        side.send(side.guest(i), "ref", {&references.back(), 1});
    }
    EXPECT_NE(references[0], references[1]);
    for (const std::size_t i : {0u, 1u}) side.receive(side.guest(i), "mapped");
    side.fill(Page::of_frame(frames[0]), 8);
    for (const std::size_t i : {0u, 1u}) side.send(side.guest(i), "changed");
    for (const std::size_t i : {0u, 1u}) side.receive(side.guest(i), "unmapped");
    for (const GrantRef reference : references) {
        EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    }
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "ref");
    const auto handles = side.map(side.others.pool, references, Access::read);
    EXPECT_TRUE(side.holds(Page::of_mapping(handles[0]), 7));
    side.send(side.others.server, "mapped");
    side.receive(side.others.server, "changed");
    EXPECT_TRUE(side.holds(Page::of_mapping(handles[0]), 8));
    side.unmap(handles[0]);
    side.send(side.others.server, "unmapped");
}
}  // namespace map_twice

/// Through a writable mapping the granter reads what the peer wrote; one entry may have several
/// mappings.
namespace map_write {
void server(Side& side) {
    const auto frames = side.frames(1);
    side.fill(Page::of_frame(frames[0]), 1);
    const GrantRef reference = side.grant(side.guest(0), frames[0], Access::read_write);
    side.send(side.guest(0), "ref", {&reference, 1});
    side.receive(side.guest(0), "written");
    EXPECT_TRUE(side.holds(Page::of_frame(frames[0]), 2));
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
}
void guest(Side& side, std::size_t) {
    const auto reference = side.receive_numbers(side.others.server, "ref");
    const auto writable = side.map(side.others.pool, reference, Access::read_write);
    const auto readable = side.map(side.others.pool, reference, Access::read);
    side.fill(Page::of_mapping(writable[0]), 2);
    EXPECT_TRUE(side.holds(Page::of_mapping(readable[0]), 2));
    side.unmap(writable[0]);
    EXPECT_TRUE(side.holds(Page::of_mapping(readable[0]), 2)) << "the other one is still there";
    side.unmap(readable[0]);
    side.send(side.others.server, "written");
}
}  // namespace map_write

/// A read-only entry refuses a writable map, and afterwards still allows a read-only one.
namespace read_only {
void server(Side& side) {
    const auto frames = side.frames(1);
    const GrantRef reference = side.grant(side.guest(0), frames[0], Access::read);
    side.send(side.guest(0), "ref", {&reference, 1});
    side.receive(side.guest(0), "tried");
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
}
void guest(Side& side, std::size_t) {
    const auto reference = side.receive_numbers(side.others.server, "ref")[0];
    MapHandle handle = 0;
    EXPECT_NE(side.try_map(side.others.pool, reference, Access::read_write, handle),
              GrantStatus::okay);
    EXPECT_EQ(handle, no_handle);
    EXPECT_EQ(side.try_map(side.others.pool, reference, Access::read, handle), GrantStatus::okay);
    side.unmap(handle);
    side.send(side.others.server, "tried");
}
}  // namespace read_only

/// A grant to one guest is refused to another, and to a domain that does not exist.
namespace wrong_domain {
void server(Side& side) {
    const auto frames = side.frames(1);
    const GrantRef reference = side.grant(side.guest(0), frames[0], Access::read);
    side.send(side.guest(1), "ref", {&reference, 1});
    side.receive(side.guest(1), "tried");
    side.send(side.guest(0), "ref", {&reference, 1});
    side.receive(side.guest(0), "tried");
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
}
void guest(Side& side, std::size_t index) {
    const auto reference = side.receive_numbers(side.others.server, "ref")[0];
    MapHandle handle = 0;
    const GrantStatus status = side.try_map(side.others.pool, reference, Access::read, handle);
    EXPECT_EQ(status == GrantStatus::okay, index == 0);
    EXPECT_EQ(handle == no_handle, index != 0);
    if (index == 0) side.unmap(handle);
    EXPECT_NE(side.try_map(30'000, reference, Access::read, handle), GrantStatus::okay);
    EXPECT_EQ(handle, no_handle);
    side.send(side.others.server, "tried");
}
}  // namespace wrong_domain

/// References that were never given out, lie beyond the table, or were revoked come in one batch
/// with good ones, and each gets its own status.
namespace wrong_reference {
void server(Side& side) {
    const auto frames = side.frames(3);
    const auto references = side.grant(side.guest(0), frames, Access::read);
    EXPECT_EQ(side.revoke(references[1]), GrantStatus::okay);
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "tried");
    EXPECT_EQ(side.revoke_when_idle(references[0]), GrantStatus::okay);
    EXPECT_EQ(side.revoke_when_idle(references[2]), GrantStatus::okay);
    EXPECT_NE(side.revoke(references[2]), GrantStatus::okay) << "it is none of ours any more";
    EXPECT_NE(side.revoke(0x7fffffff), GrantStatus::okay);
}
void guest(Side& side, std::size_t) {
    auto references = side.receive_numbers(side.others.server, "refs");
    references.push_back(0x7fffffff);
    references.push_back(references[2] + 1);
    MapHandle handles[5];
    GrantStatus status[5];
    side.host.grants().map(side.others.pool, references, Access::read, handles, status);
    for (const std::size_t i : {0u, 2u}) {
        EXPECT_EQ(status[i], GrantStatus::okay) << i;
        side.unmap(handles[i]);
    }
    for (const std::size_t i : {1u, 3u, 4u}) {
        EXPECT_NE(status[i], GrantStatus::okay) << i;
        EXPECT_EQ(handles[i], no_handle) << i;
    }
    side.send(side.others.server, "tried");
}
}  // namespace wrong_reference

/// A mapped page cannot be taken back by force: revoking it answers busy until the peer unmaps it,
/// and then the entry ends.
namespace revoke_busy {
void server(Side& side) {
    const auto frames = side.frames(1);
    side.fill(Page::of_frame(frames[0]), 5);
    const GrantRef reference = side.grant(side.guest(0), frames[0], Access::read);
    side.send(side.guest(0), "ref", {&reference, 1});
    side.receive(side.guest(0), "mapped");
    const std::size_t granted = side.host.grants().granted();
    EXPECT_EQ(side.revoke(reference), GrantStatus::busy);
    EXPECT_EQ(side.revoke(reference), GrantStatus::busy);
    EXPECT_EQ(side.host.grants().granted(), granted) << "a busy entry is still an entry";
    side.send(side.guest(0), "revoked");
    side.receive(side.guest(0), "unmapped");
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    EXPECT_EQ(side.host.grants().granted(), granted - 1);
    side.send(side.guest(0), "ended");
    side.receive(side.guest(0), "tried");
    side.host.frames().release(frames);
}
void guest(Side& side, std::size_t) {
    const auto reference = side.receive_numbers(side.others.server, "ref")[0];
    const auto handles = side.map(side.others.pool, {&reference, 1}, Access::read);
    side.send(side.others.server, "mapped");
    side.receive(side.others.server, "revoked");
    EXPECT_TRUE(side.holds(Page::of_mapping(handles[0]), 5)) << "the mapping itself stays good";
    side.unmap(handles[0]);
    MapHandle again = 0;
    EXPECT_NE(side.try_map(side.others.pool, reference, Access::read, again), GrantStatus::okay)
        << "a soft revoke lets nobody in again";
    side.send(side.others.server, "unmapped");
    side.receive(side.others.server, "ended");
    EXPECT_NE(side.try_map(side.others.pool, reference, Access::read, again), GrantStatus::okay);
    side.send(side.others.server, "tried");
}
}  // namespace revoke_busy

/// Xen looks at an entry's type only for the first mapping: a peer that still has one can make more
/// after the revocation, and none once its last has ended.
namespace map_again_while_revoked {
void server(Side& side) {
    const auto frames = side.frames(1);
    side.fill(Page::of_frame(frames[0]), 6);
    const GrantRef reference = side.grant(side.guest(0), frames[0], Access::read);
    for (const std::size_t i : {0u, 1u}) side.send(side.guest(i), "ref", {&reference, 1});
    side.receive(side.guest(0), "mapped");
    EXPECT_EQ(side.revoke(reference), GrantStatus::busy);
    for (const std::size_t i : {0u, 1u}) side.send(side.guest(i), "revoked");
    side.receive(side.guest(1), "refused");
    side.receive(side.guest(0), "again");
    EXPECT_EQ(side.revoke(reference), GrantStatus::busy) << "the second mapping keeps it";
    side.send(side.guest(0), "asked");
    side.receive(side.guest(0), "unmapped");
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    side.host.frames().release(frames);
}
void guest(Side& side, std::size_t index) {
    const DomainId pool = side.others.pool, server = side.others.server;
    const auto reference = side.receive_numbers(server, "ref");
    MapHandle handle = no_handle;
    if (index == 1) {
        side.receive(server, "revoked");
        EXPECT_NE(side.try_map(pool, reference[0], Access::read, handle), GrantStatus::okay);
        side.send(server, "refused");
        return;
    }
    const auto first = side.map(pool, reference, Access::read);
    side.send(server, "mapped");
    side.receive(server, "revoked");
    const auto second = side.map(pool, reference, Access::read);
    side.unmap(first[0]);
    EXPECT_TRUE(side.holds(Page::of_mapping(second[0]), 6));
    EXPECT_NE(side.try_map(pool, reference[0], Access::read_write, handle), GrantStatus::okay);
    side.send(server, "again");
    side.receive(server, "asked");
    side.unmap(second[0]);
    EXPECT_NE(side.try_map(pool, reference[0], Access::read, handle), GrantStatus::okay);
    EXPECT_EQ(handle, no_handle);
    side.send(server, "unmapped");
}
}  // namespace map_again_while_revoked

/// Memory with bytes behind it is zeroed, and shared both ways: rings are made of it.
namespace shared_bytes {
void server(Side& side) {
    const auto reference = side.receive_numbers(side.guest(0), "ref");
    const auto handles = side.map(side.guest(0), reference, Access::read_write);
    std::byte* const bytes = side.host.memory().bytes(Page::of_mapping(handles[0]));
    ASSERT_NE(bytes, nullptr);
    EXPECT_EQ(bytes[0], std::byte{0});
    EXPECT_EQ(bytes[17], std::byte{42});
    bytes[page_size - 1] = std::byte{43};
    side.send(side.guest(0), "written");
    side.receive(side.guest(0), "read");
    side.unmap(handles[0]);
    side.send(side.guest(0), "unmapped");
}
void guest(Side& side, std::size_t) {
    const Result<Frame> frame = side.host.memory().allocate_shared();
    ASSERT_TRUE(frame);
    std::byte* const bytes = side.host.memory().bytes(Page::of_frame(*frame));
    for (std::size_t i = 0; i < page_size; ++i) ASSERT_EQ(bytes[i], std::byte{0}) << i;
    bytes[17] = std::byte{42};
    const GrantRef reference = side.grant(side.others.server, *frame, Access::read_write);
    side.send(side.others.server, "ref", {&reference, 1});
    side.receive(side.others.server, "written");
    EXPECT_EQ(bytes[page_size - 1], std::byte{43});
    side.send(side.others.server, "read");
    side.receive(side.others.server, "unmapped");
    EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    side.host.memory().release_shared(*frame);
}
}  // namespace shared_bytes

}  // namespace

std::vector<Case> grant_cases() {
    return {{"map_read", 1, map_read::server, map_read::guest},
            {"map_twice", 2, map_twice::server, map_twice::guest},
            {"map_write", 1, map_write::server, map_write::guest},
            {"read_only", 1, read_only::server, read_only::guest},
            {"wrong_domain", 2, wrong_domain::server, wrong_domain::guest},
            {"wrong_reference", 1, wrong_reference::server, wrong_reference::guest},
            {"revoke_busy", 1, revoke_busy::server, revoke_busy::guest},
            {"map_again_while_revoked", 2, map_again_while_revoked::server,
             map_again_while_revoked::guest},
            {"shared_bytes", 1, shared_bytes::server, shared_bytes::guest}};
}

}  // namespace xenfs::conformance
