#pragma once
// A guest's file server in dom0: a user-space daemon that works on dom0's mount (xen-9pfsd, QEMU's
// 9pfs, virtiofsd). Its reads and writes are system calls on dom0's page cache.

#include <deque>
#include <unordered_map>

#include "sim/arms/host_mount.h"
#include "sim/arms/remote_call.h"

namespace xenfs::sim {

struct RemoteServerStats {
    std::uint64_t requests = 0, wakes = 0;
    std::uint64_t bytes_in = 0, bytes_out = 0;
};

/// What all guests' servers share. Locks of guests exclude each other where the protocol carries
/// them.
struct RemoteExport {
    RemoteExport(Machine& machine_in, Domain& dom0_in, const ArmSite& site, std::size_t cache_pages)
        : machine(machine_in), dom0(dom0_in), mount(machine_in, dom0_in, site, cache_pages) {}
    Machine& machine;
    Domain& dom0;
    HostMount mount;
    LockTable locks;
};

class RemoteServer {
  public:
    /// `shared` and `protocol` outlive it.
    RemoteServer(RemoteExport& shared, const std::string& guest, const RemoteProtocol& protocol,
                 unsigned threads);

    /// A request arrives; as an interrupt handler.
    void arrived(std::shared_ptr<RemoteCall> call);

    // For the bodies of requests, in the daemon's threads.
    Vfs& vfs() { return shared_.mount.vfs(); }
    LockTable& locks() { return shared_.locks; }
    int open(NodeId node, RemoteReply& reply);
    void close(NodeId node);
    void read(NodeId node, std::uint64_t offset, std::size_t length, RemoteReply& reply);
    void write(NodeId node, std::uint64_t offset, std::vector<Fingerprint>& pages,
               std::size_t length, RemoteReply& reply);
    void fsync(NodeId node, bool data_only, RemoteReply& reply);
    void lookup(NodeId parent, const std::string& name, RemoteReply& reply);
    void getattr(NodeId node, RemoteReply& reply);
    /// Brings a page into dom0's page cache, read-ahead included: a fault of the host's kernel on a
    /// mapped file. EFAULT beyond its end.
    void bring_in(NodeId node, std::uint64_t page, RemoteReply& reply);
    void charge(Nanoseconds cpu) { shared_.dom0.host().clock().charge(cpu); }

    RemoteExport& shared() { return shared_; }
    const RemoteServerStats& stats() const { return stats_; }

  private:
    struct Open {
        files::Handle handle = 0;
        std::uint32_t opens = 0;
    };
    void serve();
    template <class Work>
    void with_handle(NodeId node, RemoteReply& reply, Work work);

    RemoteExport& shared_;
    const RemoteProtocol& protocol_;
    std::unordered_map<NodeId, Open> open_;
    std::deque<std::shared_ptr<RemoteCall>> queue_;
    std::unique_ptr<host::Gate> idle_;
    RemoteServerStats stats_;
};

}  // namespace xenfs::sim
