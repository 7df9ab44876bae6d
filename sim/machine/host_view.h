#pragma once
// This is model/host over the simulated machine. A view acts for `self` (events, store, tasks,
// clock, and as the domain that maps and copies) and for `granter` (frames and grant entries). For
// a guest both are the same domain; for the server they are dom0 and the pool domain.

#include "sim/machine/content.h"
#include "sim/machine/machine_state.h"

namespace xenfs::sim {

/// What every part of a view knows.
struct ViewOf {
    MachineState& machine;
    DomainState& self;
    DomainState& granter;
};

class SimFrames final : public host::Frames, private ViewOf {
  public:
    explicit SimFrames(const ViewOf& view) : ViewOf(view) {}
    std::size_t allocate(std::span<Frame> out) override;
    void release(std::span<const Frame> frames) override;
    void discard(std::span<const Frame> frames) override;
    std::size_t donate(std::size_t pages) override;
    std::size_t reclaim(std::size_t pages) override;
    std::size_t donated_by(DomainId domain) const override;
    std::size_t owned() const override;
    std::size_t limit() const override;
    void set_limit(std::size_t frames) override;
    Result<std::vector<host::OwnedFrame>> all() const override;
};

class SimGrants final : public host::Grants, private ViewOf {
  public:
    explicit SimGrants(const ViewOf& view) : ViewOf(view) {}
    std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                      std::span<GrantRef> out) override;
    std::size_t accept_transfer(DomainId from, std::span<GrantRef> out) override;
    void revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) override;
    Frame take_transferred(GrantRef reference) override;
    std::size_t granted() const override;
    std::size_t grant_capacity() const override;
    Result<std::vector<host::FoundEntry>> all() const override;
    void map(DomainId granter_id, std::span<const GrantRef> references, Access access,
             std::span<MapHandle> out, std::span<GrantStatus> status) override;
    void unmap(std::span<const MapHandle> handles) override;
    void copy(std::span<host::CopyOperation> operations) override;
    void transfer(std::span<host::TransferOperation> operations) override;

  private:
    GrantStatus copy_one(const host::CopyOperation& operation, Nanoseconds& cost);
};

class SimEvents final : public host::Events, private ViewOf {
  public:
    explicit SimEvents(const ViewOf& view) : ViewOf(view) {}
    Result<Port> allocate_unbound(DomainId peer) override;
    Result<Port> bind(DomainId peer, Port peer_port) override;
    void close(Port port) override;
    void on_event(Port port, std::function<void()> handler) override;
    void notify(Port port) override;
};

class SimMemory final : public host::Memory, private ViewOf {
  public:
    explicit SimMemory(const ViewOf& view) : ViewOf(view) {}
    void load(std::span<const host::Piece> pieces, host::Buffer into) override;
    void store(std::span<const host::Piece> pieces, host::Buffer from) override;
    void zero(host::Page page, std::uint16_t offset, std::uint16_t length) override;
    void copy(host::Page from, host::Page to) override;
    void hash(std::span<const host::Page> pages, std::span<Fingerprint> out) override;
    bool equal(host::Page a, host::Page b) override;
    std::byte* bytes(host::Page page) override;
    Result<Frame> allocate_shared() override;
    void release_shared(Frame frame) override;

    /// Returns the record behind a page that `self` can address, and throws SimulationError where
    /// it cannot (a real program would die of it). Read-only mappings are refused where `written`.
    FrameRecord& record(host::Page page, bool written) const;

  private:
    FrameRecord& data(host::Page page, bool written) const;
};

class SimStore final : public host::Store, private ViewOf {
  public:
    explicit SimStore(const ViewOf& view) : ViewOf(view) {}
    Result<std::string> read(std::string_view path) override;
    int write(std::string_view path, std::string_view value) override;
    int remove(std::string_view path) override;
    Result<std::vector<std::string>> list(std::string_view path) override;
    int allow(std::string_view path, DomainId reader) override;
    std::uint64_t watch(std::string_view path, std::function<void()> changed) override;
    void unwatch(std::uint64_t token) override;

  private:
    xen::StoreTree& charged();
};

class SimTasks final : public host::Tasks, private ViewOf {
  public:
    explicit SimTasks(const ViewOf& view) : ViewOf(view) {}
    void spawn(std::string name, std::function<void()> body, bool service) override;
    std::unique_ptr<host::Gate> make_gate() override;
};

/// The world's time at which every simulation starts.
inline constexpr WorldTime simulated_epoch{1'000'000'000, 0};

class SimClock final : public host::Clock, private ViewOf {
  public:
    explicit SimClock(const ViewOf& view) : ViewOf(view) {}
    Nanoseconds now() const override { return machine.scheduler.now_charged(); }
    WorldTime world() const override { return simulated_epoch.after(now()); }
    void charge(Nanoseconds cpu) override { machine.scheduler.charge(cpu); }
    void flush() override { machine.scheduler.flush(); }
    void sleep(Nanoseconds duration) override { machine.scheduler.sleep(duration); }
};

class HostView final : public host::Host {
  public:
    explicit HostView(const ViewOf& view);
    DomainId self() const override { return view_.self.id; }
    DomainId granter() const override { return view_.granter.id; }
    const host::Capabilities& capabilities() const override { return capabilities_; }
    const host::CoreCosts& core_costs() const override { return view_.machine.prices.core; }
    const host::MechanismCosts& mechanism_costs() const override { return mechanisms_; }
    host::Frames& frames() override { return frames_; }
    host::Grants& grants() override { return grants_; }
    host::Events& events() override { return events_; }
    SimMemory& memory() override { return memory_; }
    host::Store& store() override { return store_; }
    host::Tasks& tasks() override { return tasks_; }
    host::Clock& clock() override { return clock_; }
    const ViewOf& parts() const { return view_; }

  private:
    ViewOf view_;
    host::Capabilities capabilities_{.transfer = true, .balloon = true, .real_bytes = false};
    host::MechanismCosts mechanisms_;
    SimFrames frames_;
    SimGrants grants_;
    SimEvents events_;
    SimMemory memory_;
    SimStore store_;
    SimTasks tasks_;
    SimClock clock_;
};

}  // namespace xenfs::sim
