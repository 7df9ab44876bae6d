#include "real/daemon/backing.h"

#include <algorithm>

#include "real/local/local_host.h"
#ifdef XENFS_WITH_XEN
#include "real/xen/server_host.h"
#endif

namespace xenfs::real::daemon {
namespace {

std::size_t pool_pages(const DaemonConfig& config) {
    const std::size_t pages = config.server.cache_pages + config.donation_pages;
    // The pool needs these bytes for what the server keeps for a successor (directory.h): 24 B a
    // page and, at worst, 144 B for its file, together a 24th of a page; a grant entry needs 8 B.
    constexpr std::size_t default_grant_frames = 64;  // Xen's own default
    const std::size_t entries = std::max<std::size_t>(config.grant_frames, default_grant_frames);
    return pages + pages / 16 + entries + 256;
}

class LocalBacking final : public Backing {
  public:
    explicit LocalBacking(const DaemonConfig& config)
        : host_(local::LocalHost::join_server(config.local_socket,
                                              {config.pool_name, shape(config)})) {}
    host::Host& host() override { return *host_; }
    Monitor& monitor() override { return host_->monitor(); }
    std::string domains_watch() const override { return "/local/domain"; }
    void wait_for_tasks() override { host_->wait_for_tasks(); }

  private:
    static local::DomainShape shape(const DaemonConfig& config) {
        local::DomainShape shape;
        shape.memory_pages = pool_pages(config);
        shape.populated = 0;
        if (config.grant_frames != 0) {
            shape.grant_frames = config.grant_frames;
        }
        return shape;
    }
    std::unique_ptr<local::LocalHost> host_;
};

#ifdef XENFS_WITH_XEN
class XenBacking final : public Backing {
  public:
    explicit XenBacking(const DaemonConfig& config)
        : host_(config.pool_name, {.pages = pool_pages(config),
                                   .grant_frames = config.grant_frames,
                                   .record = "/run/xenfs/" + config.pool_name + ".pool",
                                   .take_over = config.server.recovery}) {}
    host::Host& host() override { return host_; }
    Monitor& monitor() override { return host_.monitor(); }
    std::string domains_watch() const override { return "@introduceDomain"; }
    void wait_for_tasks() override { host_.tasks().join(); }

  private:
    xen::ServerHost host_;
};
#endif

}  // namespace

std::unique_ptr<Backing> make_backing(const DaemonConfig& config) {
    if (config.host == "local") {
        try {
            return std::make_unique<LocalBacking>(config);
        } catch (const local::LocalError& error) {
            throw DaemonError(error.what());
        }
    }
#ifdef XENFS_WITH_XEN
    try {
        return std::make_unique<XenBacking>(config);
    } catch (const xen::XenError& error) {
        throw DaemonError(error.what());
    }
#else
    throw DaemonError(config.source +
                      ": host: this xenfsd was built without Xen's libraries; install libxen-dev "
                      "and build it again, or say host = \"local\"");
#endif
}

}  // namespace xenfs::real::daemon
