#pragma once
// A FUSE mount over a client: programs' requests come in on libfuse's threads, each of which enters
// the guest's monitor as a task, and leaves it only where the client yields and while data is
// handed to the kernel.

#include <memory>

#include "model/client/client.h"
#include "real/mount/fuse.h"
#include "real/mount/kernel_cache.h"
#include "real/mount/lock_waits.h"
#include "real/mount/options.h"
#include "real/mount/seat.h"
#include "real/mount/shares.h"

namespace xenfs::real::mount {

class Mount {
  public:
    /// Connects, then mounts. MountError, with nothing left behind.
    explicit Mount(const Options& options);
    ~Mount();

    /// Serves until the file system is unmounted or a signal comes; then unmounts and writes back.
    /// 0, or 1 with a sentence on stderr where data could not be written back.
    int run();

    // For the operations (operations.h), in a task.
    client::Client& client() { return *client_; }
    host::Host& host() { return seat_->host(); }
    Monitor& monitor() { return seat_->monitor(); }
    KernelCache& kernel() { return kernel_; }
    LockWaits& locks() { return *locks_; }
    Shares& shares() { return *shares_; }
    const Options& options() const { return options_; }
    void kernel_said(fuse_conn_info& connection);  ///< FUSE_INIT
    Seat& seat() { return *seat_; }

  private:
    void connect();
    void mount_session();
    int disconnect();

    const Options options_;
    std::unique_ptr<Seat> seat_;
    std::unique_ptr<client::Client> client_;
    KernelCache kernel_;
    std::unique_ptr<LockWaits> locks_;
    std::unique_ptr<Shares> shares_;
    fuse_session* session_ = nullptr;
};

}  // namespace xenfs::real::mount
