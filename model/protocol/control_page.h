#pragma once
// The layout of page 0 of a connection. Indices run freely over 32 bits; an entry's place is its
// index modulo the array's length. Each word has one writer, and words of different writers lie in
// different cache lines.

#include <cstddef>
#include <cstdint>

#include "model/protocol/notices.h"

namespace xenfs::protocol {

inline constexpr std::uint32_t max_slots =
    64;  ///< slots of a connection: a power of two up to this
inline constexpr std::uint32_t notice_count = 32;  ///< notices in flight

struct ControlPage {
    alignas(64) std::uint32_t request_producer;  ///< client
    alignas(64) std::uint32_t request_consumer;  ///< server, as a hint
    alignas(64) std::uint32_t reply_producer;    ///< server
    alignas(64) std::uint32_t reply_consumer;    ///< client, as a hint
    alignas(64) std::uint32_t request_event;  ///< server: raise an event when producer passes this
    alignas(64) std::uint32_t reply_event;    ///< client: the same for replies
    alignas(64) std::uint32_t notice_producer;          ///< server
    alignas(64) std::uint32_t notice_done;              ///< client
    alignas(64) std::uint16_t request_slot[max_slots];  ///< client: which slot holds request i
    alignas(64) std::uint16_t reply_slot[max_slots];    ///< server: which slot holds reply i
    std::byte unused[256];
    alignas(64) Notice notices[notice_count];  ///< server
};
static_assert(offsetof(ControlPage, request_producer) == 0);
static_assert(offsetof(ControlPage, request_consumer) == 64);
static_assert(offsetof(ControlPage, reply_producer) == 128);
static_assert(offsetof(ControlPage, reply_consumer) == 192);
static_assert(offsetof(ControlPage, request_event) == 256);
static_assert(offsetof(ControlPage, reply_event) == 320);
static_assert(offsetof(ControlPage, notice_producer) == 384);
static_assert(offsetof(ControlPage, notice_done) == 448);
static_assert(offsetof(ControlPage, request_slot) == 512);
static_assert(offsetof(ControlPage, reply_slot) == 640);
static_assert(offsetof(ControlPage, notices) == 1024);
static_assert(offsetof(ControlPage, notices) + sizeof(Notice) * notice_count == 3072);

}  // namespace xenfs::protocol
