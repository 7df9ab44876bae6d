#pragma once
// virtiofs with DAX, after Linux's fs/fuse/dax.c and its virtiofsd of 2020 [M]: a window of the
// guest's address space in ranges of 2 MiB, each of which can show one piece of one file as dom0's
// page cache has it.
//
// A range is set up at the first access (FUSE_SETUPMAPPING: the daemon has the guest's monitor map
// the file there). An access to a page of it that this guest has not touched since is a fault of
// the host's second-level tables. When free ranges fall below dax.reclaim_threshold of the window,
// a worker takes the longest-mapped ones away, ten at a time, each under its file's lock, which
// accesses to the file wait for (FUSE_REMOVEMAPPING, and the guest's own mappings go: a TLB
// shootdown). Where no range is free, an access waits for the worker. Writes that make a file
// longer are ordinary WRITE requests.

#include <bitset>
#include <deque>
#include <unordered_map>

#include "sim/arms/remote_fs.h"

namespace xenfs::sim {

struct DaxStats {
    std::uint64_t set_up = 0, removed = 0, reclaimed = 0;  ///< ranges
    std::uint64_t waits = 0;                               ///< for a free range
    std::uint64_t table_faults = 0;  ///< of second-level tables, the page at hand in dom0
    std::uint64_t host_faults = 0;   ///< the page had to be read by dom0
    std::uint64_t mapped_peak = 0;   ///< ranges
};

class DaxFs final : public RemoteFs {
  public:
    DaxFs(Machine& machine, Domain& guest, RemoteServer& server, const RemoteProtocol& protocol,
          const RemoteOptions& options, std::uint64_t window_bytes);

    Result<std::size_t> read_range(NodeId node, std::uint64_t offset, host::Buffer into) override;
    int write_range(NodeId node, std::uint64_t offset, host::Buffer from) override;
    int map_range(NodeId node, std::uint64_t first, std::size_t count, bool write,
                  std::span<Fingerprint> contents) override;
    Counters counters() const override;
    void drop_caches() override;  ///< the window is emptied

  protected:
    void lost(NodeId node) override;

  private:
    static constexpr std::size_t range_pages = 512;  ///< 2 MiB: FUSE_DAX_SZ
    static constexpr std::size_t reclaim_chunk = 10;

    struct Range {
        NodeId node = 0;
        std::uint64_t index = 0;  ///< in the file, in ranges
        bool writable = false;
        std::bitset<range_pages> touched;  ///< pages in the second-level tables
    };
    /// A file with mapped ranges; its lock.
    struct File {
        std::unordered_map<std::uint64_t, std::size_t> ranges;  ///< index -> range
        unsigned users = 0;                                     ///< accesses under way
        bool reclaiming = false;
    };

    int reach(NodeId node, std::uint64_t page, bool write, Frame& frame);
    int map_in(NodeId node, std::uint64_t index, bool write);
    int fault_in(NodeId node, std::uint64_t page);
    int set_up(NodeId node, bool write);
    bool take_away(std::size_t range, bool reclaim);
    void keep_reclaiming();
    bool low() const { return free_.size() < threshold_; }

    Domain& dom0_;
    KernelPageCache& host_pages_;
    std::vector<Range> ranges_;
    std::vector<std::size_t> free_;
    std::deque<std::size_t> busy_;  ///< in the order in which they were mapped
    std::unordered_map<NodeId, File> files_;
    std::size_t threshold_;
    Nanoseconds setup_ns_, remove_ns_, table_fault_ns_, shootdown_ns_;
    std::unique_ptr<host::Gate> freed_, unlocked_, worker_;
    DaxStats dax_;
};

}  // namespace xenfs::sim
