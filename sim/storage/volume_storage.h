#pragma once
// A volume mounted by one domain: the file system driver with its metadata cache and journal. As
// host::Storage it is what the XenFS server exports; the NFS server and a guest with a block device
// of its own mount their volumes with it too.

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/host/storage.h"
#include "sim/machine/machine.h"
#include "sim/storage/block_device.h"
#include "sim/storage/journal.h"
#include "sim/storage/metadata_cache.h"
#include "sim/storage/volume.h"

namespace xenfs::sim {

using host::Page;

struct MountOptions {
    std::size_t metadata_blocks = 16384;  ///< metadata cache, 4 KiB blocks
    Nanoseconds commit_interval_ns = 0;   ///< longest time that a change stays in memory only
    Nanoseconds checkpoint_interval_ns = 0;
    std::uint64_t inode_readahead_blocks = 1;  ///< inode table blocks read at once
    bool forget_young = false;                 ///< see Journal
    Nanoseconds lookup_ns = 0;                 ///< CPU: a name searched in cached blocks
    Nanoseconds change_ns = 0;                 ///< CPU: a namespace change or setattr
    Nanoseconds request_ns = 0;                ///< CPU: a block request built and completed

    /// From the cost model's [volume].
    static MountOptions from(const CostModel& costs);
};

struct VolumeStats {
    std::uint64_t lookups = 0, changes = 0;
    std::uint64_t metadata_hits = 0, metadata_reads = 0;  ///< metadata_reads: disk requests
    std::uint64_t pages_read = 0, pages_written = 0;
    std::uint64_t read_requests = 0, write_requests = 0;  ///< for pages
};

/// Called by tasks of `domain` only. The pages that read_pages fills and write_pages takes may be
/// any that this domain addresses. Volume and device outlive it.
class VolumeStorage final : public host::Storage {
  public:
    VolumeStorage(Domain& domain, Volume& volume, BlockDevice& device, const MountOptions& options);

    Result<Attr> lookup(NodeId parent, std::string_view name) override;
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const SetAttr& change) override;
    Result<Attr> create(NodeId parent, std::string_view name, FileType type, std::uint32_t mode,
                        Owner owner, std::string_view symlink_target, std::uint32_t rdev) override;
    Result<Attr> link(NodeId node, NodeId parent, std::string_view name) override;
    Result<Attr> unlink(NodeId parent, std::string_view name) override;
    Result<NodeId> rmdir(NodeId parent, std::string_view name) override;
    Result<NodeId> rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                          std::string_view new_name, std::uint32_t flags) override;
    Result<std::string> readlink(NodeId node) override;
    Result<std::vector<DirEntry>> readdir(NodeId node, std::uint64_t offset,
                                          std::size_t max_entries) override;
    Result<StatFs> statfs() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    int open_node(NodeId node) override;
    void close_node(NodeId node) override;
    void drop_nameless() override;
    void on_outside_change(const std::function<void(const host::OutsideChange&)>& tell) override {
        tell_ = tell;
    }
    int read_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages) override;
    int write_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages,
                    std::uint64_t length) override;
    Result<Attr> allocate(NodeId node, std::uint32_t mode, std::uint64_t offset,
                          std::uint64_t length) override;
    Result<std::uint64_t> copy_range(NodeId from, std::uint64_t from_offset, NodeId to,
                                     std::uint64_t to_offset, std::uint64_t length) override;
    Result<std::uint64_t> seek(NodeId node, std::uint64_t offset, host::Seek what) override;
    int sync(NodeId node, bool data_only) override;
    int sync_all() override;

    /// One piece of a file to write. `error` is the answer.
    struct Run {
        NodeId node = 0;
        std::uint64_t first_page = 0;
        std::span<const Fingerprint> pages;
        std::uint64_t length = 0;  ///< bytes, as in write_pages
        int error = 0;
    };
    /// As read_pages and write_pages, for whoever keeps contents without frames; the writes of all
    /// runs are one batch for the device, in block order.
    int read_content(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out);
    void write_runs(std::span<Run> runs);

    /// A program of this domain has changed the volume past the server. The kernel queues an event,
    /// which is told `delay` later; where `most` of them wait, the rest is lost, and that is told.
    void changed_outside(host::OutsideChange change);
    struct EventQueue {
        Nanoseconds delay = 50'000;
        std::size_t most = 16384;
    } event_queue;
    bool events_told() const { return events_.empty(); }

    /// Another mounter of the same volume may change this node: its cached metadata go.
    void invalidate(NodeId node);
    /// The server that had nodes open was killed: they stay so until drop_nameless().
    void server_died();
    /// As umount and mount: commits, then forgets the cached metadata.
    void drop_caches();
    Volume& volume() { return volume_; }
    const VolumeStats& stats() const { return stats_; }
    const JournalStats& journal_stats() const { return journal_.stats(); }

  private:
    void touch(std::uint64_t block);
    void touch_inode(NodeId node);
    void touch_name(NodeId directory, std::string_view name);
    void begin_change();
    void changed(std::uint64_t block);
    void changed_inode(NodeId node);
    void changed_name(NodeId directory, std::string_view name);
    void keep_committing();
    void tell_events();

    Domain& domain_;
    host::Clock& clock_;
    Volume& volume_;
    BlockDevice& device_;
    MountOptions options_;
    MetadataCache cache_;
    Journal journal_;
    std::unordered_map<NodeId, std::uint32_t> opens_, opens_before_;  ///< by a dead server
    std::unique_ptr<host::Gate> dirty_;  ///< woken when the journal is no longer empty
    std::function<void(const host::OutsideChange&)> tell_;
    struct Event {
        Nanoseconds due = 0;
        host::OutsideChange change;
    };
    std::deque<Event> events_;
    std::unique_ptr<host::Gate> events_gate_;  ///< null until there was an event
    VolumeStats stats_;
};

}  // namespace xenfs::sim
