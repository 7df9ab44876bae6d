#pragma once
// A seat is a guest's place on a host, real Xen or local, found by the word that names the device.

#include <memory>

#include "model/host/host.h"
#include "real/common/monitor.h"
#include "real/mount/options.h"

namespace xenfs::real::mount {

class Seat {
  public:
    virtual ~Seat() = default;
    virtual host::Host& host() = 0;
    virtual Monitor& monitor() = 0;
    virtual DomainId server() const = 0;
    /// Local host: returns the descriptor through which the frames of `page`'s granter are mapped,
    /// writable or read-only as `page`'s mapping is, and the page's place in it. Returns on_xen on
    /// Xen, -1 where `page` is no mapping.
    static constexpr int on_xen = -2;
    virtual int descriptor_of(host::Page page, std::uint64_t& offset) = 0;
};

/// Throws MountError with one sentence.
std::unique_ptr<Seat> take_seat(const Options& options);

}  // namespace xenfs::real::mount
