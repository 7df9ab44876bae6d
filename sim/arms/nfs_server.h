#pragma once
// The NFS server in dom0: nfsd threads over one volume, with dom0's page cache.

#include <deque>
#include <memory>

#include "sim/arms/block_fs.h"
#include "sim/arms/kernel_page_cache.h"
#include "sim/arms/lock_table.h"
#include "sim/arms/network.h"
#include "sim/arms/nfs_rpc.h"

namespace xenfs::sim {

struct NfsServerOptions {
    unsigned threads = 8;
    /// Changes of names and attributes are on the disk before the reply (Linux's default export);
    /// false is the "async" export, which loses them in a crash.
    bool sync = true;
    KernelCacheOptions cache;
};

struct NfsServerStats {
    std::array<std::uint64_t, nfs_procedure_names.size()> calls{};
    std::uint64_t bytes_in = 0, bytes_out = 0;
};

/// The volume is mounted in dom0 through `storage`. Storage and network outlive the server.
class NfsServer {
  public:
    NfsServer(Machine& machine, Domain& dom0, VirtualNetwork& network, VolumeStorage& storage,
              const NfsServerOptions& options);

    /// A call arrives; as an interrupt handler.
    void arrived(std::shared_ptr<NfsCall> call);

    // The procedures, run by an nfsd thread; may block.
    void getattr(NodeId node, NfsReply& reply);
    void setattr(NodeId node, const SetAttr& change, NfsReply& reply);
    void lookup(NodeId parent, const std::string& name, NfsReply& reply);
    void readlink(NodeId node, NfsReply& reply);
    void read(NodeId node, std::uint64_t first_page, std::size_t count, NfsReply& reply);
    /// Whole pages; the file ends at `file_end` or later.
    void write(NodeId node, std::uint64_t first_page, std::span<Fingerprint> pages,
               std::uint64_t file_end, NfsReply& reply);
    void commit(NodeId node, NfsReply& reply);
    void create(NodeId parent, const std::string& name, FileType type, std::uint32_t mode,
                Owner who, const std::string& target, std::uint32_t rdev, NfsReply& reply);
    void remove(NodeId parent, const std::string& name, bool directory, NfsReply& reply);
    void rename(NodeId old_parent, const std::string& old_name, NodeId new_parent,
                const std::string& new_name, std::uint32_t flags, NfsReply& reply);
    void link(NodeId node, NodeId parent, const std::string& name, NfsReply& reply);
    void readdir(NodeId node, std::uint64_t offset, std::size_t max_entries, NfsReply& reply);
    BlockFs& fs() { return fs_; }
    LockTable& locks() { return locks_; }

    const KernelPageCache& pages() const { return pages_; }
    const NfsServerStats& stats() const { return stats_; }
    std::size_t header_bytes() const { return header_bytes_; }

  private:
    void serve();
    void after_change(NodeId directory, WorldTime before, NfsReply& reply);
    WorldTime directory_time(NodeId directory) const;

    Domain& dom0_;
    VirtualNetwork& network_;
    VolumeStorage& storage_;
    NfsServerOptions options_;
    Nanoseconds request_ns_;
    std::size_t header_bytes_;
    BlockFs fs_;
    client::EntryCache names_;
    KernelPageCache pages_;
    LockTable locks_;
    std::deque<std::shared_ptr<NfsCall>> queue_;
    std::unique_ptr<host::Gate> idle_;
    NfsServerStats stats_;
};

}  // namespace xenfs::sim
