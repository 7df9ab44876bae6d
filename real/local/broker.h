#pragma once
#include <map>
#include <memory>
#include <string>

#include "real/local/wire.h"

namespace xenfs::real::local {

struct BrokerConfig {
    std::string socket;  ///< path; made by the broker, removed at its end
    std::size_t memory_pages = std::size_t{1} << 18;  ///< of the whole host; 1 GiB
    bool poison =
        false;  ///< fill frames before they are handed out, to find who reads them unfilled
    bool guests_may_raise_limits = false;  ///< set_limit is the toolstack's business; true in tests
};

/// The hypervisor and the xenstored of a local host, as one thread: frame accounts, grant tables,
/// maptrack, event channels, store. Domains are its connections.
///
/// Hot paths do not pass through it: pages are mapped, events are eventfds, accounts are published
/// in shared memory. Grants, maps, unmaps, revokes and copies do, a batch a call.
///
/// What isolation it gives, by the kernel and against a domain that does as it likes:
/// - The tables are the broker's alone. A domain cannot forge a grant, a mapping, an account or
///   another's number, and a hostile or torn packet costs the sender its connection at most.
/// - A domain cannot write another's memory unless that one granted it a page writable. Segments
///   are memfds of their own; a reader gets a descriptor opened read-only, of which the kernel
///   makes no writable mapping. (A domain of the broker's own user could open the memfd again
///   through /proc: run guests as another user where that matters.)
/// - Death is clean: the socket closes with the process, after its address space went.
/// What it does not give:
/// - Pages of one granter are not kept from each other. Who was granted one page readable can, by
///   mapping the descriptor itself, read all of that domain's frames, and who was granted one
///   writable can write them all, also after the grant has ended. LocalGrants itself opens only
///   what is mapped, so that a mistake faults; malice is not held.
/// - A domain's memory is what it was handed, by count. A process that touches pages of its own
///   segment that it was not handed takes them all the same; a cgroup bounds that.
/// - The ends of one event channel can take events from each other.
/// - Guests name their own shape (bounded by the host's memory), and numbers are not reused: 4096
///   domains in a broker's life.
/// Who may join is the socket file's permissions; only the broker's own user and root may be the
/// server.
///
/// The pool outlives its server: when the server's process is gone and another joins with the same
/// pool name, it speaks for the same pool, frames, entries and guests' mappings unchanged.
class Broker {
  public:
    explicit Broker(BrokerConfig config);  ///< LocalError: one sentence with what to do
    ~Broker();
    void run();   ///< until stop()
    void stop();  ///< from any thread, or a signal handler

  private:
    class Connections;
    std::unique_ptr<Connections> connections_;
};

}  // namespace xenfs::real::local
