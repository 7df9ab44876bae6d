#pragma once
// A whole local host for tests and benchmarks of the mount: broker and server run in this process,
// over a directory of this machine; guests are real xenfs-mount processes. Whatever happens, the
// rig leaves no mount and no process behind.

#include <sys/types.h>

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "model/server/server.h"
#include "real/local/broker.h"
#include "real/local/local_host.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::mount {

struct RigOptions {
    std::size_t guests = 2;
    bool start = true;          ///< makes the guests' mounts; otherwise the test does
    std::string mount_options;  ///< added for all guests, behind "domain=…"
    std::uint64_t quota_pages = 65536;
    bool read_only = false;         ///< guests may change nothing
    std::size_t memory_mib = 2048;  ///< the local host's memory, taken when touched
    server::Config server;
    std::filesystem::path tree;      ///< what is exported; a new directory where empty
    std::size_t open_files = 16384;  ///< how many files guests may have open
    /// "fanotify" or "inotify": the server hears of what other processes change in the tree
    std::string watch;
    int patience_s = 480;  ///< after this the mounts are aborted, so that what hangs fails
};

/// Returns why this machine cannot mount, or nothing.
std::string why_no_mounts();

/// Returns whether this kernel maps files MAP_SHARED that are read directly (Linux 6.6).
bool maps_what_is_read_directly();

class MountRig {
  public:
    /// Throws std::runtime_error where a mount fails.
    explicit MountRig(RigOptions options);
    ~MountRig();

    const std::filesystem::path& tree() const { return tree_; }
    std::filesystem::path at(std::size_t guest, const std::string& path = "") const {
        return path.empty() ? guests_[guest].place : guests_[guest].place / path;
    }
    std::string socket() const { return directory_ / "host.sock"; }
    DomainId domain(std::size_t guest) const { return static_cast<DomainId>(10 + guest); }
    pid_t process(std::size_t guest) const { return guests_[guest].process; }

    void start_guest(std::size_t guest, const std::string& more_options = "");
    /// Sends the signal and waits. Returns the exit status as waitpid does, and removes a mount
    /// left behind.
    int end_guest(std::size_t guest, int signal);
    void stop_server();

    server::Stats server_stats();
    server::Server::Charges charges(std::size_t guest);
    std::uint32_t connected();
    std::uint32_t lock_waits();    ///< Counts the waits for locks of all guests.
    std::uint32_t cached_pages();  ///< Counts the frames of the shared cache that hold data.

  private:
    struct Guest {
        std::filesystem::path place;
        pid_t process = -1;
    };
    template <class Call>
    auto in_server(Call call);
    void watch();

    RigOptions options_;
    std::filesystem::path directory_, tree_;
    std::unique_ptr<local::Broker> broker_;
    std::thread broker_thread_;
    std::unique_ptr<local::LocalHost> host_;
    std::unique_ptr<storage::TreeStorage> storage_;
    std::unique_ptr<server::Server> server_;
    std::vector<Guest> guests_;
    std::thread watchdog_;
    std::mutex mutex_;
    std::condition_variable ended_;
    bool over_ = false;
};

/// Starts a program whose output goes where ours goes. Returns its process.
pid_t start_program(const std::vector<std::string>& words);
/// Returns its exit code, or 128 plus the signal that killed it.
int finish_program(pid_t process);
bool is_mounted(const std::filesystem::path& place);
/// Returns all bytes of a file; none where it cannot be read.
std::string content(const std::filesystem::path& path);
/// Waits up to `seconds` for a condition.
template <class Condition>
bool eventually(Condition condition, double seconds = 10) {
    for (int i = 0; i < seconds * 200; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return condition();
}

}  // namespace xenfs::real::mount
