// Grant copies pin nothing.
#include <gtest/gtest.h>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

using host::CopyOperation;
using host::CopySide;
using host::Page;

CopySide local(Frame frame, std::uint16_t offset = 0) {
    CopySide side;
    side.frame = frame;
    side.offset = offset;
    return side;
}

CopySide peer(DomainId domain, GrantRef reference, std::uint16_t offset = 0) {
    CopySide side;
    side.domain = domain;
    side.reference = reference;
    side.offset = offset;
    return side;
}

GrantStatus copy_page(Side& side, CopySide from, CopySide to, std::uint16_t length = page_size) {
    CopyOperation operation{from, to, length};
    side.host.grants().copy({&operation, 1});
    return operation.status;
}

/// Copies go out of a read-only entry and into a writable one, not into a read-only one; the
/// entries are idle afterwards.
namespace copy_in_and_out {
void server(Side& side) {
    const auto frames = side.frames(2);
    side.fill(Page::of_frame(frames[0]), 11);
    side.fill(Page::of_frame(frames[1]), 12);
    const GrantRef references[] = {side.grant(side.guest(0), frames[0], Access::read),
                                   side.grant(side.guest(0), frames[1], Access::read_write)};
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "copied");
    EXPECT_TRUE(side.holds(Page::of_frame(frames[0]), 11)) << "it was read-only";
    EXPECT_TRUE(side.holds(Page::of_frame(frames[1]), 99));
    for (const GrantRef reference : references) {
        EXPECT_EQ(side.revoke(reference), GrantStatus::okay) << "a copy pins nothing";
    }
    side.send(side.guest(0), "revoked");
    side.receive(side.guest(0), "tried");
    EXPECT_TRUE(side.holds(Page::of_frame(frames[1]), 99));
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    const DomainId pool = side.others.pool;
    const auto own = side.frames(2);
    EXPECT_EQ(copy_page(side, peer(pool, references[0]), local(own[0])), GrantStatus::okay);
    EXPECT_TRUE(side.holds(Page::of_frame(own[0]), 11));
    side.fill(Page::of_frame(own[1]), 99);
    EXPECT_EQ(copy_page(side, local(own[1]), peer(pool, references[1])), GrantStatus::okay);
    EXPECT_NE(copy_page(side, local(own[1]), peer(pool, references[0])), GrantStatus::okay);
    side.send(side.others.server, "copied");
    side.receive(side.others.server, "revoked");
    side.fill(Page::of_frame(own[1]), 98);
    EXPECT_NE(copy_page(side, local(own[1]), peer(pool, references[1])), GrantStatus::okay);
    EXPECT_NE(copy_page(side, peer(pool, references[0]), local(own[0])), GrantStatus::okay);
    side.send(side.others.server, "tried");
}
}  // namespace copy_in_and_out

/// A copy goes between two references, in a batch whose errors stay with their operation.
namespace copy_between {
void server(Side& side) {
    const auto frames = side.frames(2);
    side.fill(Page::of_frame(frames[0]), 21);
    side.fill(Page::of_frame(frames[1]), 22);
    const GrantRef references[] = {side.grant(side.guest(0), frames[0], Access::read),
                                   side.grant(side.guest(0), frames[1], Access::read_write)};
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "copied");
    EXPECT_TRUE(side.holds(Page::of_frame(frames[1]), 21));
    for (const GrantRef reference : references) {
        EXPECT_EQ(side.revoke(reference), GrantStatus::okay);
    }
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    const DomainId pool = side.others.pool;
    const auto own = side.frames(1);
    CopyOperation batch[] = {
        {peer(pool, references[0]), peer(pool, references[1]), page_size},
        {peer(pool, 0x7fffffff), local(own[0]), page_size},
        {peer(30'000, references[0]), local(own[0]), page_size},
        {peer(pool, references[0], 1), local(own[0]), page_size},  // reaches beyond the page
        {peer(pool, references[0]), local(own[0]), page_size},
    };
    side.host.grants().copy(batch);
    EXPECT_EQ(batch[0].status, GrantStatus::okay);
    EXPECT_NE(batch[1].status, GrantStatus::okay);
    EXPECT_NE(batch[2].status, GrantStatus::okay);
    EXPECT_EQ(batch[3].status, GrantStatus::bad_copy_arg);
    EXPECT_EQ(batch[4].status, GrantStatus::okay);
    EXPECT_TRUE(side.holds(Page::of_frame(own[0]), 21));
    side.send(side.others.server, "copied");
}
}  // namespace copy_between

/// A page written in part equals neither the old page nor the new one; the same parts make an equal
/// page.
namespace copy_in_part {
void server(Side& side) {
    const auto frames = side.frames(3);
    std::vector<GrantRef> references;
    for (const Frame frame : {frames[0], frames[1]}) {
        side.fill(Page::of_frame(frame), 31);
        references.push_back(side.grant(side.guest(0), frame, Access::read_write));
    }
    side.fill(Page::of_frame(frames[2]), 31);
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "copied");
    host::Memory& memory = side.host.memory();
    EXPECT_FALSE(memory.equal(Page::of_frame(frames[0]), Page::of_frame(frames[2])));
    EXPECT_TRUE(memory.equal(Page::of_frame(frames[0]), Page::of_frame(frames[1])));
    const Page pages[] = {Page::of_frame(frames[0]), Page::of_frame(frames[1]),
                          Page::of_frame(frames[2])};
    Fingerprint hashes[3];
    memory.hash(pages, hashes);
    EXPECT_EQ(hashes[0], hashes[1]);
    EXPECT_NE(hashes[0], hashes[2]);
    for (const GrantRef reference : references) {
        EXPECT_EQ(side.revoke(reference), GrantStatus::okay);
    }
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    const auto own = side.frames(1);
    side.fill(Page::of_frame(own[0]), 32);
    for (const GrantRef reference : references) {
        EXPECT_EQ(copy_page(side, local(own[0], 512), peer(side.others.pool, reference, 512), 1024),
                  GrantStatus::okay);
    }
    side.send(side.others.server, "copied");
}
}  // namespace copy_in_part

}  // namespace

std::vector<Case> copy_cases() {
    return {{"copy_in_and_out", 1, copy_in_and_out::server, copy_in_and_out::guest},
            {"copy_between", 1, copy_between::server, copy_between::guest},
            {"copy_in_part", 1, copy_in_part::server, copy_in_part::guest}};
}

}  // namespace xenfs::conformance
