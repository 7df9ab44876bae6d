#pragma once
#include <map>
#include <memory>
#include <string>

#include "real/local/wire.h"

namespace xenfs::real::local {

struct BrokerConfig {
    std::string socket;  ///< the socket's path; the broker makes it, and removes it when it ends
    std::size_t memory_pages = std::size_t{1} << 18;  ///< the whole host's memory; 1 GiB
    /// Frames are filled before they are handed out, so that reads of unfilled ones are detected.
    bool poison = false;
    /// Raising a limit is the toolstack's right, but tests let guests do it.
    bool guests_may_raise_limits = false;
};

/// The hypervisor and the xenstored of a local host, in one thread: it keeps the accounts of
/// frames, the grant tables, the maptrack, the event channels and the store. Its connections are
/// the domains.
///
/// Hot paths do not pass through it: pages are mapped, events are eventfds, accounts are published
/// in shared memory. Grants, maps, unmaps, revocations and copies do pass through it, one call for
/// a batch.
///
/// The kernel gives this isolation, against a domain that does as it likes:
/// - The tables are the broker's alone. A domain cannot forge a grant, a mapping, an account or
///   another's number, and a hostile or torn packet costs the sender its connection at most.
/// - A domain cannot write another's memory unless that one granted it a page writable. Segments
///   are memfds of their own; a reader gets a descriptor opened read-only, of which the kernel
///   makes no writable mapping. (A domain of the broker's own user could open the memfd again
///   through /proc: run guests as another user where that matters.)
/// - Death is clean: the socket closes with the process, after its address space went.
/// It does not give this:
/// - Pages of one granter are not kept from each other. A domain that was granted one page readable
///   can map the descriptor itself and read all of the granter's frames; one that was granted a
///   page writable can write them all, also after the grant has ended. LocalGrants opens only what
///   is mapped, so that a mistake faults, but malice is not stopped.
/// - Memory is counted, not held. A process that touches pages of its own segment which it was not
///   handed gets them all the same; a cgroup bounds that.
/// - The ends of one event channel can take events from each other.
/// - Guests name their own shape (bounded by the host's memory), and numbers are not reused:
///   32752 domains in a broker's life.
/// The socket file's permissions say who may join; only the broker's own user and root may be the
/// server.
///
/// The pool outlives its server: when the server's process is gone and another joins with the same
/// pool name, it acts for the same pool; frames, entries and guests' mappings are unchanged.
class Broker {
  public:
    explicit Broker(BrokerConfig config);  ///< throws LocalError: one sentence with what to do
    ~Broker();
    void run();   ///< returns after stop()
    void stop();  ///< may be called by any thread, or a signal handler

  private:
    class Connections;
    std::unique_ptr<Connections> connections_;
};

}  // namespace xenfs::real::local
