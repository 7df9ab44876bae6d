#pragma once
// A Machine is one simulated host: cores, memory, domains. A typical program:
//
//     sim::Simulation simulation({.seed = 7});
//     sim::Machine machine(simulation, {.cores = 4, .memory_pages = pages_of("8GiB")});
//     sim::Domain& dom0 = machine.create_domain({.name = "dom0", .user_space = true});  // id 0
//     sim::Domain& pool = machine.create_domain({.name = "pool", .memory_pages = 65536,
//                                                .populated = false});
//     sim::Domain& guest = machine.create_domain({.name = "guest1", .memory_pages = 131072});
//     host::Host& server_view = machine.server_view(dom0, pool);
//     dom0.spawn("server", [&] { server.run(server_view); }, true);
//     guest.spawn("program", [&] { ... guest.host() ... });
//     simulation.run();

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "model/host/host.h"
#include "sim/costs/cost_model.h"
#include "sim/machine/frame_observer.h"
#include "sim/machine/simulation.h"

namespace xenfs::sim {

class MachineState;  // for the files of sim/machine only
class DomainState;

enum class CpuMode : std::uint8_t {
    // Under either mode, tasks take turns in slices of cpu.scheduler_slice, first come, first
    // served.
    pinned,    ///< each vCPU has a core of its own: tasks contend for their domain's vCPUs only
    contended  ///< vCPUs queue for the machine's cores, too
};

/// Faults in event delivery, drawn from the simulation's seed. There are none by default.
struct EventFaults {
    double lost = 0;     ///< probability that a delivery never happens
    double doubled = 0;  ///< probability that a delivery happens twice
};

struct MachineConfig {
    std::string name = "host";  ///< the platform's host on which it stands
    unsigned cores = 4;
    std::size_t memory_pages = std::size_t{16} << 18;  ///< 16 GiB; records are made when used
    CpuMode cpu = CpuMode::pinned;
    bool count_unique = false;  ///< counts unique contents (MemoryCounts::unique)
    EventFaults event_faults = {};
    CostModel costs = CostModel::defaults();
};

struct DomainConfig {
    std::string name;
    unsigned vcpus = 1;
    std::size_t memory_pages = 0;        ///< frames that it may have (maxmem), see `populated`
    std::size_t grant_frames = 64;       ///< pages of its grant table, 512 entries each
    std::size_t maptrack_frames = 1024;  ///< 256 mappings of peers' pages each
    /// Where true (a guest), its memory is its own from the start, taken from the host's free
    /// memory. Where false (a pool), frames come from and go back to the host's free memory one by
    /// one.
    bool populated = true;
    /// Its tasks are a user-space daemon: a task that an event wakes from idle pays
    /// core.user_space_wake on top of the context switch. What Simulation::at wakes is its kernel's
    /// (a driver's thread, a task that waited for a disk) and pays the switch only.
    bool user_space = false;
    /// How many of memory_pages hold no file data, where that is known (take_memory). 0 where it is
    /// not known; arms then assume kernel.reserved.
    std::size_t other_pages = 0;
};

/// Counts frames that hold file data: those from Frames::allocate. (allocate_shared is control
/// memory.)
struct MemoryCounts {
    std::size_t file_frames = 0;  ///< now, on the whole host
    std::size_t file_frames_peak = 0;
    Nanoseconds file_frames_peak_at_ns = 0;
    /// How many different contents the filled file frames have; 0 unless
    /// MachineConfig::count_unique.
    std::size_t unique = 0;
    std::size_t unique_peak = 0;
    std::size_t unique_at_frames_peak = 0;
    std::size_t control_frames = 0;
    std::size_t guest_frames = 0;   ///< guests' memory that is not file data (take_memory)
    std::size_t mapped_frames = 0;  ///< frames with at least one mapping by another domain
    std::size_t shared_frames = 0;  ///< frames with two such mappings or more
    std::size_t mappings = 0;       ///< mappings in all domains
    std::size_t free_frames = 0;    ///< host memory that no domain has
};

/// What a domain did, counted by the host itself.
struct DomainCounters {
    Nanoseconds cpu_ns = 0;    ///< CPU time used, all charges
    Nanoseconds steal_ns = 0;  ///< time that its tasks were ready but waited for vCPU or core
    std::uint64_t hypercalls = 0;
    std::uint64_t pages_mapped = 0, pages_unmapped = 0, unmap_batches = 0;
    std::uint64_t pages_copied = 0;  ///< grant copy operations
    std::uint64_t pages_flipped = 0, pages_lost = 0;
    std::uint64_t grants_made = 0, grants_ended = 0, revokes_busy = 0;
    std::uint64_t refused = 0;  ///< grant operations that ended in an error status
    std::uint64_t notifies = 0, events_delivered = 0, events_coalesced = 0;
    std::uint64_t events_lost = 0, events_doubled = 0;
    std::uint64_t bad_handles = 0;  ///< unmaps of handles that name no mapping
    std::uint64_t store_operations = 0;
    std::size_t file_frames = 0, file_frames_peak = 0;  ///< those that it owns
};

class Domain {
  public:
    DomainId id() const;
    const std::string& name() const;
    bool alive() const;
    host::Host& host();  ///< its view of the machine; valid for the Machine's life
    const DomainCounters& counters() const;
    const DomainConfig& config() const;

    /// Starts a task of this domain, before run() or during it. A `service` does not keep the run
    /// alive.
    void spawn(std::string task_name, std::function<void()> body, bool service = false);

    /// These give a page's content and put one in by DMA; they charge nothing. They are for
    /// storage, and for arms with caches of their own, which take frames by host().frames() and say
    /// here what they hold. A frame may be any domain's; a mapping is one of this domain.
    Fingerprint content(host::Page page) const;
    void set_content(host::Page page, Fingerprint fingerprint, Writer writer = Writer::device);
    /// Notes that a device has read the frame for this domain (a write-back): nothing changes, but
    /// an observer of I/O is told.
    void sent(Frame frame);

    /// Takes memory that is no file data: a frame of this domain, or no_frame where its limit is
    /// reached.
    Frame take_memory();
    void write_memory(Frame frame, Fingerprint content, Writer writer = Writer::program);
    void give_memory(Frame frame);

  private:
    friend class MachineState;
    friend class DomainState;
    explicit Domain(DomainState& state) : state_(&state) {}
    DomainState* state_;
};

class Machine {
  public:
    Machine(Simulation& simulation, MachineConfig config);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    /// Makes a domain. The first gets id 0, so it is dom0, which may read and write the whole
    /// store. Throws std::invalid_argument where the host's memory does not suffice.
    Domain& create_domain(DomainConfig config);

    /// Destroys a domain as `xl destroy` does: its tasks are unwound, its events close, its
    /// mappings of others' pages, its grants and its store nodes go. Frames of its own that peers
    /// still map stay until the last unmap (the domain is a zombie). A domain may destroy itself.
    void destroy_domain(DomainId domain);
    /// Kills the one process that a domain's tasks stand for, as SIGKILL does: they are unwound,
    /// its events close, its mappings and watches go. Frames, grant entries and store nodes stay.
    void kill_process(DomainId domain);
    Domain* find(DomainId domain);  ///< returns null where there is none, or it is dead

    /// Returns two domains in one view, as host.h describes: events, tasks, store, clock and
    /// mappings of `server`; frames and grant entries of `pool`. It is valid for the Machine's
    /// life.
    host::Host& server_view(Domain& server, Domain& pool);

    MemoryCounts memory() const;
    /// Calls `sample` at the end of each interval of simulated time in which a count of file
    /// frames, unique contents or mappings changed. It is for curves over time, and there is at
    /// most one. memory() gives the state at the end of the run.
    void sample_memory(Nanoseconds interval_ns,
                       std::function<void(Nanoseconds, const MemoryCounts&)> sample);

    Simulation& simulation();
    /// Returns, before the run, a host of the platform where this machine sends and receives. The
    /// machine's own host has its name; others can stand for the network interfaces of its domains.
    Endpoint endpoint(const std::string& host);
    const CostModel& costs() const;
    const MachineConfig& config() const;
    Nanoseconds core_busy_ns() const;  ///< summed over the cores (contended mode)

    MachineState& state() { return *state_; }

  private:
    std::unique_ptr<MachineState> state_;
};

}  // namespace xenfs::sim
