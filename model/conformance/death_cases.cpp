// Domains die while others depend on them.
#include <gtest/gtest.h>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

using host::Page;

/// A guest dies with pages mapped: its pins end, the entries can be used again, and the other guest
/// notices nothing.
namespace dies_with_mappings {
void server(Side& side) {
    const auto frames = side.frames(64);
    for (std::uint32_t i = 0; i < 64; ++i) side.fill(Page::of_frame(frames[i]), 200 + i);
    std::vector<GrantRef> references[2];
    for (const std::size_t i : {0u, 1u}) {
        references[i] = side.grant(side.guest(i), frames, Access::read);
        side.send(side.guest(i), "refs", references[i]);
        side.receive(side.guest(i), "mapped");
    }
    EXPECT_EQ(side.revoke(references[0][5]), GrantStatus::busy);
    side.destroy_guest(0);
    for (const GrantRef reference : references[0]) {
        EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    }
    EXPECT_EQ(side.revoke(references[1][5]), GrantStatus::busy) << "the other one lives";
    side.send(side.guest(1), "died");
    side.receive(side.guest(1), "unmapped");
    for (const GrantRef reference : references[1]) {
        EXPECT_EQ(side.revoke_when_idle(reference), GrantStatus::okay);
    }
    side.host.frames().release(frames);
}
void guest(Side& side, std::size_t index) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    const auto handles = side.map(side.others.pool, references, Access::read);
    side.send(side.others.server, "mapped");
    if (index == 0) {
        const auto gate = side.host.tasks().make_gate();
        for (;;) gate->wait();  // runs until the domain is destroyed
    }
    side.receive(side.others.server, "died");
    for (std::uint32_t i = 0; i < 64; ++i) {
        EXPECT_TRUE(side.holds(Page::of_mapping(handles[i]), 200 + i)) << i;
    }
    side.host.grants().unmap(handles);
    side.send(side.others.server, "unmapped");
}
}  // namespace dies_with_mappings

/// A guest dies while the server has its pages mapped (a ring): they stay readable until the unmap,
/// new maps and its event channel are refused, and its grants to others have ended.
namespace dies_with_grants {
void server(Side& side) {
    const auto references = side.receive_numbers(side.guest(0), "refs");
    const auto port = side.receive_numbers(side.guest(0), "port");
    const auto handles = side.map(side.guest(0), {references.data(), 1}, Access::read_write);
    const std::byte* const bytes = side.host.memory().bytes(Page::of_mapping(handles[0]));
    const Result<Port> bound = side.host.events().bind(side.guest(0), port[0]);
    EXPECT_TRUE(bound);
    side.destroy_guest(0);
    EXPECT_EQ(bytes[0], std::byte{77});
    side.host.events().notify(*bound);  // nobody receives it
    side.host.clock().sleep(1'000'000);
    MapHandle handle = 0;
    EXPECT_NE(side.try_map(side.guest(0), references[1], Access::read, handle), GrantStatus::okay);
    EXPECT_EQ(handle, no_handle);
    EXPECT_FALSE(side.host.events().bind(side.guest(0), port[1]));
    side.unmap(handles[0]);
    side.host.events().close(*bound);
    const auto home = "/local/domain/" + std::to_string(side.guest(0));
    EXPECT_EQ(side.host.store().read(home).error(), ENOENT) << "its store nodes are gone";
}
void guest(Side& side, std::size_t) {
    GrantRef references[2];
    for (GrantRef& reference : references) {
        const Result<Frame> frame = side.host.memory().allocate_shared();
        ASSERT_TRUE(frame);
        side.host.memory().bytes(Page::of_frame(*frame))[0] = std::byte{77};
        reference = side.grant(side.others.server, *frame, Access::read_write);
    }
    const std::uint32_t ports[] = {*side.host.events().allocate_unbound(side.others.server),
                                   *side.host.events().allocate_unbound(side.others.server)};
    side.send(side.others.server, "refs", references);
    side.send(side.others.server, "port", ports);
    const auto gate = side.host.tasks().make_gate();
    for (;;) gate->wait();  // runs until the domain is destroyed
}
}  // namespace dies_with_grants

}  // namespace

std::vector<Case> death_cases() {
    return {{"dies_with_mappings", 2, dies_with_mappings::server, dies_with_mappings::guest},
            {"dies_with_grants", 1, dies_with_grants::server, dies_with_grants::guest}};
}

}  // namespace xenfs::conformance
