#pragma once
// A Transport connects the mount to its host, real Xen or local, as the DEVICE word says.

#include <memory>

#include "model/host/host.h"
#include "real/common/monitor.h"
#include "real/mount/options.h"

namespace xenfs::real::mount {

class Transport {
  public:
    virtual ~Transport() = default;
    virtual host::Host& host() = 0;
    virtual Monitor& monitor() = 0;
    virtual DomainId server() const = 0;
    /// Returns, on a local host, the descriptor through which the frames of `page`'s granter are
    /// mapped, writable or read-only as `page`'s mapping is, and the page's place in it. Returns
    /// on_xen on Xen, -1 where `page` is no mapping.
    static constexpr int on_xen = -2;
    virtual int descriptor_of(host::Page page, std::uint64_t& offset) = 0;
};

/// Opens the transport that options.device names. Throws MountError with one sentence.
std::unique_ptr<Transport> open_transport(const Options& options);

}  // namespace xenfs::real::mount
