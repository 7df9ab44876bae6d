#pragma once
// A backing is the host that the daemon was configured for.

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "model/host/host.h"
#include "real/common/monitor.h"
#include "real/daemon/config.h"

namespace xenfs::real::daemon {

/// Thrown where the daemon cannot begin or continue; one sentence that says what to do.
class DaemonError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A host in the server's role, with the calls that the seam does not name.
class Backing {
  public:
    virtual ~Backing() = default;
    virtual host::Host& host() = 0;
    virtual Monitor& monitor() = 0;
    /// Returns the path whose watch fires when domains come and go.
    virtual std::string domains_watch() const = 0;
    virtual void wait_for_tasks() = 0;
    /// Unwinds every task where it waits, and returns when all have ended. The daemon calls it when
    /// it cannot continue.
    void abandon() {
        monitor().end();
        wait_for_tasks();
    }
};

/// Joins the local host or makes the pool domain. Throws DaemonError.
std::unique_ptr<Backing> make_backing(const DaemonConfig& config);

}  // namespace xenfs::real::daemon
