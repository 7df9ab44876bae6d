#pragma once
// This is model/host on any Linux, without Xen. A typical guest:
//
//     auto host = LocalHost::join_guest("/run/xenfs/local.sock", {.name = "guest1",
//                                       .shape = {.memory_pages = 65536}});
//     host->tasks().spawn("program", [&] { ... *host ... }, false);
//     host->wait_for_tasks();

#include <memory>
#include <string>

#include "model/host/host.h"
#include "real/local/local_events.h"
#include "real/local/local_memory.h"
#include "real/local/local_store.h"

namespace xenfs::real::local {

/// Thrown where the wanted id is another domain's, which may be about to end.
class DomainNumberTaken : public LocalError {
  public:
    using LocalError::LocalError;
};

struct GuestConfig {
    std::string name;
    DomainShape shape;
    DomainId id = any_domain;
};

/// The pool that the server acts for. An existing one of the same name is taken over as it is, and
/// then the shape is ignored.
struct PoolConfig {
    std::string name = "pool";
    DomainShape shape = {.memory_pages = 65536, .populated = 0};
};

/// A domain of this process: one connection to a broker (broker.h says what isolation that gives).
/// The domain ends with this object. When it is destroyed, or its broker goes, DomainEnded unwinds
/// its tasks at their next yield point and its calls fail with ESRCH.
class LocalHost final : public host::Host {
  public:
    /// These throw LocalError: one sentence with what to do.
    static std::unique_ptr<LocalHost> join_guest(const std::string& socket,
                                                 const GuestConfig& config);
    static std::unique_ptr<LocalHost> join_server(const std::string& socket,
                                                  const PoolConfig& config);
    ~LocalHost() override;

    DomainId self() const override { return self_; }
    DomainId granter() const override { return granter_; }
    const host::Capabilities& capabilities() const override { return capabilities_; }
    const host::CoreCosts& core_costs() const override { return core_costs_; }
    const host::MechanismCosts& mechanism_costs() const override { return mechanism_costs_; }
    LocalFrames& frames() override { return frames_; }
    LocalGrants& grants() override { return grants_; }
    LocalEvents& events() override { return events_; }
    LocalMemory& memory() override { return memory_; }
    LocalStore& store() override { return store_; }
    ThreadTasks& tasks() override { return tasks_; }
    MonotonicClock& clock() override { return clock_; }

    Monitor& monitor() { return monitor_; }
    void wait_for_tasks() { tasks_.join(); }
    /// Destroys a guest as `xl destroy` does; its process is killed, unless it is this one. Only
    /// the server may call this, in a task. Returns 0 or an errno.
    int destroy(DomainId domain);

  private:
    struct Joined;
    static Joined join(const std::string& socket, const Writer& hello);
    explicit LocalHost(Joined joined);

    std::unique_ptr<Link> link_;
    DomainId self_, granter_;
    Mapped segment_, accounts_;
    host::Capabilities capabilities_{.transfer = true, .balloon = true, .real_bytes = true};
    host::CoreCosts core_costs_;
    host::MechanismCosts mechanism_costs_;  ///< all are unknown, since nothing was calibrated
    Monitor monitor_;
    Delivery delivery_;
    LocalFrames frames_;
    LocalGrants grants_;
    LocalEvents events_;
    LocalMemory memory_;
    LocalStore store_;
    MonotonicClock clock_;
    ThreadTasks tasks_;
};

}  // namespace xenfs::real::local
