// Pages are flipped, or cleanly refused where the host cannot.
#include <gtest/gtest.h>

#include "model/conformance/side.h"

namespace xenfs::conformance {
namespace {

using host::Page;
using host::TransferOperation;

constexpr const char* no_flips =
    "nothing reaches GNTTABOP_transfer here; flip_into_pool has seen it refused";

GrantStatus transfer(Side& side, Frame frame, DomainId domain, GrantRef reference) {
    TransferOperation operation{frame, domain, reference};
    side.host.grants().transfer({&operation, 1});
    return operation.status;
}

/// A page goes from a guest into the pool, which needs headroom for it; where that is refused,
/// nothing is lost.
namespace flip_into_pool {
void server(Side& side) {
    host::Host& host = side.host;
    host.frames().set_limit(host.frames().owned() + 2);
    GrantRef references[2];
    const std::size_t offered = host.grants().accept_transfer(side.guest(0), references);
    if (!host.capabilities().transfer) {
        for (std::size_t i = 0; i < offered; ++i) {
            EXPECT_EQ(side.revoke(references[i]), GrantStatus::okay);
        }
        const GrantRef none = no_grant;
        side.send(side.guest(0), "refs", {&none, 1});
        side.receive(side.guest(0), "tried");
        return;
    }
    ASSERT_EQ(offered, 2u);
    EXPECT_EQ(host.grants().take_transferred(references[0]), no_frame) << "nothing came yet";
    const std::size_t owned = host.frames().owned();
    side.send(side.guest(0), "refs", references);
    side.receive(side.guest(0), "tried");
    const Frame frame = host.grants().take_transferred(references[0]);
    ASSERT_NE(frame, no_frame);
    EXPECT_EQ(host.frames().owned(), owned + 1);
    EXPECT_TRUE(side.holds(Page::of_frame(frame), 51));
    side.fill(Page::of_frame(frame), 52);
    EXPECT_EQ(host.grants().take_transferred(references[0]), no_frame) << "the entry has ended";
    EXPECT_EQ(side.revoke(references[1]), GrantStatus::okay) << "unused";
    host.frames().release({&frame, 1});
    EXPECT_EQ(host.frames().owned(), owned);
}
void guest(Side& side, std::size_t) {
    const auto references = side.receive_numbers(side.others.server, "refs");
    const auto own = side.frames(1);
    side.fill(Page::of_frame(own[0]), 51);
    const std::size_t owned = side.host.frames().owned();
    const GrantStatus status = transfer(side, own[0], side.others.pool, references[0]);
    if (side.host.capabilities().transfer) {
        EXPECT_EQ(status, GrantStatus::okay);
        EXPECT_EQ(side.host.frames().owned(), owned - 1);
    } else {
        EXPECT_EQ(status, GrantStatus::not_supported);
        EXPECT_TRUE(side.holds(Page::of_frame(own[0]), 51)) << "a refusal loses nothing";
        EXPECT_EQ(side.host.frames().owned(), owned);
    }
    side.send(side.others.server, "tried");
}
}  // namespace flip_into_pool

/// A page goes from the pool to a guest, which has made room by giving a frame back to the host.
namespace flip_to_guest {
void server(Side& side) {
    if (!side.host.capabilities().transfer) GTEST_SKIP() << no_flips;
    const auto references = side.receive_numbers(side.guest(0), "ref");
    const auto frames = side.frames(1);
    side.fill(Page::of_frame(frames[0]), 61);
    EXPECT_EQ(transfer(side, frames[0], side.guest(0), references[0]), GrantStatus::okay);
    side.send(side.guest(0), "flipped");
}
void guest(Side& side, std::size_t) {
    host::Host& host = side.host;
    if (!host.capabilities().transfer) GTEST_SKIP() << no_flips;
    host.frames().set_limit(host.frames().limit() + 1);  // makes headroom
    GrantRef reference = no_grant;
    ASSERT_EQ(host.grants().accept_transfer(side.others.pool, {&reference, 1}), 1u);
    side.send(side.others.server, "ref", {&reference, 1});
    side.receive(side.others.server, "flipped");
    const Frame frame = host.grants().take_transferred(reference);
    ASSERT_NE(frame, no_frame);
    EXPECT_TRUE(side.holds(Page::of_frame(frame), 61));
    host.frames().release({&frame, 1});
}
}  // namespace flip_to_guest

/// As in Xen, the page is lost even on an error, except on bad_page, which a page that is still
/// mapped gets.
namespace flip_errors {
void server(Side& side) {
    if (!side.host.capabilities().transfer) GTEST_SKIP() << no_flips;
    host::Host& host = side.host;
    host.frames().set_limit(host.frames().owned() + 1);
    GrantRef reference = no_grant;
    ASSERT_EQ(host.grants().accept_transfer(side.guest(0), {&reference, 1}), 1u);
    side.send(side.guest(0), "ref", {&reference, 1});
    const auto granted = side.receive_numbers(side.guest(0), "granted");
    const auto handles = side.map(side.guest(0), granted, Access::read);
    side.send(side.guest(0), "mapped");
    side.receive(side.guest(0), "tried-mapped");
    side.unmap(handles[0]);
    host.frames().set_limit(host.frames().owned());  // leaves no headroom
    side.send(side.guest(0), "full");
    side.receive(side.guest(0), "tried-full");
    EXPECT_EQ(host.grants().take_transferred(reference), no_frame);
    EXPECT_EQ(side.revoke(reference), GrantStatus::okay);
}
void guest(Side& side, std::size_t) {
    if (!side.host.capabilities().transfer) GTEST_SKIP() << no_flips;
    host::Host& host = side.host;
    const DomainId pool = side.others.pool;
    const auto reference = side.receive_numbers(side.others.server, "ref")[0];
    const auto own = side.frames(3);
    const std::size_t owned = host.frames().owned();
    const GrantRef granted = side.grant(side.others.server, own[0], Access::read);
    side.send(side.others.server, "granted", {&granted, 1});
    side.receive(side.others.server, "mapped");
    EXPECT_EQ(transfer(side, own[0], pool, reference), GrantStatus::bad_page);
    EXPECT_EQ(host.frames().owned(), owned) << "the one error that loses nothing";
    side.send(side.others.server, "tried-mapped");
    side.receive(side.others.server, "full");
    EXPECT_EQ(side.revoke_when_idle(granted), GrantStatus::okay);
    EXPECT_EQ(transfer(side, own[0], pool, reference), GrantStatus::general_error);
    EXPECT_EQ(host.frames().owned(), owned - 1) << "lost for want of headroom";
    EXPECT_NE(transfer(side, own[1], pool, 0x7fffffff), GrantStatus::okay);
    EXPECT_NE(transfer(side, own[2], 30'000, reference), GrantStatus::okay);
    EXPECT_EQ(host.frames().owned(), owned - 3);
    EXPECT_EQ(transfer(side, own[2], pool, reference), GrantStatus::bad_page)
        << "it is ours no more";
    side.send(side.others.server, "tried-full");
}
}  // namespace flip_errors

}  // namespace

std::vector<Case> transfer_cases() {
    return {{"flip_into_pool", 1, flip_into_pool::server, flip_into_pool::guest},
            {"flip_to_guest", 1, flip_to_guest::server, flip_to_guest::guest},
            {"flip_errors", 1, flip_errors::server, flip_errors::guest}};
}

}  // namespace xenfs::conformance
