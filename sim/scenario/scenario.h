// One experiment as data: what a scenario file says. Plain values, no behaviour. What each key
// means is declared in schema.cpp, for the parts that other rooms own beside their structs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/host/types.h"
#include "sim/arms/arm_settings.h"
#include "sim/sharing/guest_memory.h"
#include "sim/sharing/host_sharing.h"

namespace xenfs::sim {

/// [host]: the machine.
struct HostSpec {
    unsigned cores = 4;
    std::size_t memory_pages = std::size_t{24} << 18;
    unsigned dom0_vcpus = 4;
    std::string disk = "sata_ssd";
    bool disk_spins_down = false;
    CpuMode cpu = CpuMode::pinned;
    std::size_t grant_frames = 64;
    std::size_t maptrack_frames = 1024;
};

/// One guest, after [guests] and [guests.N].
struct GuestSpec {
    unsigned vcpus = 2;
    std::size_t memory_pages = std::size_t{512} << 8;
    Nanoseconds start_ns = 0;    ///< before workload.stagger is added
    TrustGroup trust_group = 0;  ///< guests of one group may share pages
    bool operator==(const GuestSpec&) const = default;
};

/// [memory]: what each guest's memory holds besides file data.
struct MemorySpec {
    GuestMemoryOptions options;
    std::uint64_t images = 1;  ///< guest i has base image i % images
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
    HostSharing::Config sharing;  ///< how the hypervisor merges equal pages of guests
    ArmSettings arm;
    CostSpec costs;
    WorkloadSpec workload;
    Nanoseconds sample_interval_ns = 1'000'000'000;  ///< 0: no time series
    std::int64_t timeline_events = 200'000;          ///< at most so many
    std::string source;                              ///< the file, for messages
};

}  // namespace xenfs::sim
