#pragma once
// A Mount is a FUSE mount over a client. Programs' requests arrive on libfuse's threads. Each of
// these enters the guest's monitor as a task and leaves it only where the client yields and while
// data is copied to the kernel.

#include <memory>

#include "model/client/client.h"
#include "real/mount/fuse.h"
#include "real/mount/kernel_cache.h"
#include "real/mount/lock_waits.h"
#include "real/mount/options.h"
#include "real/mount/shares.h"
#include "real/mount/transport.h"

namespace xenfs::real::mount {

class Mount {
  public:
    /// Connects, then mounts. Throws MountError and leaves nothing behind where that fails.
    explicit Mount(const Options& options);
    ~Mount();

    /// Serves until the file system is unmounted or a signal arrives, then unmounts and writes
    /// back. Returns 0, or 1 with a sentence on stderr where data could not be written back.
    int run();

    // The members below serve the operations (operations.h), in a task.
    client::Client& client() { return *client_; }
    host::Host& host() { return transport_->host(); }
    Monitor& monitor() { return transport_->monitor(); }
    KernelCache& kernel() { return kernel_; }
    LockWaits& locks() { return *locks_; }
    Shares& shares() { return *shares_; }
    const Options& options() const { return options_; }
    void on_init(fuse_conn_info& connection);  ///< handles FUSE_INIT

  private:
    void connect();
    void mount_session();
    int disconnect();

    const Options options_;
    std::unique_ptr<Transport> transport_;
    std::unique_ptr<client::Client> client_;
    KernelCache kernel_;
    std::unique_ptr<LockWaits> locks_;
    std::unique_ptr<Shares> shares_;
    fuse_session* session_ = nullptr;
};

}  // namespace xenfs::real::mount
