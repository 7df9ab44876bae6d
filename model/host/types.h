#pragma once
// Types that every room shares: sizes, identifiers, Xen's status codes, and a result type.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace xenfs {

inline constexpr std::size_t page_shift = 12;
inline constexpr std::size_t page_size = std::size_t{1}
                                         << page_shift;  ///< bytes; a frame, a file's page

using DomainId = std::uint16_t;   ///< Xen's domid_t
using Frame = std::uint32_t;      ///< machine frame number (16 TiB of 4 KiB frames fit)
using GrantRef = std::uint32_t;   ///< index into the granting domain's grant table
using MapHandle = std::uint32_t;  ///< names one mapping in the mapping domain
using Port = std::uint32_t;       ///< event channel port, local to a domain
using NodeId = std::uint64_t;     ///< a file or directory of an export; stable while the file lives
using Fingerprint = std::uint64_t;  ///< stands for a page's 4 KiB of content
using Nanoseconds = std::int64_t;   ///< all times; integers so that sums are exact and repeatable

inline constexpr Fingerprint zero_fingerprint = 0;  ///< the page of zeros
inline constexpr NodeId root_node = 1;              ///< as FUSE_ROOT_ID
inline constexpr GrantRef no_grant = ~GrantRef{0};
inline constexpr MapHandle no_handle = ~MapHandle{0};
inline constexpr Frame no_frame = ~Frame{0};

enum class Access : std::uint8_t { read, read_write };

/// Xen's grant-table status codes (xen/include/public/grant_table.h, GNTST_*), and two of our own.
/// Xen has no call that revokes, so it has no code for "still mapped".
enum class GrantStatus : std::int16_t {
    okay = 0,
    general_error = -1,
    bad_domain = -2,
    bad_gntref = -3,
    bad_handle = -4,
    no_device_space = -7,  ///< out of maptrack entries (or of I/O space)
    permission_denied = -8,
    bad_page = -9,
    bad_copy_arg = -10,
    address_too_big = -11,
    eagain = -12,
    no_space = -13,
    busy = -100,          ///< revoke: the peer still has the page mapped
    not_supported = -101  ///< this host has no such mechanism (see Capabilities)
};

/// Either a value or a positive errno. No exceptions cross the seam; an errno goes on the wire as
/// it is.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}  // NOLINT: conversion is the point
    static Result failure(int error) {
        Result result{T{}};
        result.error_ = error;
        return result;
    }
    explicit operator bool() const { return error_ == 0; }
    int error() const { return error_; }  ///< 0, or a positive errno
    T& operator*() { return value_; }
    const T& operator*() const { return value_; }
    T* operator->() { return &value_; }
    const T* operator->() const { return &value_; }

  private:
    T value_;
    int error_ = 0;
};

/// For `return Errno{ENOENT};` from any function that returns a Result.
struct Errno {
    int value;
    template <class T>
    operator Result<T>() const {
        return Result<T>::failure(value);
    }
};

}  // namespace xenfs
