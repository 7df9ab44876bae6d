// Xen's rules are tested over a host of vectors: domains take drawn steps, and invariants are
// checked after each.
#include "model/xen/page_rules.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <random>

namespace xenfs::xen {
namespace {

struct TestRecord {
    static constexpr unsigned max_entries = 1000, max_mappings = 1000;
    DomainId owner = 0;
    bool used = false;
    unsigned entries = 0, mappings = 0;
};

struct TestDomain {
    TestDomain(DomainId number, std::size_t pages, bool populated, std::size_t& host_free)
        : id(number), account(pages, populated, host_free) {}
    DomainId id;
    bool alive = true;
    GrantTable grants{64};
    Maptrack<DomainId> maptrack{32};
    FrameAccount account;
};

/// The machine's pages by number, as Xen has them.
struct TestMachine {
    std::size_t free_pages = 256;
    std::vector<TestRecord> frames;
    std::vector<std::unique_ptr<TestDomain>> domains;

    TestDomain& add(std::size_t pages, bool populated) {
        domains.push_back(std::make_unique<TestDomain>(static_cast<DomainId>(domains.size()), pages,
                                                       populated, free_pages));
        return *domains.back();
    }
    Frame take(TestDomain& domain) {
        if (!domain.account.take()) return no_frame;
        Frame frame = 0;
        while (frame < frames.size() && frames[frame].used) ++frame;
        if (frame == frames.size()) frames.emplace_back();
        frames[frame] = {domain.id, true, 0, 0};
        return frame;
    }

    TestDomain* alive(DomainId id) {
        return id < domains.size() && domains[id]->alive ? domains[id].get() : nullptr;
    }
    bool owns(const TestDomain& domain, Frame frame) const {
        return frame < frames.size() && frames[frame].used && frames[frame].owner == domain.id;
    }
    bool transferable(const TestDomain& domain, Frame frame) const { return owns(domain, frame); }
    TestRecord& record(TestDomain&, Frame frame) { return frames[frame]; }
    void granting(TestDomain&, Frame) {}
    void count_mapping(TestDomain&, Frame frame, bool added) {
        frames[frame].mappings += added ? 1u : ~0u;
    }
    void give_frame(TestDomain& domain, Frame frame) {
        EXPECT_FALSE(is_granted(frames[frame])) << "a page that somebody reaches was freed";
        frames[frame] = {};
        domain.account.give();
    }
    Frame move_frame(TestDomain&, Frame frame, TestDomain& to) {
        frames[frame].owner = to.id;
        return frame;
    }
    DomainId hold(TestDomain& domain) { return domain.id; }
    TestDomain& granter_of(const Mapping<DomainId>& mapping) { return *domains[mapping.granter]; }
    template <class Visit>
    void for_each_frame(TestDomain& domain, Visit visit) {
        for (Frame frame = 0; frame < frames.size(); ++frame) {
            if (owns(domain, frame)) visit(frame);
        }
    }
};

struct PageRules : testing::Test {
    TestMachine machine;
    TestDomain& pool = machine.add(64, false);
    TestDomain& guest = machine.add(64, true);
    TestDomain& other = machine.add(64, true);

    GrantStatus map(TestDomain& who, TestDomain* granter, GrantRef reference, Access access,
                    MapHandle& handle) {
        Frame frame = no_frame;
        return map_page(machine, who, granter, reference, access, handle, frame);
    }
    GrantStatus transfer(TestDomain& from, Frame frame, DomainId to, GrantRef reference) {
        return transfer_page(machine, from, from.id, {frame, to, reference});
    }
};

TEST_F(PageRules, MapsPinAndUnmapsUnpin) {
    const Frame frame = machine.take(pool);
    const GrantRef reference = grant_page(machine, pool, guest.id, frame, Access::read_write);
    MapHandle one = no_handle, two = no_handle, three = no_handle;
    EXPECT_EQ(map(guest, &pool, reference, Access::read_write, one), GrantStatus::okay);
    EXPECT_EQ(revoke_page(machine, pool, reference), GrantStatus::busy);
    EXPECT_EQ(map(guest, &pool, reference, Access::read, two), GrantStatus::okay)
        << "the peer has a mapping, so it gets another in spite of the revocation";
    EXPECT_EQ(map(other, &pool, reference, Access::read, three), GrantStatus::general_error);
    EXPECT_EQ(map(guest, nullptr, reference, Access::read, three), GrantStatus::bad_domain);
    unmap_page(machine, guest, one);
    EXPECT_EQ(revoke_page(machine, pool, reference), GrantStatus::busy);
    unmap_page(machine, guest, two);
    EXPECT_EQ(map(guest, &pool, reference, Access::read, three), GrantStatus::general_error);
    EXPECT_EQ(revoke_page(machine, pool, reference), GrantStatus::okay);
    EXPECT_FALSE(is_granted(machine.frames[frame]));
    const GrantRef foreign = grant_page(machine, other, guest.id, frame, Access::read);
    EXPECT_NE(foreign, no_grant) << "an entry may name anything";
    EXPECT_EQ(map(guest, &other, foreign, Access::read, three), GrantStatus::general_error);
    EXPECT_EQ(three, no_handle);
}

TEST_F(PageRules, MaptrackIsFullBeforeTheReferenceIsLookedAt) {
    const Frame frame = machine.take(pool);
    const GrantRef reference = grant_page(machine, pool, guest.id, frame, Access::read);
    MapHandle handle = no_handle;
    for (std::size_t i = 0; i < guest.maptrack.capacity(); ++i) {
        ASSERT_EQ(map(guest, &pool, reference, Access::read, handle), GrantStatus::okay);
    }
    EXPECT_EQ(map(guest, &pool, 9999, Access::read, handle), GrantStatus::no_device_space);
    EXPECT_EQ(map(guest, nullptr, 9999, Access::read, handle), GrantStatus::bad_domain);
    end_mappings(machine, guest);
    EXPECT_EQ(guest.maptrack.in_use(), 0u);
    EXPECT_EQ(revoke_page(machine, pool, reference), GrantStatus::okay);
}

TEST_F(PageRules, CopiesFindBothSides) {
    const Frame theirs = machine.take(pool), own = machine.take(guest);
    const GrantRef reference = grant_page(machine, pool, guest.id, theirs, Access::read);
    host::CopySide remote, local;
    remote.domain = pool.id;
    remote.reference = reference;
    local.frame = own;
    CopyPages<TestDomain> pages;
    const auto find = [&](host::CopySide from, host::CopySide to) {
        return find_copy(machine, guest, guest, {from, to, page_size}, pages);
    };
    EXPECT_EQ(find(remote, local), GrantStatus::okay);
    EXPECT_EQ(pages.from, &pool);
    EXPECT_EQ(pages.source, theirs);
    EXPECT_EQ(pages.destination, own);
    EXPECT_EQ(find(local, remote), GrantStatus::general_error) << "it is read-only";
    host::CopySide wrong = local;
    wrong.frame = theirs;
    EXPECT_EQ(find(wrong, local), GrantStatus::bad_page);
    wrong = remote;
    wrong.domain = 99;
    EXPECT_EQ(find(wrong, local), GrantStatus::bad_domain);
    wrong = remote;
    wrong.offset = 1;
    EXPECT_EQ(find(wrong, local), GrantStatus::bad_copy_arg);
    EXPECT_EQ(revoke_page(machine, pool, reference), GrantStatus::okay) << "a copy pins nothing";
    EXPECT_EQ(find(remote, local), GrantStatus::general_error);
}

TEST_F(PageRules, ATransferMovesThePageOrLosesIt) {
    pool.account.set_limit(1);
    const GrantRef offer = pool.grants.accept(guest.id);
    const Frame first = machine.take(guest), second = machine.take(guest);
    const std::size_t sum = machine.free_pages + pool.account.reserved() + guest.account.reserved();
    const GrantRef granted = grant_page(machine, guest, other.id, first, Access::read);
    EXPECT_EQ(transfer(guest, first, pool.id, offer), GrantStatus::bad_page);
    EXPECT_TRUE(machine.owns(guest, first)) << "the one error that loses nothing";
    EXPECT_EQ(revoke_page(machine, guest, granted), GrantStatus::okay);
    EXPECT_EQ(transfer(guest, first, pool.id, offer), GrantStatus::okay);
    EXPECT_EQ(pool.grants.take_transferred(offer), first);
    EXPECT_TRUE(machine.owns(pool, first));
    const GrantRef again = pool.grants.accept(guest.id);
    EXPECT_EQ(transfer(guest, second, pool.id, again), GrantStatus::general_error) << "no headroom";
    EXPECT_FALSE(machine.owns(guest, second));
    EXPECT_EQ(guest.account.reserved(), 62u) << "a page that is lost is the host's";
    EXPECT_EQ(transfer(guest, machine.take(guest), 99, again), GrantStatus::bad_domain);
    EXPECT_EQ(guest.account.reserved(), 61u);
    EXPECT_EQ(machine.free_pages + pool.account.reserved() + guest.account.reserved(), sum);
}

TEST_F(PageRules, ADeadDomainKeepsWhatPeersHaveMapped) {
    const Frame mapped = machine.take(guest), idle = machine.take(guest);
    const GrantRef reference = grant_page(machine, guest, pool.id, mapped, Access::read);
    (void)grant_page(machine, guest, pool.id, idle, Access::read);
    MapHandle handle = no_handle;
    ASSERT_EQ(map(pool, &guest, reference, Access::read, handle), GrantStatus::okay);
    const std::size_t before = machine.free_pages;
    end_mappings(machine, guest);
    end_domain(machine, guest);
    EXPECT_EQ(machine.free_pages, before + 63);
    EXPECT_TRUE(machine.frames[mapped].used);
    EXPECT_FALSE(machine.frames[idle].used);
    unmap_page(machine, pool, handle);
    EXPECT_EQ(machine.free_pages, before + 64);
    EXPECT_EQ(guest.account.reserved(), 0u);
}

/// Three domains take drawn steps beside a plain account of what must be true: each page has as
/// many grants and mappings as the account says, and the host's pages stay as many as they were.
TEST_F(PageRules, CountsAgreeThroughRandomSteps) {
    const char* const given = std::getenv("XENFS_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 20261128;
    std::printf("XENFS_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    struct Mapped {
        TestDomain* by;
        MapHandle handle;
    };
    std::vector<Mapped> mapped;
    std::size_t flips = 0, busy = 0;
    for (int step = 0; step < 20'000; ++step) {
        TestDomain& one = *machine.domains[random() % 3];
        TestDomain& two = *machine.domains[random() % 3];
        const Frame frame = machine.frames.empty()
                                ? no_frame
                                : static_cast<Frame>(random() % machine.frames.size());
        const auto reference = static_cast<GrantRef>(random() % 64);
        const Access access = random() % 2 == 0 ? Access::read : Access::read_write;
        switch (random() % 9) {
            case 0:
                (void)machine.take(one);
                break;
            case 1:
                if (machine.owns(one, frame) && !is_granted(machine.frames[frame])) {
                    machine.give_frame(one, frame);
                }
                break;
            case 2:
            case 3:
                (void)grant_page(machine, one, two.id, frame, access);
                break;
            case 4:
                busy += revoke_page(machine, one, reference) == GrantStatus::busy;
                break;
            case 5: {
                MapHandle handle = no_handle;
                if (map(one, &two, reference, access, handle) == GrantStatus::okay) {
                    mapped.push_back({&one, handle});
                }
                break;
            }
            case 6:
                if (!mapped.empty()) {
                    std::swap(mapped[random() % mapped.size()], mapped.back());
                    unmap_page(machine, *mapped.back().by, mapped.back().handle);
                    EXPECT_EQ(mapped.back().by->maptrack.find(mapped.back().handle), nullptr);
                    mapped.pop_back();
                }
                break;
            case 7:
                (void)one.grants.accept(two.id);
                (void)one.grants.take_transferred(reference);
                break;
            default:
                flips += transfer(one, frame, two.id, reference) == GrantStatus::okay;
        }
        if (step % 16 != 0) continue;
        std::size_t sum = machine.free_pages, mappings = 0, entries = 0;
        std::vector<host::FoundEntry> found;
        for (const auto& domain : machine.domains) {
            sum += domain->account.reserved();
            domain->grants.list(0, 64, found);
        }
        for (const host::FoundEntry& entry : found) {
            entries += entry.frame != no_frame && !entry.accepts;
        }
        for (const TestRecord& record : machine.frames) {
            mappings += record.mappings;
            entries -= record.entries;
        }
        ASSERT_EQ(sum, 256u) << "step " << step;
        ASSERT_EQ(mappings, mapped.size()) << "step " << step;
        ASSERT_EQ(entries, 0u) << "step " << step;
    }
    EXPECT_GT(flips, 10u);
    EXPECT_GT(busy, 10u);
}

}  // namespace
}  // namespace xenfs::xen
