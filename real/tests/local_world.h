#pragma once
// A local host whose parts are processes: a broker, a server over a real tree, guests. All are
// forked from the test, which has no threads, and may be killed at any instant.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "model/client/client.h"
#include "model/server/server.h"
#include "real/local/broker.h"
#include "real/local/local_host.h"
#include "real/storage/tree_storage.h"
#include "real/tests/child_process.h"

namespace xenfs::real::tests {

inline constexpr std::size_t most_guests = 4;

/// Memory through which the processes tell each other what they do.
struct Shared {
    std::atomic<std::uint32_t> life{0};      ///< counts servers that have recovered
    std::atomic<std::uint32_t> stop{0};      ///< asks the server to stop in order
    std::atomic<std::uint32_t> finished{0};  ///< guests that have done their work
    std::atomic<std::uint32_t> enough{0};    ///< lets them end their work
    std::atomic<std::uint32_t> go{0};        ///< lets them verify and leave
    std::atomic<std::uint64_t> operations{0};
    /// after so many changes to the tree the server kills itself; 0: it does not
    std::atomic<std::uint32_t> die_after{0};
    // These tell of the server's present life.
    std::atomic<std::uint64_t> disk_read_pages{0}, recovered_pages{0}, recovered_dirty{0},
        recovery_lost{0}, recovery_ns{0}, resumed{0}, not_resumed{0}, cached{0};
    std::atomic<std::uint64_t> published{0};  ///< counts how often the server has published these
    std::atomic<std::uint64_t> replayed{0};   ///< counts those of all lives
    std::atomic<std::uint64_t> pinned[most_guests]{}, pinned_entries{0};
    std::atomic<std::uint32_t> step[most_guests]{};  ///< for tests that take turns
};

struct LocalWorldOptions {
    std::size_t guests = 3;
    std::uint32_t cache_pages = 16384;
    std::uint64_t quota = 16384;
    unsigned workers = 4;
    Nanoseconds dirty_expire = 2'000'000'000;
    std::size_t open_files = 16384;  ///< how many files clients may have open
};

/// A tree that kills its server between a change and everything that follows from it.
class MortalTree final : public storage::TreeStorage {
  public:
    MortalTree(Shared& shared, local::LocalHost& host, const std::string& root,
               std::size_t open_files)
        : TreeStorage(host.memory(), host.monitor(), storage::open_root(root),
                      {.open_files = open_files}),
          shared_(shared) {}
    Result<host::Attr> unlink(NodeId parent, std::string_view name) override {
        return changed(TreeStorage::unlink(parent, name));
    }
    Result<host::Attr> create(NodeId parent, std::string_view name, host::FileType type,
                              std::uint32_t mode, host::Owner owner, std::string_view target,
                              std::uint32_t rdev) override {
        return changed(TreeStorage::create(parent, name, type, mode, owner, target, rdev));
    }
    Result<NodeId> rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                          std::string_view new_name, std::uint32_t flags) override {
        return changed(TreeStorage::rename(old_parent, old_name, new_parent, new_name, flags));
    }

  private:
    template <class Outcome>
    Outcome changed(Outcome outcome) {
        if (shared_.die_after != 0 && --shared_.die_after == 0) raise(SIGKILL);
        return outcome;
    }
    Shared& shared_;
};

class LocalWorld {
  public:
    static constexpr DomainId first_guest = 2;

    explicit LocalWorld(LocalWorldOptions options) : options_(options) {
        std::string name = std::filesystem::temp_directory_path() / "xenfs-kill-XXXXXX";
        top = mkdtemp(name.data());
        std::filesystem::create_directory(top / "tree");
        std::filesystem::create_directory(top / "expected");
        socket_ = top / "host.sock";
        void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        shared = new (memory) Shared;
        broker_ = child_process([this] {
            local::BrokerConfig config;
            config.socket = socket_;
            config.memory_pages = 1 << 18;
            local::Broker(config).run();
        });
        for (int i = 0; i < 500 && !std::filesystem::exists(socket_); ++i) usleep(10'000);
        start_server();
    }
    ~LocalWorld() {
        for (const pid_t guest : guests_) kill_process(guest);
        kill_process(server_);
        kill_process(broker_);
        munmap(shared, sizeof(Shared));
        std::filesystem::remove_all(top);
    }

    void start_server() {
        server_ = child_process([this] { serve(); });
    }
    void kill_server() {
        EXPECT_TRUE(server_lives());
        shared->disk_read_pages = shared->recovered_pages = 0;
        kill_process(server_);
        server_ = 0;
    }
    /// Returns false where it has ended by itself, which only a failed assertion explains.
    bool server_lives() { return lives(server_, "the server"); }
    /// Waits for the server to kill itself (Shared::die_after).
    void wait_for_death() {
        EXPECT_TRUE(WIFSIGNALED(wait_for(server_)));
        server_ = 0;
    }
    /// Stops it as `systemctl stop` does: what is dirty is written back.
    void stop_server() {
        shared->stop = 1;
        EXPECT_EQ(wait_for(server_), 0);
        server_ = 0;
    }
    /// Starts a process with a mounted client; its exit status tells of failures.
    void start_guest(std::size_t index, const client::ClientConfig& config,
                     std::function<void(local::LocalHost&, client::Client&)> body) {
        guests_.resize(std::max(guests_.size(), index + 1), 0);
        guests_[index] = child_process([this, index, config, body] {
            const auto host =
                local::LocalHost::join_guest(socket_, {"guest" + std::to_string(index),
                                                       {.memory_pages = 16384},
                                                       static_cast<DomainId>(first_guest + index)});
            {
                client::Client mounted(*host, config);
                host->tasks().spawn(
                    "main",
                    [&] {
                        ASSERT_EQ(mounted.mount(), 0);
                        body(*host, mounted);
                        EXPECT_EQ(mounted.unmount(), 0);
                    },
                    false);
                host->wait_for_tasks();
            }
        });
    }
    void kill_guest(std::size_t index) {
        kill_process(guests_[index]);
        guests_[index] = 0;
    }
    void wait_for_guests() {
        for (pid_t& guest : guests_) {
            if (guest != 0) {
                EXPECT_EQ(wait_for(guest), 0) << "a guest failed";
            }
            guest = 0;
        }
    }
    /// Returns false where a guest has ended too early.
    bool guests_live() {
        for (pid_t& guest : guests_) {
            if (!lives(guest, "a guest")) return false;
        }
        return true;
    }
    /// Waits until the server has published its present state.
    void wait_for_status() {
        const std::uint64_t seen = shared->published;
        EXPECT_TRUE(eventually([&] { return shared->published >= seen + 2; }));
    }
    /// Waits until the condition holds. Returns false after 60 s.
    static bool eventually(const std::function<bool()>& condition) {
        for (int i = 0; i < 12'000; ++i) {
            if (condition()) return true;
            usleep(5000);
        }
        return false;
    }

    std::filesystem::path top;
    Shared* shared = nullptr;

  private:
    static void kill_process(pid_t process) {
        if (process == 0) return;
        kill(process, SIGKILL);
        waitpid(process, nullptr, 0);
    }
    static bool lives(pid_t& process, const char* who) {
        int status = 0;
        if (process == 0 || waitpid(process, &status, WNOHANG) == 0) return true;
        ADD_FAILURE() << who << " ended with status " << status;
        process = 0;
        return false;
    }
    static int wait_for(pid_t process) {
        int status = 0;
        waitpid(process, &status, 0);
        return status;
    }

    void serve() {
        std::unique_ptr<local::LocalHost> host;
        for (int attempt = 0; host == nullptr; ++attempt) {
            try {
                local::PoolConfig pool;
                pool.shape.memory_pages = options_.cache_pages + options_.cache_pages / 16 + 256;
                host = local::LocalHost::join_server(socket_, pool);
            } catch (const local::LocalError&) {
                if (attempt == 500) throw;  // the broker has not yet noticed the old one's end
                usleep(2'000);
            }
        }
        MortalTree tree(*shared, *host, (top / "tree").string(), options_.open_files);
        server::Config config;
        config.cache_pages = options_.cache_pages;
        config.recovery = true;
        config.workers = options_.workers;
        config.dirty_expire = options_.dirty_expire;
        server::Server server(*host, tree, config);
        host->tasks().spawn(
            "main",
            [&] {
                for (std::size_t i = 0; i < options_.guests; ++i) {
                    server.attach({.guest = static_cast<DomainId>(first_guest + i),
                                   .quota_pages = options_.quota});
                }
                server.start();
                std::uint64_t replayed = 0;
                bool told = false;
                while (shared->stop == 0) {
                    host->clock().sleep(2'000'000);
                    const server::Stats& stats = server.stats();
                    shared->disk_read_pages = stats.disk_read_pages;
                    shared->recovered_pages = stats.recovered_pages;
                    shared->recovered_dirty = stats.recovered_dirty;
                    shared->recovery_lost = stats.recovery_lost_pages;
                    shared->recovery_ns = static_cast<std::uint64_t>(stats.recovery_ns);
                    shared->resumed = stats.resumed;
                    shared->not_resumed = stats.not_resumed;
                    shared->cached = server.cached_pages();
                    shared->replayed += stats.replayed - replayed;
                    replayed = stats.replayed;
                    for (std::size_t i = 0; i < options_.guests; ++i) {
                        shared->pinned[i] =
                            server.charges(static_cast<DomainId>(first_guest + i)).pinned;
                    }
                    ++shared->published;
                    if (!told && stats.recovery_ns != 0) {
                        told = true;
                        ++shared->life;
                    }
                    server.check();
                }
                server.stop();
            },
            false);
        host->wait_for_tasks();
    }

    LocalWorldOptions options_;
    std::string socket_;
    pid_t broker_ = 0, server_ = 0;
    std::vector<pid_t> guests_;
};

}  // namespace xenfs::real::tests
