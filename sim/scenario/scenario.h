// One experiment as data: what a scenario file says, with units resolved. Plain values, no
// behaviour. The keys, their meaning and their defaults are in schema.cpp, from which the
// documentation is printed (`xenfs-sim schema`).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// [host]: the machine.
struct HostSpec {
    std::int64_t cores = 4;
    std::int64_t memory_bytes = std::int64_t{24} << 30;
    std::int64_t dom0_vcpus = 4;
    std::string disk = "sata_ssd";
    bool disk_spins_down = false;
    std::string cpu = "pinned";  ///< "contended": vCPUs share the cores; "pinned": a core each
    std::int64_t grant_frames = 64;
    std::int64_t maptrack_frames = 1024;
};

/// One guest, after [guests] and [guests.N].
struct GuestSpec {
    std::int64_t vcpus = 2;
    std::int64_t memory_bytes = std::int64_t{512} << 20;
    Nanoseconds start_ns = 0;      ///< before workload.stagger is added
    std::int64_t trust_group = 0;  ///< guests of one group may share pages
};

/// [memory]: what each guest's memory holds besides file data.
struct MemorySpec {
    std::int64_t zero_bytes = 0;
    std::int64_t image_bytes = 0;  ///< kernel and programs, from a base image
    std::int64_t images = 1;       ///< guest i has base image i % images
    double image_changed = 0;
    Nanoseconds storm_ns = 0;
    std::int64_t repeated_bytes = 0;
    std::int64_t repeats = 2;
    std::int64_t anonymous_bytes = 0;
    Nanoseconds lifetime_ns = 0;
    std::string lifetime_shape = "exponential";
    double anonymous_zero = 0, anonymous_common = 0;

    [[nodiscard]] std::int64_t bytes() const {
        return zero_bytes + image_bytes + repeated_bytes + anonymous_bytes;
    }
};

/// [sharing]: how the hypervisor merges equal pages of guests.
struct SharingSpec {
    std::string policy = "none";
    std::int64_t pages_per_wake = 100;
    Nanoseconds sleep_ns = 20'000'000;
    bool volatile_check = true;
    bool zero_pages = false;
    std::int64_t hint_queue = 8192;
    double hint_share = 0.5;
    bool idle_memory = true;
    std::string surplus = "keep";
};

/// [arm]: what serves the guests' files. Which fields mean something depends on `name`.
struct ArmSpec {
    std::string name = "xenfs";
    std::string transfer = "map";
    std::string dedup = "name";
    std::string eviction = "lru";
    std::int64_t cache_bytes = std::int64_t{1} << 30;
    std::int64_t quota_bytes = std::int64_t{128} << 20;
    std::int64_t donation_bytes = 0;
    std::string charging = "each";
    std::int64_t collateral_bytes = 0;
    bool ledger = true;
    std::string mmap = "share";
    std::int64_t mapping_budget_bytes = std::int64_t{96} << 20;
    std::int64_t map_range_bytes = std::int64_t{1} << 20;
    std::int64_t own_frames_bytes = std::int64_t{64} << 20;
    std::int64_t read_ahead_pages = 32;
    Nanoseconds write_behind_ns = 5'000'000'000;
    Nanoseconds dirty_expire_ns = 30'000'000'000;
    Nanoseconds ack_timeout_ns = 1'000'000'000;
    std::int64_t workers = 4;
    std::int64_t slots = 16;
    std::string caching = "default";
    std::int64_t ring_order = 9;
    bool dax = false;
    std::int64_t dax_window_bytes = std::int64_t{8} << 30;
    std::int64_t nfs_threads = 8;
    std::string block_grants = "persistent";
    std::int64_t block_segments = 0;  ///< 0: the cost model's blk.segments
    std::int64_t victim_cache_bytes = 0;
};

/// [costs]: the cost model's file, and constants that differ from it.
struct CostSpec {
    std::string model;  ///< path; empty: the one that is shipped
    struct Override {
        std::string constant, value;  ///< the value as text with its unit
        std::string where;            ///< for messages: "file:line: costs.NAME"
    };
    std::vector<Override> overrides;
};

/// [workload]: what the guests do. Which fields mean something depends on `kind`.
struct WorkloadSpec {
    std::string kind;
    std::vector<std::string> captures;  ///< paths; guest i runs captures[i % size]
    std::int64_t jobs = 2;
    double fraction = 1.0;
    std::string order = "graph";
    double variation = 0;
    double text_touched = 0.7;
    double cpu_scale = 1;
    bool verify = false;
    std::vector<std::string>
        private_prefixes;  ///< directories of which each guest has its own; empty: those
                           ///< in which the captured commands write
    Nanoseconds stagger_ns = 0;
    std::string options;                              ///< iozone's command line
    std::vector<std::int64_t> batches = {1, 16, 64};  ///< pages a request
    std::int64_t file_bytes = std::int64_t{16} << 20;
    std::int64_t passes = 1;
    bool warm = false;
    std::string access = "map";
    std::string pattern = "sequential";
    double zipf = 1;  ///< exponent
    std::int64_t block_bytes = 4096;
    std::int64_t depth = 1;
    bool direct = false;
    std::int64_t operations = 10000, warm_operations = 0;
    Nanoseconds op_cpu_ns = 0;
    std::string mechanism = "copy";
    std::int64_t packets = 10000, packet_bytes = 1500;
    Nanoseconds stack_ns = 0;
    std::int64_t thieves = 1;
    std::string steal = "own";
    std::int64_t working_set_bytes = std::int64_t{16} << 20;
    Nanoseconds think_ns = 100'000;
    Nanoseconds duration_ns = 10'000'000'000;
};

struct Scenario {
    std::string name;
    std::string title;
    std::int64_t seed = 1;
    HostSpec host;
    std::int64_t guest_count = 1;
    GuestSpec guest;                ///< what [guests] says for all
    std::vector<GuestSpec> guests;  ///< one a guest, overrides applied
    MemorySpec memory;
    SharingSpec sharing;
    ArmSpec arm;
    CostSpec costs;
    WorkloadSpec workload;
    Nanoseconds sample_interval_ns = 1'000'000'000;  ///< 0: no time series
    std::int64_t timeline_events = 200'000;          ///< at most so many
    std::string source;                              ///< the file, for messages
};

}  // namespace xenfs::sim
