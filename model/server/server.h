#pragma once
// The server: joins pages and cache, and serves clients over their rings.
//
//     server::Server server(machine.server_view(dom0, pool), storage, config);
//     server.attach({.guest = guest.id()});
//     server.start();                      // spawns service tasks; returns at once

#include <memory>

#include "model/host/host.h"
#include "model/host/storage.h"
#include "model/server/config.h"
#include "model/server/latency.h"

namespace xenfs::server {

class ServerState;

/// Owns its cache and tables; host and storage are the caller's and outlive it. All calls are made
/// in the server's domain (or before its tasks run). Not started, it does nothing.
///
/// With Config::recovery it may be killed at any instant, and a successor over the same pool goes
/// on: pages, their states, entries and sizes are in the pool (directory.h), names and attributes
/// are caches, and what clients hold they present again (open files, leases, locks: returns.h).
class Server {
  public:
    /// Throws policies::UnknownPolicy for a name that no policy has, std::invalid_argument for
    /// recovery with another dedup than "name".
    Server(host::Host& host, host::Storage& storage, Config config);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Offers a device; the client may come at any time from then on. 0, EUSERS
    /// (Config::max_guests are attached), EEXIST. The store is written by a task of the server.
    int attach(const Attachment& attachment);
    /// Takes the offer back; a client that is connected is served until it leaves. 0 or ENOENT.
    int detach(DomainId guest, std::uint32_t number = 0);
    void start();
    /// Ends tasks after the current requests; dirty pages are written back first. From a task of
    /// the server's domain.
    void stop() MAY_YIELD;

    const Stats& stats() const;
    std::uint32_t cached_pages() const;
    std::uint32_t dirty_pages() const;
    /// The pool's frames: host memory that is set aside for the cache, with file data or free.
    struct Pool {
        std::uint32_t frames = 0, free = 0, most_frames = 0;
    };
    Pool pool() const;
    FrameAccount frames() const;
    /// All outside changes that the storage has told of are known to the clients.
    bool outside_changes_settled() const;
    std::uint32_t connected() const;
    /// A client's account as the ledger has it; zeros where the client is not connected.
    struct Charges {
        std::uint64_t pinned = 0, donated = 0, quota = 0;
        std::uint64_t held = 0;  ///< entries, whatever they cost
        std::uint64_t rebate = 0, owed = 0, seized = 0;
    };
    /// What is granted to more than one: frames, and entries beyond the first of each, which are
    /// the pages of memory that sharing saves.
    struct Sharing {
        std::uint64_t frames = 0, saved_pages = 0;
        std::uint64_t entries = 0, entry_capacity = 0;
    };
    Sharing sharing() const;
    const Latencies& latencies() const;
    /// As the server sees a device that was attached.
    struct Client {
        bool connected = false;
        std::uint32_t open_files = 0, held_nodes = 0;
        std::uint32_t locks = 0, lock_waits = 0;  ///< at most Config::max_locks together
    };
    Client client(DomainId guest, std::uint32_t number = 0) const;
    Charges charges(DomainId guest, std::uint32_t number = 0) const;
    /// Asserts the ledger's invariant and all chains: O(everything), for tests.
    void check() const;
    /// For tests, after the server's tasks were killed: it leaves everything as it is.
    void abandon();
    ServerState& state() { return *state_; }

  private:
    std::unique_ptr<ServerState> state_;
};

}  // namespace xenfs::server
