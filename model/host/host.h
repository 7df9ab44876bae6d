#pragma once
// The seam: what a domain asks of the host that it runs on. model/ declares it, sim/ and real/
// implement it, and one conformance suite (model/conformance/) holds over all of them.

#include "model/host/events.h"
#include "model/host/frames.h"
#include "model/host/grants.h"
#include "model/host/memory.h"
#include "model/host/storage.h"
#include "model/host/store.h"
#include "model/host/tasks.h"

namespace xenfs::host {

/// Costs that the core charges for its own work (a look-up, a decoded request), in ns. The
/// simulator takes them from a cost model, so that the core contains no number of its own; on real
/// hosts all are zero.
struct CoreCosts {
    Nanoseconds lookup = 0;          ///< one name looked up in a client's entry cache
    Nanoseconds page_hit = 0;        ///< one page found in a client's cache, LRU touch included
    Nanoseconds request_encode = 0;  ///< building a request and parsing its reply, on the client
    Nanoseconds request_serve =
        0;  ///< taking a request off the ring and finding its handler, on the server
    Nanoseconds server_page = 0;  ///< one page found in the shared cache by the server
    Nanoseconds syscall = 0;     ///< entry to and exit from a guest's kernel for one file operation
    Nanoseconds page_fault = 0;  ///< a fault on a mapping whose page is at hand
    /// Adjacent pages at hand that one such fault makes accessible; at least 1.
    std::uint32_t fault_around_pages = 1;

    /// Returns what a process pays to reach `pages` adjacent pages of a mapping that are at hand,
    /// under any file system: it enters the kernel by faults only. The first write to a page of a
    /// shared mapping is a fault of its own, since Linux maps around read faults only. [M]
    Nanoseconds faults(std::size_t pages, bool shared_write) const {
        const std::size_t around = shared_write ? 1 : fault_around_pages;
        return page_fault * static_cast<Nanoseconds>((pages + around - 1) / around) +
               page_hit * static_cast<Nanoseconds>(pages);
    }
};

/// What the host believes its mechanisms to cost, in ns, so that a policy can choose between them.
/// A simulated host gives the cost model's numbers, a real one what a calibration measured; zero
/// means unknown.
struct MechanismCosts {
    Nanoseconds hypercall = 0;
    Nanoseconds map_page = 0, unmap_page = 0;
    Nanoseconds unmap_flush = 0;  ///< TLB shootdown of one unmap batch, over this domain's vCPUs
    Nanoseconds copy_page = 0;    ///< grant copy of a page in a batch, data included
    Nanoseconds flip_page = 0;    ///< transfer of a page, zeroing of the page given back included
    Nanoseconds load_page = 0;    ///< memcpy of a page to a program's buffer, warm
    Nanoseconds round_trip = 0;   ///< one request to the server and its reply
};

/// What a host can do. Where it cannot, the call returns GrantStatus::not_supported or ENOTSUP.
struct Capabilities {
    bool transfer = false;  ///< GNTTABOP_transfer is reachable (not from user space on stock Linux)
    bool balloon = false;   ///< donate/reclaim move real memory
    bool real_bytes = false;  ///< pages hold bytes; otherwise fingerprints
};

/// One domain's view of the host, owned by the host and valid while the domain lives. The server's
/// view acts for two domains: its own (events, store, tasks) and the pool domain (frames, grants).
class Host {
  public:
    virtual ~Host() = default;
    virtual DomainId self() const = 0;
    /// Returns the domain whose frames and grant entries frames() and grants() handle: self() for a
    /// guest.
    virtual DomainId granter() const = 0;
    virtual const Capabilities& capabilities() const = 0;
    virtual const CoreCosts& core_costs() const = 0;
    virtual const MechanismCosts& mechanism_costs() const = 0;
    virtual Frames& frames() = 0;
    virtual Grants& grants() = 0;
    virtual Events& events() = 0;
    virtual Memory& memory() = 0;
    virtual Store& store() = 0;
    virtual Tasks& tasks() = 0;
    virtual Clock& clock() = 0;
};

}  // namespace xenfs::host
