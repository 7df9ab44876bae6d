#pragma once
// The packets between a domain and the broker: one for a call, one for its answer, over a
// SOCK_SEQPACKET socket on the same machine. Numbers travel as they are in memory, since both ends
// are the same program on the same processor. The broker believes no length in a packet.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/host/types.h"
#include "real/common/descriptor.h"

namespace xenfs::real::local {

enum class Call : std::uint32_t {
    hello,
    frames_allocate,
    frames_release,
    frames_donate,
    frames_reclaim,
    frames_limit,
    frames_all,
    grant,
    accept_transfer,
    revoke,
    take_transferred,
    entries_all,
    map,
    unmap,
    copy,
    transfer,
    window,
    port_open,
    port_bind,
    port_close,
    store_read,
    store_write,
    store_remove,
    store_list,
    store_allow,
    store_watch,
    store_unwatch,
    store_fired,
    destroy
};

inline constexpr std::size_t max_packet = 128 << 10;  ///< bytes
inline constexpr std::size_t max_batch = 1024;     ///< frames, references or operations in one call
inline constexpr std::size_t max_descriptors = 4;  ///< in one packet
/// Domain ids in one broker's life; Xen's own bound (DOMID_FIRST_RESERVED).
inline constexpr std::size_t max_published = 0x7ff0;

/// The figures of a domain that the core asks for often. The broker publishes them in memory that
/// every domain maps read-only; each has one cache line, indexed by domain id.
struct alignas(64) Account {
    std::uint64_t owned = 0, limit = 0, donated = 0, granted = 0, grant_capacity = 0;
};

/// The size that a domain asks for. The broker gives no more memory than the host has.
struct DomainShape {
    std::uint64_t memory_pages = 0;        ///< frames that it may have
    std::uint32_t grant_frames = 64;       ///< pages of its grant table, 512 entries each
    std::uint32_t maptrack_frames = 1024;  ///< 256 mappings of peers' pages each
    /// its memory is its own from the start (for a guest, not for a pool)
    std::uint8_t populated = 1;
};

enum class Role : std::uint32_t { guest, server };
inline constexpr DomainId any_domain = 0xffff;  ///< in hello: the next free id

/// The answer of Call::map for one reference; the granter's serial number (u64) precedes them all.
struct MapAnswer {
    MapHandle handle = no_handle;
    Frame frame = no_frame;  ///< its place in the granter's segment
    GrantStatus status = GrantStatus::general_error;
};

class Writer {
  public:
    explicit Writer(Call call) { put(call); }
    explicit Writer(int error) {
        put(error);
    }  ///< begins an answer: 0 or an errno, then what was asked for
    template <class T>
    Writer& put(const T& value) {
        return put_span(std::span<const T>(&value, 1));
    }
    template <class T>
    Writer& put_span(std::span<const T> values) {
        static_assert(std::is_trivially_copyable_v<T>);
        if (values.empty()) return *this;
        const std::size_t at = bytes_.size();
        bytes_.resize(at + values.size_bytes());
        std::memcpy(bytes_.data() + at, values.data(), values.size_bytes());
        return *this;
    }
    Writer& put_text(std::string_view text) {
        put(static_cast<std::uint32_t>(text.size()));
        return put_span(std::span<const char>(text));
    }
    std::span<const std::byte> bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

/// Takes values off a packet. A value that is not there reads as zero, and ok() is false
/// afterwards.
class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}
    template <class T>
    T take() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        if (!enough(sizeof(T))) return value;
        std::memcpy(&value, rest_.data(), sizeof(T));
        rest_ = rest_.subspan(sizeof(T));
        return value;
    }
    /// Takes exactly `count` values, or none where they are not all there.
    template <class T>
    std::vector<T> take_array(std::size_t count) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::vector<T> values;
        if (count > max_packet / sizeof(T) || !enough(count * sizeof(T))) {
            ok_ = false;
            return values;
        }
        values.resize(count);
        if (count > 0) std::memcpy(values.data(), rest_.data(), count * sizeof(T));
        rest_ = rest_.subspan(count * sizeof(T));
        return values;
    }
    /// Takes all that is left as values of one type: a batch.
    template <class T>
    std::vector<T> take_rest() {
        if (rest_.size() % sizeof(T) != 0) ok_ = false;
        return take_array<T>(rest_.size() / sizeof(T));
    }
    std::string take_text();
    bool ok() const { return ok_; }

  private:
    bool enough(std::size_t size) {
        if (size > rest_.size()) ok_ = false;
        return ok_;
    }
    std::span<const std::byte> rest_;
    bool ok_ = true;
};

struct Packet {
    std::vector<std::byte> bytes;
    std::vector<Descriptor> descriptors;
};

/// Returns false where the other end is gone or, without `wait`, does not take its packets.
bool send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors,
                 bool wait);
/// Blocks until a packet comes. Returns false where the other end is gone, or has sent something
/// that is no packet.
bool receive_packet(int socket, Packet& packet);

}  // namespace xenfs::real::local
