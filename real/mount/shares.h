#pragma once
// Shares lends the mount's frames to other programs of the guest. It is the mount's end of libxenfs
// (real/libxenfs/channel.h).
//
// A page that a program has mapped is on loan from the client, like a page under a writev: its
// grant entry stays, the guest pays for it, and no revocation takes it until the program says that
// it has unmapped the page or its connection ends, which it does with the program. On Xen the
// program maps the entry through its own gntdev, and Xen counts the mapping until its true end.
//
// On a local host a program gets a descriptor of the pool's whole segment, because a local host has
// no finer isolation (real/local/broker.h); so only the mount's own user and root get it.

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "model/client/client.h"
#include "model/protocol/notices.h"
#include "real/common/descriptor.h"
#include "real/common/monitor.h"
#include "real/libxenfs/channel.h"
#include "real/mount/transport.h"

namespace xenfs::real::mount {

class Shares {
  public:
    Shares(client::Client& client, Transport& transport) : client_(client), transport_(transport) {}
    ~Shares() { stop(); }

    // The members below are used in the guest's monitor.
    /// Issues a ticket for the file behind `handle`. Returns 0 or an errno. The first call opens
    /// the socket.
    int pass(files::Handle handle, channel::Pass& out);
    void on_notice(const protocol::Notice& notice);
    /// Notes that this guest wrote to the file or changed its size.
    void on_own_change(NodeId node, bool resized);
    /// Publishes what programs have stored through mappings; called before an fsync of the file.
    void publish(NodeId node);

    /// Called outside the monitor: stops serving programs and takes all loans back.
    void stop();

  private:
    struct Ticket {
        NodeId node = 0;
        bool write = false;
        std::uint32_t regions = 0;
        std::uint64_t made = 0;
    };
    struct Region {
        std::uint64_t ticket = 0;
        NodeId node = 0;
        files::Handle handle = 0;
        bool write = false;
        std::map<std::uint64_t, host::Page> pages;  ///< pages on loan, by page of the file
        /// pages that have left their place and are on loan until the region ends
        std::vector<host::Page> superseded;
    };
    struct Connection {
        Descriptor socket;
        std::uint32_t user = 0;
        bool greeted = false;
        /// the mapped state words, channel::states_bytes long
        std::atomic<std::uint32_t>* states = nullptr;
        Descriptor states_file;
        std::map<std::uint32_t, Region> regions;
        std::thread thread;
        std::atomic<bool> over{false};
    };
    struct Answer {
        channel::Reply reply{};
        std::vector<std::uint64_t> places;
        Descriptor file;
    };
    int listen();
    void accept_programs();
    void serve(Connection& connection);
    void answer(Connection& connection, const channel::Request& request, Answer& answer);
    int greet(Connection& connection, Answer& answer);
    int open(Connection& connection, std::uint64_t ticket, bool write, std::uint64_t& region);
    int take(Region& region, const channel::Request& request, Answer& answer);
    int place(Region& region, std::uint64_t page, std::size_t ahead, bool write, Answer& answer);
    void give(Region& region, std::uint64_t first, std::uint64_t count);
    void close(Connection& connection, std::uint32_t region);
    void forget_tickets();
    void mark(Connection& connection, std::uint32_t region);

    client::Client& client_;
    Transport& transport_;
    std::string address_;
    Descriptor listener_;
    std::thread acceptor_;
    std::atomic<bool> stopping_{false};
    // The members below are used in the monitor.
    std::unordered_map<std::uint64_t, Ticket> tickets_;
    std::uint64_t tickets_made_ = 0;
    std::list<Connection> connections_;
    std::unordered_map<NodeId, std::uint32_t> shared_;  ///< number of regions of each file
};

}  // namespace xenfs::real::mount
