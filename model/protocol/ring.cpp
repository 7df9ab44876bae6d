#include "model/protocol/ring.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>

namespace xenfs::protocol {
namespace {

// Shared words are plain in the layout and atomic at each access.
std::uint32_t load_acquire(std::uint32_t& word) {
    return std::atomic_ref<std::uint32_t>(word).load(std::memory_order_acquire);
}
std::uint32_t load_relaxed(std::uint32_t& word) {
    return std::atomic_ref<std::uint32_t>(word).load(std::memory_order_relaxed);
}
void store_release(std::uint32_t& word, std::uint32_t value) {
    std::atomic_ref<std::uint32_t>(word).store(value, std::memory_order_release);
}
void store_relaxed(std::uint32_t& word, std::uint32_t value) {
    std::atomic_ref<std::uint32_t>(word).store(value, std::memory_order_relaxed);
}
std::uint16_t load_slot(std::uint16_t& word) {
    return std::atomic_ref<std::uint16_t>(word).load(std::memory_order_relaxed);
}
void store_slot(std::uint16_t& word, std::uint16_t value) {
    std::atomic_ref<std::uint16_t>(word).store(value, std::memory_order_relaxed);
}
std::uint32_t load_length(std::byte* slot) {
    return load_relaxed(*reinterpret_cast<std::uint32_t*>(slot));
}

/// Publishes `producer` and returns whether this one entry passed the consumer's threshold. Here
/// the index is written before the consumer's threshold is read; there the threshold is written
/// before the index is read for the last time. All four are in the one order of sequentially
/// consistent operations, so one of the two sides always sees the other.
bool publish(std::uint32_t& word, std::uint32_t producer, std::uint32_t& event) {
    std::atomic_ref<std::uint32_t>(word).store(producer, std::memory_order_seq_cst);
    return producer - std::atomic_ref<std::uint32_t>(event).load(std::memory_order_seq_cst) < 1u;
}

bool final_check(std::uint32_t& event, std::uint32_t consumer, std::uint32_t& producer) {
    std::atomic_ref<std::uint32_t>(event).store(consumer + 1, std::memory_order_seq_cst);
    return std::atomic_ref<std::uint32_t>(producer).load(std::memory_order_seq_cst) != consumer;
}

std::uint64_t all_slots(std::uint32_t count) {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

}  // namespace

RingFront::RingFront(std::byte* control, std::span<std::byte* const> slots)
    : control_(reinterpret_cast<ControlPage*>(control)),
      free_(all_slots(static_cast<std::uint32_t>(slots.size()))),
      slot_count_(static_cast<std::uint32_t>(slots.size())) {
    assert(std::has_single_bit(slots.size()) && slots.size() <= max_slots);
    std::copy(slots.begin(), slots.end(), slots_.begin());
    store_relaxed(control_->request_event, 1);
    store_relaxed(control_->reply_event, 1);
}

void RingFront::restart() {
    std::memset(static_cast<void*>(control_), 0, sizeof *control_);
    store_relaxed(control_->request_event, 1);
    store_relaxed(control_->reply_event, 1);
    in_flight_ = 0;
    request_producer_ = reply_consumer_ = notice_taken_ = notice_done_ = 0;
}

bool RingFront::submit(std::uint16_t slot) {
    assert(slot < slot_count_ && ((in_flight_ | free_) >> slot & 1) == 0);
    in_flight_ |= std::uint64_t{1} << slot;
    store_slot(control_->request_slot[request_producer_ % max_slots], slot);
    ++request_producer_;
    return publish(control_->request_producer, request_producer_, control_->request_event);
}

RingFront::Take RingFront::take_reply(std::uint16_t& slot, std::uint32_t& length) {
    const std::uint32_t producer = load_acquire(control_->reply_producer);
    if (producer == reply_consumer_) return Take::none;
    if (producer - reply_consumer_ > max_slots) return Take::violation;
    slot = load_slot(control_->reply_slot[reply_consumer_ % max_slots]);
    if (slot >= slot_count_ || (in_flight_ >> slot & 1) == 0) return Take::violation;
    length = load_length(slots_[slot]);
    if (length < sizeof(OutHeader) || length > max_message_bytes) return Take::violation;
    in_flight_ &= ~(std::uint64_t{1} << slot);
    ++reply_consumer_;
    store_relaxed(control_->reply_consumer, reply_consumer_);
    return Take::reply;
}

bool RingFront::final_check_for_replies() {
    return final_check(control_->reply_event, reply_consumer_, control_->reply_producer);
}

// The producer raises an event only where it passes just the threshold.
void RingFront::expect_no_event() {
    store_relaxed(control_->reply_event, reply_consumer_);
}

bool RingFront::more_than(std::uint32_t taken) const {
    return load_acquire(control_->reply_producer) != taken;
}

bool RingFront::take_notice(Notice& out) {
    const std::uint32_t producer = load_acquire(control_->notice_producer);
    if (producer == notice_taken_ || producer - notice_taken_ > notice_count) return false;
    std::memcpy(&out, &control_->notices[notice_taken_ % notice_count], sizeof out);
    ++notice_taken_;
    return true;
}

void RingFront::finish_notice() {
    assert(notice_done_ != notice_taken_);
    ++notice_done_;
    store_release(control_->notice_done, notice_done_);
}

RingBack::RingBack(std::byte* control, std::span<std::byte* const> slots)
    : control_(reinterpret_cast<ControlPage*>(control)),
      slot_count_(static_cast<std::uint32_t>(slots.size())) {
    assert(std::has_single_bit(slots.size()) && slots.size() <= max_slots);
    std::copy(slots.begin(), slots.end(), slots_.begin());
}

RingBack::Take RingBack::take_request(std::uint16_t& slot, std::byte* copy) {
    const std::uint32_t producer = load_acquire(control_->request_producer);
    if (producer == request_consumer_) return Take::none;
    if (producer - request_consumer_ > slot_count_) return Take::violation;
    slot = load_slot(control_->request_slot[request_consumer_ % max_slots]);
    if (slot >= slot_count_ || (busy_ >> slot & 1) != 0) return Take::violation;
    const std::uint32_t length = load_length(slots_[slot]);
    if (length < sizeof(InHeader) || length > max_message_bytes) return Take::violation;
    std::memcpy(copy, slots_[slot], length);
    // the peer may have changed the length since it was read
    std::memcpy(copy, &length, sizeof length);
    busy_ |= std::uint64_t{1} << slot;
    ++request_consumer_;
    store_relaxed(control_->request_consumer, request_consumer_);
    return Take::request;
}

bool RingBack::pending() {
    return load_relaxed(control_->request_producer) != request_consumer_;
}

bool RingBack::final_check_for_requests() {
    return final_check(control_->request_event, request_consumer_, control_->request_producer);
}

void RingBack::expect_no_event() {
    store_relaxed(control_->request_event, request_consumer_);
}

bool RingBack::more_than(std::uint32_t taken) const {
    return load_acquire(control_->request_producer) != taken;
}

bool RingBack::reply(std::uint16_t slot) {
    assert(slot < slot_count_ && (busy_ >> slot & 1) != 0);
    busy_ &= ~(std::uint64_t{1} << slot);
    store_slot(control_->reply_slot[reply_producer_ % max_slots], slot);
    ++reply_producer_;
    return publish(control_->reply_producer, reply_producer_, control_->reply_event);
}

bool RingBack::post_notice(Notice& notice) {
    if (!notice_room()) return false;
    notice.sequence = notice_producer_ + 1;
    std::memcpy(&control_->notices[notice_producer_ % notice_count], &notice, sizeof notice);
    ++notice_producer_;
    store_release(control_->notice_producer, static_cast<std::uint32_t>(notice_producer_));
    return true;
}

std::uint64_t RingBack::notices_done() {
    const std::uint32_t done = load_acquire(control_->notice_done);
    const std::uint64_t ahead = done - static_cast<std::uint32_t>(notice_done_);
    if (ahead <= notice_producer_ - notice_done_) notice_done_ += ahead;
    return notice_done_;
}

bool RingBack::notice_done(std::uint64_t sequence) {
    return notice_done_ >= sequence || notices_done() >= sequence;
}

}  // namespace xenfs::protocol
