#pragma once
// Messages are encoded into a slot and decoded from private memory; both are bounded and allocate
// nothing.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "model/protocol/fuse.h"
#include "model/protocol/pages.h"

namespace xenfs::protocol {

/// Appends to a message of at most `capacity` bytes. A value that does not fit is not written, and
/// ok() is false from then on; the caller answers E2BIG or ENAMETOOLONG rather than a short
/// message.
class Writer {
  public:
    explicit Writer(std::byte* message, std::size_t capacity = max_message_bytes)
        : message_(message), capacity_(capacity) {}

    /// Returns space for a T (or a run of them), uninitialised; null where it does not fit.
    std::byte* reserve(std::size_t bytes) {
        if (!ok_ || bytes > capacity_ - size_) {
            ok_ = false;
            return nullptr;
        }
        std::byte* at = message_ + size_;
        size_ += bytes;
        return at;
    }
    template <class T>
    void put(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        if (std::byte* at = reserve(sizeof(T))) std::memcpy(at, &value, sizeof(T));
    }
    template <class T>
    void put_array(std::span<const T> values) {
        static_assert(std::is_trivially_copyable_v<T>);
        if (std::byte* at = reserve(values.size_bytes()); at != nullptr && !values.empty()) {
            std::memcpy(at, values.data(), values.size_bytes());
        }
    }
    /// Appends a name and its NUL.
    void put_name(std::string_view name) {
        put_bytes(name);
        if (std::byte* at = reserve(1)) *at = std::byte{0};
    }
    void put_bytes(std::string_view bytes) {
        if (std::byte* at = reserve(bytes.size()); at != nullptr && !bytes.empty()) {
            std::memcpy(at, bytes.data(), bytes.size());
        }
    }

    std::size_t size() const { return size_; }
    std::size_t room() const { return capacity_ - size_; }
    bool ok() const { return ok_; }

  private:
    std::byte* message_;
    std::size_t capacity_;
    std::size_t size_ = 0;
    bool ok_ = true;
};

/// Reads a message in memory that nobody else can change. After the first value that is missing,
/// ok() is false and every further value reads as zero or empty.
class Reader {
  public:
    Reader(const std::byte* message, std::size_t size) : at_(message), left_(size) {}

    template <class T>
    T get() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        if (const std::byte* from = take(sizeof(T))) std::memcpy(&value, from, sizeof(T));
        return value;
    }
    /// Returns the array itself where it is aligned as T (all arrays of this protocol are).
    template <class T>
    std::span<const T> get_array(std::size_t count) {
        static_assert(std::is_trivially_copyable_v<T>);
        if (count > left_ / sizeof(T)) {
            ok_ = false;
            left_ = 0;
            return {};
        }
        const std::byte* from = take(count * sizeof(T));
        if (reinterpret_cast<std::uintptr_t>(from) % alignof(T) != 0) {
            ok_ = false;
            left_ = 0;
            return {};
        }
        return {reinterpret_cast<const T*>(from), count};
    }
    /// Returns the bytes up to a NUL, which must be there and is skipped.
    std::string_view get_string() {
        const void* nul = left_ == 0 ? nullptr : std::memchr(at_, 0, left_);
        if (!ok_ || nul == nullptr) {
            ok_ = false;
            left_ = 0;
            return {};
        }
        const auto length = static_cast<std::size_t>(static_cast<const std::byte*>(nul) - at_);
        const std::string_view text(reinterpret_cast<const char*>(at_), length);
        take(length + 1);
        return text;
    }
    std::string_view get_bytes(std::size_t count) {
        const std::byte* from = take(count);
        return from == nullptr ? std::string_view{}
                               : std::string_view(reinterpret_cast<const char*>(from), count);
    }

    bool ok() const { return ok_; }
    std::size_t left() const { return left_; }
    /// Returns whether every value was there and nothing is left.
    bool finished() const { return ok_ && left_ == 0; }

  private:
    const std::byte* take(std::size_t bytes) {
        if (!ok_ || bytes > left_) {
            ok_ = false;
            left_ = 0;
            return nullptr;
        }
        const std::byte* from = at_;
        at_ += bytes;
        left_ -= bytes;
        return from;
    }

    const std::byte* at_;
    std::size_t left_;
    bool ok_ = true;
};

/// Checks whether `name` may stand for one component: 1 … 255 bytes, no '/', no NUL, not "." or
/// "..". Returns 0 or the errno to answer: EINVAL, ENAMETOOLONG.
int check_name(std::string_view name);

}  // namespace xenfs::protocol
