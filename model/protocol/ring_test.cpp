// Both ends are tested over plain memory: order, suppression of events, and a peer that writes
// nonsense.
#include "model/protocol/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "model/conformance/seed.h"
#include "model/protocol/message.h"

namespace {

using namespace xenfs::protocol;

struct Pages {
    explicit Pages(std::size_t slots) : memory((slots + 1) * 4096 / 64) {
        for (std::size_t i = 0; i < slots; ++i) slot.push_back(at(i + 1));
    }
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    std::byte* at(std::size_t page) {
        return reinterpret_cast<std::byte*>(memory.data()) + page * 4096;
    }
    ControlPage& control() { return *reinterpret_cast<ControlPage*>(at(0)); }
    std::vector<Line> memory;
    std::vector<std::byte*> slot;
};

void encode(std::byte* slot, std::uint64_t unique, std::uint32_t length = sizeof(InHeader)) {
    InHeader header{};
    header.len = length;
    header.unique = unique;
    std::memcpy(slot, &header, sizeof header);
}

void answer(std::byte* slot, std::uint64_t unique) {
    OutHeader header{sizeof(OutHeader), 0, unique};
    std::memcpy(slot, &header, sizeof header);
}

std::uint64_t unique_of(const std::byte* message) {
    std::uint64_t unique;
    std::memcpy(&unique, message + 8, sizeof unique);
    return unique;
}

TEST(Ring, RequestsInOrderRepliesInAny) {
    Pages pages(4);
    RingFront front(pages.at(0), pages.slot);
    RingBack back(pages.at(0), pages.slot);
    alignas(8) std::byte copy[4096];
    std::uint16_t slot = 0;
    EXPECT_EQ(back.take_request(slot, copy), RingBack::Take::none);
    EXPECT_FALSE(back.final_check_for_requests());

    std::vector<std::uint16_t> taken;
    for (std::uint64_t i = 0; i < 4; ++i) {
        const std::uint16_t s = front.acquire_slot();
        ASSERT_NE(s, RingFront::no_slot);
        encode(front.slot(s), 100 + i);
        EXPECT_EQ(front.submit(s), i == 0) << "only the first passes the threshold";
    }
    EXPECT_EQ(front.acquire_slot(), RingFront::no_slot);
    for (std::uint64_t i = 0; i < 4; ++i) {
        ASSERT_EQ(back.take_request(slot, copy), RingBack::Take::request);
        EXPECT_EQ(unique_of(copy), 100 + i);
        taken.push_back(slot);
    }
    EXPECT_EQ(back.take_request(slot, copy), RingBack::Take::none);
    answer(back.slot(taken[2]), 102);
    EXPECT_TRUE(back.reply(taken[2]));
    answer(back.slot(taken[0]), 100);
    EXPECT_FALSE(back.reply(taken[0]));
    std::uint32_t length = 0;
    ASSERT_EQ(front.take_reply(slot, length), RingFront::Take::reply);
    EXPECT_EQ(unique_of(front.slot(slot)), 102u);
    front.release_slot(slot);
    EXPECT_TRUE(front.final_check_for_replies()) << "one more is there";
    ASSERT_EQ(front.take_reply(slot, length), RingFront::Take::reply);
    EXPECT_EQ(unique_of(front.slot(slot)), 100u);
    EXPECT_EQ(length, sizeof(OutHeader));
    EXPECT_EQ(front.take_reply(slot, length), RingFront::Take::none);
}

TEST(Ring, NoticesInOrderAndBounded) {
    Pages pages(1);
    RingFront front(pages.at(0), pages.slot);
    RingBack back(pages.at(0), pages.slot);
    Notice notice{};
    for (std::uint32_t i = 0; i < notice_count; ++i) {
        notice.node = i;
        ASSERT_TRUE(back.post_notice(notice));
        EXPECT_EQ(notice.sequence, i + 1);
    }
    EXPECT_FALSE(back.post_notice(notice));
    Notice got{};
    ASSERT_TRUE(front.take_notice(got));
    EXPECT_EQ(got.node, 0u);
    EXPECT_FALSE(back.notice_done(1));
    front.finish_notice();
    EXPECT_TRUE(back.notice_done(1));
    EXPECT_FALSE(back.notice_done(2));
    EXPECT_TRUE(back.post_notice(notice));
}

TEST(Ring, CountersMayWrap) {
    Pages pages(2);
    RingFront front(pages.at(0), pages.slot);
    RingBack back(pages.at(0), pages.slot);
    alignas(8) std::byte copy[4096];
    Notice notice{}, got{};
    for (std::uint64_t i = 0; i < 100'000; ++i) {
        const std::uint16_t s = front.acquire_slot();
        encode(front.slot(s), i);
        front.submit(s);
        std::uint16_t slot = 0;
        ASSERT_EQ(back.take_request(slot, copy), RingBack::Take::request);
        ASSERT_EQ(unique_of(copy), i);
        answer(back.slot(slot), i);
        back.reply(slot);
        std::uint32_t length = 0;
        ASSERT_EQ(front.take_reply(slot, length), RingFront::Take::reply);
        front.release_slot(slot);
        ASSERT_TRUE(back.post_notice(notice));
        ASSERT_TRUE(front.take_notice(got));
        ASSERT_EQ(got.sequence, i + 1);
        front.finish_notice();
        ASSERT_TRUE(back.notice_done(i + 1));
    }
}

TEST(Ring, HostileClientIsNoticedAtOnce) {
    const auto take = [](auto&& tamper) {
        Pages pages(4);
        RingFront front(pages.at(0), pages.slot);
        RingBack back(pages.at(0), pages.slot);
        alignas(8) std::byte copy[4096];
        std::uint16_t slot = front.acquire_slot();
        encode(front.slot(slot), 1);
        front.submit(slot);
        tamper(pages);
        return back.take_request(slot, copy);
    };
    EXPECT_EQ(take([](Pages&) {}), RingBack::Take::request);
    EXPECT_EQ(take([](Pages& p) { p.control().request_producer = 5; }), RingBack::Take::violation);
    EXPECT_EQ(take([](Pages& p) { p.control().request_producer = 0xffffffff; }),
              RingBack::Take::violation);
    EXPECT_EQ(take([](Pages& p) { p.control().request_slot[0] = 4; }), RingBack::Take::violation);
    EXPECT_EQ(take([](Pages& p) { p.control().request_slot[0] = 0xffff; }),
              RingBack::Take::violation);
    EXPECT_EQ(take([](Pages& p) { encode(p.slot[0], 1, 39); }), RingBack::Take::violation);
    EXPECT_EQ(take([](Pages& p) { encode(p.slot[0], 1, 4097); }), RingBack::Take::violation);
    EXPECT_EQ(take([](Pages& p) { encode(p.slot[0], 1, 4096); }), RingBack::Take::request);
}

TEST(Ring, ASlotInServiceIsNotTakenTwice) {
    Pages pages(4);
    RingFront front(pages.at(0), pages.slot);
    RingBack back(pages.at(0), pages.slot);
    alignas(8) std::byte copy[4096];
    std::uint16_t slot = front.acquire_slot();
    encode(front.slot(slot), 1);
    front.submit(slot);
    ASSERT_EQ(back.take_request(slot, copy), RingBack::Take::request);
    pages.control().request_slot[1] = slot;
    pages.control().request_producer = 2;
    EXPECT_EQ(back.take_request(slot, copy), RingBack::Take::violation);
}

TEST(Ring, NoticeCounterThatLiesIsNotBelieved) {
    Pages pages(1);
    RingBack back(pages.at(0), pages.slot);
    Notice notice{};
    ASSERT_TRUE(back.post_notice(notice));
    ASSERT_TRUE(back.post_notice(notice));
    pages.control().notice_done = 3;
    EXPECT_FALSE(back.notice_done(1)) << "ahead of what was posted";
    pages.control().notice_done = 2;
    EXPECT_TRUE(back.notice_done(2));
    pages.control().notice_done = 0;
    EXPECT_TRUE(back.notice_done(2)) << "does not run backwards";
}

TEST(Ring, RandomNonsenseNeverLeavesThePages) {
    std::mt19937_64 random(xenfs::test_seed());
    alignas(8) std::byte copy[4096];
    for (int round = 0; round < 200; ++round) {
        Pages pages(8);
        RingBack back(pages.at(0), pages.slot);
        RingFront front(pages.at(0), pages.slot);
        std::deque<std::uint16_t> in_service;
        for (int step = 0; step < 200; ++step) {
            auto* words = reinterpret_cast<std::uint32_t*>(pages.at(0));
            words[random() % 1024] = static_cast<std::uint32_t>(random() >> (random() % 64));
            encode(pages.slot[random() % 8], random(), static_cast<std::uint32_t>(random() % 5000));
            if (random() % 4 == 0) pages.control().request_producer += 1;
            std::uint16_t slot = 0;
            if (back.take_request(slot, copy) == RingBack::Take::request) {
                ASSERT_LT(slot, 8u);
                std::uint32_t length;
                std::memcpy(&length, copy, 4);
                ASSERT_GE(length, sizeof(InHeader));
                ASSERT_LE(length, 4096u);
                in_service.push_back(slot);
            }
            if (!in_service.empty() && random() % 3 == 0) {
                back.reply(in_service.front());
                in_service.pop_front();
            }
            Notice notice{};
            if (random() % 2) back.post_notice(notice);
            back.final_check_for_requests();
            std::uint32_t length = 0;
            if (front.take_reply(slot, length) == RingFront::Take::reply) {
                ASSERT_LE(length, 4096u);
            }
            ASSERT_EQ(back.in_service(), in_service.size());
        }
    }
}

// Two threads stand for the two ends; there are no events. Whoever is told that no event is needed
// must be able to rely on the other's final check. The consumer sleeps only after a final check
// that found nothing, and only the producer's flag wakes it; a lost wake-up would hang (and time
// out). With `polls` each end looks for a while first, and asks for no event meanwhile.
void exchange_over_threads(bool polls) {
    constexpr std::uint64_t total = 20'000;
    const auto look = [polls](auto& end) {
        if (!polls) return;
        end.expect_no_event();
        for (int i = 0; i < 100 && !end.more_than(end.taken()); ++i) {
        }
    };
    Pages pages(8);
    RingFront front(pages.at(0), pages.slot);
    RingBack back(pages.at(0), pages.slot);
    std::atomic<int> to_server{1}, to_client{1};
    std::thread server([&] {
        alignas(8) std::byte copy[4096];
        std::uint64_t served = 0;
        while (served < total) {
            to_server.wait(0);
            to_server = 0;
            do {
                std::uint16_t slot = 0;
                while (back.take_request(slot, copy) == RingBack::Take::request) {
                    answer(back.slot(slot), unique_of(copy));
                    if (back.reply(slot)) {
                        to_client = 1;
                        to_client.notify_one();
                    }
                    ++served;
                }
                look(back);
            } while (back.final_check_for_requests());
        }
    });
    std::uint64_t sent = 0, answered = 0;
    while (answered < total) {
        std::uint16_t slot;
        while (sent < total && (slot = front.acquire_slot()) != RingFront::no_slot) {
            encode(front.slot(slot), sent++);
            if (front.submit(slot)) {
                to_server = 1;
                to_server.notify_one();
            }
        }
        bool any = false;
        std::uint32_t length = 0;
        while (front.take_reply(slot, length) == RingFront::Take::reply) {
            front.release_slot(slot);
            ++answered;
            any = true;
        }
        if (!any && answered < total) look(front);
        if (!any && answered < total && !front.final_check_for_replies()) {
            to_client.wait(0);
            to_client = 0;
        }
    }
    server.join();
    EXPECT_EQ(answered, total);
}

TEST(Ring, SuppressionLosesNoWakeUp) {
    exchange_over_threads(false);
}

TEST(Ring, PollingLosesNoWakeUp) {
    exchange_over_threads(true);
}

TEST(Ring, WhoPollsIsSentNoEvent) {
    Pages pages(4);
    RingFront front(pages.at(0), pages.slot);
    RingBack back(pages.at(0), pages.slot);
    alignas(8) std::byte copy[4096];
    for (std::uint64_t i = 0; i < 3; ++i) {
        back.expect_no_event();
        front.expect_no_event();
        EXPECT_FALSE(back.more_than(back.taken()));
        const std::uint16_t s = front.acquire_slot();
        encode(front.slot(s), i);
        EXPECT_FALSE(front.submit(s));
        EXPECT_TRUE(back.more_than(back.taken()));
        std::uint16_t slot = 0;
        ASSERT_EQ(back.take_request(slot, copy), RingBack::Take::request);
        answer(back.slot(slot), i);
        EXPECT_FALSE(front.more_than(front.taken()));
        EXPECT_FALSE(back.reply(slot));
        EXPECT_TRUE(front.more_than(front.taken()));
        std::uint32_t length = 0;
        ASSERT_EQ(front.take_reply(slot, length), RingFront::Take::reply);
        front.release_slot(slot);
    }
    EXPECT_FALSE(back.final_check_for_requests());
    const std::uint16_t s = front.acquire_slot();
    encode(front.slot(s), 3);
    EXPECT_TRUE(front.submit(s)) << "it sleeps now";
}

TEST(Message, ReaderStopsAtTheEnd) {
    alignas(8) std::byte message[64] = {};
    Writer writer(message, sizeof message);
    writer.put(std::uint32_t{7});
    writer.put_name("name");
    EXPECT_TRUE(writer.ok());
    EXPECT_EQ(writer.size(), 9u);
    Reader reader(message, writer.size());
    EXPECT_EQ(reader.get<std::uint32_t>(), 7u);
    EXPECT_EQ(reader.get_string(), "name");
    EXPECT_TRUE(reader.finished());
    EXPECT_EQ(reader.get<std::uint64_t>(), 0u);
    EXPECT_FALSE(reader.ok());
    Reader cut(message, 8);
    cut.get<std::uint32_t>();
    EXPECT_EQ(cut.get_string(), "") << "no NUL within the message";
    EXPECT_FALSE(cut.ok());
    Reader huge(message, sizeof message);
    EXPECT_TRUE(huge.get_array<std::uint32_t>(~std::size_t{0} / 2).empty());
    EXPECT_FALSE(huge.ok());
    Writer full(message, 4);
    full.put(std::uint64_t{1});
    EXPECT_FALSE(full.ok());
    EXPECT_EQ(full.size(), 0u);
}

TEST(Message, Names) {
    EXPECT_EQ(check_name("a"), 0);
    EXPECT_EQ(check_name("..."), 0);
    EXPECT_EQ(check_name(std::string(255, 'x')), 0);
    EXPECT_EQ(check_name(std::string(256, 'x')), ENAMETOOLONG);
    EXPECT_EQ(check_name(""), EINVAL);
    EXPECT_EQ(check_name("."), EINVAL);
    EXPECT_EQ(check_name(".."), EINVAL);
    EXPECT_EQ(check_name("a/b"), EINVAL);
    EXPECT_EQ(check_name(std::string_view("a\0b", 3)), EINVAL);
}

}  // namespace
