#include "real/mount/transport.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "real/common/descriptor.h"
#include "real/local/local_host.h"
#include "real/local/segment.h"
#ifdef XENFS_HAVE_XEN
#include "real/xen/guest_host.h"
#endif

namespace xenfs::real::mount {
namespace {

class LocalTransport final : public Transport {
  public:
    explicit LocalTransport(std::unique_ptr<local::LocalHost> host) : host_(std::move(host)) {}
    host::Host& host() override { return *host_; }
    Monitor& monitor() override { return host_->monitor(); }
    DomainId server() const override { return 0; }
    int descriptor_of(host::Page page, std::uint64_t& offset) override {
        return host_->grants().descriptor_of(page.id, offset);
    }

  private:
    std::unique_ptr<local::LocalHost> host_;
};

/// Mounts, and tries again for up to 10 s: umount(8) returns before the previous mount of this
/// device has sent its dirty data and ended. Returns the result of the last attempt.
template <class Attempt>
auto while_the_last_mount_ends(Attempt attempt) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
        const bool last = std::chrono::steady_clock::now() >= deadline;
        if (auto result = attempt(last); result || last) return result;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

std::unique_ptr<local::LocalHost> join(const std::string& socket,
                                       const local::GuestConfig& config) {
    return while_the_last_mount_ends([&](bool last) -> std::unique_ptr<local::LocalHost> {
        try {
            return local::LocalHost::join_guest(socket, config);
        } catch (const local::DomainNumberTaken&) {
            if (last) throw;
            return nullptr;
        }
    });
}

#ifdef XENFS_HAVE_XEN
/// Holds the lock that keeps others in this guest from mounting the device, since the server would
/// take a second mount for the successor of the first. The lock is on a byte of the device node,
/// because that is one inode in every root and namespace, and only a process that may mount can
/// open it.
Descriptor lock_device(std::uint32_t number) {
    constexpr const char* node = "/dev/xen/gntalloc";
    Descriptor lock(open(node, O_RDWR | O_CLOEXEC));
    if (!lock) throw MountError(fmt::format("{}: {}", node, std::strerror(errno)));
    struct flock byte {};
    byte.l_type = F_WRLCK;
    byte.l_whence = SEEK_SET;
    byte.l_start = number;
    byte.l_len = 1;
    if (!while_the_last_mount_ends(
            [&](bool) { return fcntl(lock.get(), F_OFD_SETLK, &byte) == 0; })) {
        throw MountError(
            fmt::format("device {} of this guest is mounted already: unmount it first", number));
    }
    return lock;
}

class XenTransport final : public Transport {
  public:
    XenTransport(std::size_t pages, DomainId server, std::uint32_t device)
        : host_(pages, server), lock_(lock_device(device)), server_(server) {}
    host::Host& host() override { return host_; }
    Monitor& monitor() override { return host_.monitor(); }
    DomainId server() const override { return server_; }
    int descriptor_of(host::Page, std::uint64_t&) override { return on_xen; }

  private:
    xen::GuestHost host_;
    Descriptor lock_;
    DomainId server_;
};
#endif

}  // namespace

std::unique_ptr<Transport> open_transport(const Options& options) {
    const std::size_t pages = options.memory_pages;
    const std::string& device = options.device;
    const bool names_xen = device == "xen" || device.starts_with("xen:");
    if (!names_xen && (device.find('/') != std::string::npos || std::filesystem::exists(device))) {
        try {
            local::GuestConfig config;
            config.name = options.guest;
            config.shape.memory_pages = pages;
            if (options.domain != 0) config.id = static_cast<DomainId>(options.domain);
            return std::make_unique<LocalTransport>(join(device, config));
        } catch (const local::LocalError& error) {
            throw MountError(error.what());
        }
    }
    if (!names_xen) {
        throw MountError(fmt::format(
            "device '{}': give xen, xen:DOMID, or the path of a local host's socket", device));
    }
    std::uint32_t server = 0;
    if (device.size() > 4) {
        const char* const end = device.data() + device.size();
        const auto [at, error] = std::from_chars(device.data() + 4, end, server);
        if (error != std::errc() || at != end || server > 32751) {
            throw MountError(fmt::format("device '{}': what follows xen: is no domain", device));
        }
    }
#ifdef XENFS_HAVE_XEN
    try {
        return std::make_unique<XenTransport>(pages, static_cast<DomainId>(server),
                                              options.client.device);
    } catch (const xen::XenError& error) {
        throw MountError(error.what());
    }
#else
    throw MountError(
        "this xenfs-mount was built without Xen's libraries: install libxen-dev and build again");
#endif
}

}  // namespace xenfs::real::mount
