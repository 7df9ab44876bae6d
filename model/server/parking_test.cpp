// The queues of parked requests: order, who is resumed, and what is left when a connection ends.
#include "model/server/parking.h"

#include <gtest/gtest.h>

#include <memory>

#include "model/server/connection.h"

namespace xenfs::server {
namespace {

class ParkingTest : public testing::Test {
  protected:
    Request& make(Connection& client) {
        requests_.push_back(std::make_unique<Request>(client, 0));
        return *requests_.back();
    }
    Connection one_, other_;
    unsigned resumed_ = 0;
    Parking parking_{[this] { ++resumed_; }};

  private:
    std::vector<std::unique_ptr<Request>> requests_;
};

TEST_F(ParkingTest, ResumesInOrderThoseWhoseWaitHasEnded) {
    Request &a = make(one_), &b = make(one_), &c = make(other_), &d = make(other_);
    for (Request* q : {&a, &b, &c}) parking_.park(*q, Wait::page, 10);
    parking_.park(d, Wait::lease, 10);
    EXPECT_EQ(parking_.next(), nullptr);
    parking_.look(Wait::page, [&](const Request& q) { return &q != &b; });
    EXPECT_EQ(resumed_, 2u);
    EXPECT_EQ(parking_.waiting(Wait::page), 1u);
    EXPECT_EQ(parking_.waiting(Wait::lease), 1u);
    EXPECT_EQ(parking_.next(), &a);
    EXPECT_EQ(parking_.next(), &c);
    EXPECT_EQ(parking_.next(), nullptr);
    EXPECT_EQ(a.wait, Wait::none);
    EXPECT_EQ(b.wait, Wait::page);
}

TEST_F(ParkingTest, TheDeadlineCountsFromTheFirstWait) {
    Request& a = make(one_);
    parking_.park(a, Wait::lease, 10);
    parking_.resume(a);
    EXPECT_EQ(parking_.next(), &a);
    parking_.park(a, Wait::page, 500);
    EXPECT_EQ(a.first_parked, 10);
}

TEST_F(ParkingTest, UrgentRequestsAndFinishedRepliesComeFirst) {
    Request &ordinary = make(one_), &urgent = make(one_), &reply = make(other_);
    urgent.urgent = true;
    parking_.park(ordinary, Wait::page, 1);
    parking_.park(reply, Wait::acks, 1);
    parking_.resume(ordinary);
    parking_.make_ready(urgent);
    parking_.resume(reply);
    EXPECT_EQ(parking_.next(), &urgent);
    EXPECT_EQ(parking_.next(), &reply);
    EXPECT_EQ(reply.wait, Wait::acks);  // says that only the reply is left
    EXPECT_EQ(parking_.next(), &ordinary);
}

TEST_F(ParkingTest, WhatIsRemovedIsNotResumed) {
    Request &a = make(one_), &b = make(one_);
    parking_.park(a, Wait::files, 1);
    parking_.park(b, Wait::files, 1);
    parking_.remove(a);
    parking_.look(Wait::files, [](const Request&) { return true; });
    EXPECT_EQ(parking_.next(), &b);
    EXPECT_EQ(parking_.next(), nullptr);
}

TEST_F(ParkingTest, NothingOfAConnectionIsLeftWhenItEnds) {
    Request &parked_one = make(one_), &ready_one = make(one_), &urgent_one = make(one_);
    Request &parked_other = make(other_), &ready_other = make(other_);
    urgent_one.urgent = true;
    for (Request* q : {&parked_one, &ready_one, &parked_other, &ready_other}) {
        parking_.park(*q, Wait::room, 1);
    }
    parking_.make_ready(urgent_one);
    parking_.resume(ready_one);
    parking_.resume(ready_other);
    parking_.drop(one_);
    EXPECT_EQ(parking_.next(), &ready_other);
    EXPECT_EQ(parking_.next(), nullptr);
    EXPECT_EQ(parking_.waiting(Wait::room), 1u);
    parking_.for_each(Wait::room, [&](const Request& q) { EXPECT_EQ(&q, &parked_other); });
}

}  // namespace
}  // namespace xenfs::server
