#pragma once
// These are both ends of a connection over raw pages. They touch nothing but the pages: no events,
// no tasks. Whatever the other side writes is read once into private memory, with acquire ordering
// where it publishes something, and checked there.
//
// Charges must be flushed (Clock::flush) before submit(), reply(), post_notice() and
// finish_notice(), because the other domain sees what these write.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "model/protocol/control_page.h"
#include "model/protocol/fuse.h"
#include "model/protocol/pages.h"

namespace xenfs::protocol {

/// A client's end. It owns the record of free slots; the pages belong to the caller and outlive it.
class RingFront {
  public:
    static constexpr std::uint16_t no_slot = 0xffff;

    RingFront() = default;
    /// `control` and `slots` point to zeroed pages of 4096 bytes; slots.size() is a power of two ≤
    /// 64.
    RingFront(std::byte* control, std::span<std::byte* const> slots);

    /// Returns a free slot to encode a request into, or no_slot.
    std::uint16_t acquire_slot() {
        if (free_ == 0) return no_slot;
        const auto slot = static_cast<std::uint16_t>(std::countr_zero(free_));
        free_ &= free_ - 1;
        return slot;
    }
    /// Gives back a slot whose reply was taken, or that was never submitted.
    void release_slot(std::uint16_t slot) { free_ |= std::uint64_t{1} << slot; }
    std::byte* slot(std::uint16_t index) const { return slots_[index]; }
    /// Prepares for a new peer at the same pages, which nobody else maps any more. The ring is as
    /// when it was made, with nothing in flight, except that slots which are taken stay taken.
    void restart();
    std::uint32_t slot_count() const { return slot_count_; }
    std::uint32_t free_slots() const { return static_cast<std::uint32_t>(std::popcount(free_)); }

    /// Publishes the request in `slot`. True: the server asked for an event.
    bool submit(std::uint16_t slot);

    /// Takes the next reply: the slot that holds it and its length, checked (a slot in flight,
    /// sizeof(OutHeader) ≤ length ≤ 4096). The reply's bytes stay in the slot until release_slot.
    /// An honest server does not touch them again; a careful client copies what it checks.
    enum class Take { none, reply, violation };
    Take take_reply(std::uint16_t& slot, std::uint32_t& length);
    /// Asks for an event at the next reply. True: one came meanwhile; take it first.
    bool final_check_for_replies();
    /// Asks for no event, until final_check_for_replies(): the caller looks by itself.
    void expect_no_event();
    /// Counts the replies taken; any thread may ask whether there are more than so many.
    std::uint32_t taken() const { return reply_consumer_; }
    bool more_than(std::uint32_t taken) const;

    /// Copies the next notice out. Call finish_notice once for each notice, in order, then raise an
    /// event.
    bool take_notice(Notice& out);
    void finish_notice();

  private:
    ControlPage* control_ = nullptr;
    std::array<std::byte*, max_slots> slots_{};
    std::uint64_t free_ = 0;
    std::uint64_t in_flight_ = 0;
    std::uint32_t slot_count_ = 0;
    std::uint32_t request_producer_ = 0;
    std::uint32_t reply_consumer_ = 0;
    std::uint32_t notice_taken_ = 0, notice_done_ = 0;
};

/// The server's end. It never loops on, indexes by or believes a value that the client can write.
class RingBack {
  public:
    RingBack() = default;
    RingBack(std::byte* control, std::span<std::byte* const> slots);

    /// Takes the next request and copies it (its length read once, bounded) to `copy`, whose header
    /// then holds the checked length. `copy` has max_message_bytes. A violation means that the
    /// producer ran ahead, that a slot is out of range or in service, or that a length is no
    /// message's: the connection must end.
    enum class Take { none, request, violation };
    Take take_request(std::uint16_t& slot, std::byte* copy);
    /// Returns whether a request waits. This is a hint; take_request decides.
    bool pending();
    /// Asks for an event at the next request. True: one came meanwhile; take it first.
    bool final_check_for_requests();
    /// As RingFront's, for requests.
    void expect_no_event();
    std::uint32_t taken() const { return request_consumer_; }
    bool more_than(std::uint32_t taken) const;

    /// Returns where the reply to the request in `slot` is encoded; write it, then call reply().
    std::byte* slot(std::uint16_t index) const { return slots_[index]; }
    /// Publishes the reply in `slot`. True: the client asked for an event.
    bool reply(std::uint16_t slot);
    std::uint32_t in_service() const { return static_cast<std::uint32_t>(std::popcount(busy_)); }

    /// Returns false while the maximum of notices is in flight. Sets the notice's sequence. Always
    /// raise an event afterwards.
    bool post_notice(Notice& notice);
    /// Returns whether the client has advanced past `sequence` (which was posted). A client's
    /// counter that runs backwards or ahead of what was posted is not believed.
    bool notice_done(std::uint64_t sequence);
    std::uint64_t last_notice() const { return notice_producer_; }
    std::uint32_t notices_in_flight() {
        return static_cast<std::uint32_t>(notice_producer_ - notices_done());
    }
    bool notice_room() { return notice_producer_ - notices_done() < notice_count; }

  private:
    std::uint64_t notices_done();

    ControlPage* control_ = nullptr;
    std::array<std::byte*, max_slots> slots_{};
    std::uint64_t busy_ = 0;  ///< slots taken and not replied to
    std::uint32_t slot_count_ = 0;
    std::uint32_t request_consumer_ = 0;
    std::uint32_t reply_producer_ = 0;
    std::uint64_t notice_producer_ = 0, notice_done_ = 0;
};

}  // namespace xenfs::protocol
