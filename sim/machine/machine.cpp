#include "sim/machine/machine.h"

#include <fmt/format.h>

#include <cassert>

#include "sim/machine/host_view.h"

namespace xenfs::sim {
namespace {

constexpr std::size_t entries_per_grant_frame = page_size / 8;       // v1: 8 bytes each
constexpr std::size_t mappings_per_maptrack_frame = page_size / 16;  // Xen's own: 16 bytes each

}  // namespace

DomainState::DomainState(MachineState& in, DomainId number, DomainConfig with)
    : machine(in),
      id(number),
      config(std::move(with)),
      cpus(config.vcpus, in.prices.scheduler_slice,
           in.config.cpu == CpuMode::contended ? &in.cores : nullptr, number),
      account(config.memory_pages, config.populated, in.frames.counts.free_frames),
      grants(config.grant_frames * entries_per_grant_frame),
      maptrack(config.maptrack_frames * mappings_per_maptrack_frame),
      handle(*this),
      view(std::make_unique<HostView>(ViewOf{in, *this, *this})) {}

DomainState::~DomainState() {
    machine.scheduler.forget(*this);
}

Nanoseconds DomainState::run_cpu(Nanoseconds from, Nanoseconds& cpu) {
    const Nanoseconds piece = std::min(cpu, cpus.slice());
    cpu -= piece;
    const Nanoseconds end = cpus.run(from, piece);
    counters.cpu_ns = cpus.used();
    counters.steal_ns = cpus.stolen();
    return end;
}

Nanoseconds DomainState::wake_cost(bool by_event) {
    return machine.prices.context_switch +
           (by_event && config.user_space ? machine.prices.user_space_wake : 0);
}

MachineState::MachineState(Simulation& in, MachineConfig with)
    : simulation(in),
      scheduler(in.add_machine(with.name)),
      config(std::move(with)),
      prices(config.costs),
      frames(config.memory_pages, prices.llc_pages, config.count_unique),
      cores(config.cores, prices.vm_switch),
      store(scheduler, prices.store_watch),
      wires(config.event_faults, in.stream_seed("event faults")) {
    frames.now = [this] { return now(); };
}

MachineState::~MachineState() {
    for (const auto& domain : domains) {
        scheduler.forget(*domain);
        domain->ports.close_all(scheduler);
    }
}

Domain& MachineState::create_domain(DomainConfig domain_config) {
    if (domain_config.vcpus == 0) {
        throw std::invalid_argument(fmt::format("domain '{}' has no vCPU", domain_config.name));
    }
    if (domain_config.populated && domain_config.memory_pages > frames.counts.free_frames) {
        throw std::invalid_argument(
            fmt::format("domain '{}' is to have {} pages, but the host has only {} left",
                        domain_config.name, domain_config.memory_pages, frames.counts.free_frames));
    }
    const auto id = static_cast<DomainId>(domains.size());
    domains.push_back(std::make_unique<DomainState>(*this, id, std::move(domain_config)));
    DomainState& domain = *domains.back();
    store.tree().introduce(id, domain.config.name);
    return domain.handle;
}

void MachineState::kill_process(DomainId id) {
    DomainState* const dying = alive(id);
    if (dying == nullptr) return;
    scheduler.kill_all(*dying);  // its host still works for the tasks that unwind
    dying->ports.close_all(scheduler);
    xen::end_mappings(*this, *dying);
    store.forget(id, false);
}

void MachineState::destroy_domain(DomainId id) {
    DomainState* const dying = alive(id);
    if (dying == nullptr) return;
    kill_process(id);
    xen::end_domain(*this, *dying);
    store.forget(id, true);
}

host::Host& MachineState::server_view(DomainState& server, DomainState& pool) {
    server_views.push_back(std::make_unique<HostView>(ViewOf{*this, server, pool}));
    return *server_views.back();
}

DomainId Domain::id() const {
    return state_->id;
}
const std::string& Domain::name() const {
    return state_->config.name;
}
bool Domain::alive() const {
    return state_->alive;
}
host::Host& Domain::host() {
    return *state_->view;
}
const DomainCounters& Domain::counters() const {
    return state_->counters;
}
const DomainConfig& Domain::config() const {
    return state_->config;
}

void Domain::spawn(std::string task_name, std::function<void()> body, bool service) {
    state_->view->tasks().spawn(std::move(task_name), std::move(body), service);
}

namespace {
/// Finds any domain's frame, or a mapping of this one.
FrameRecord& any_record(DomainState& domain, host::Page page) {
    FrameTable& frames = domain.machine.frames;
    if (page.kind == host::Page::Kind::frame && frames.exists(page.id) &&
        frames[page.id].use == FrameRecord::file) {
        return frames[page.id];
    }
    return domain.view->memory().record(page, false);
}
}  // namespace

Fingerprint Domain::content(host::Page page) const {
    return any_record(*state_, page).content;
}

void Domain::set_content(host::Page page, Fingerprint fingerprint, Writer writer) {
    FrameTable& frames = state_->machine.frames;
    FrameRecord& record = any_record(*state_, page);
    assert(record.use == FrameRecord::file);
    frames.touch(record);
    frames.set_content(record, fingerprint, writer);
    if (writer == Writer::device && frames.observer != nullptr) {
        frames.observer->transferred(frames.index_of(record), writer);
    }
}

void Domain::sent(Frame frame) {
    FrameTable& frames = state_->machine.frames;
    if (frames.observer != nullptr) frames.observer->transferred(frame, Writer::program);
}

Frame Domain::take_memory() {
    return state_->machine.take_frame(*state_, FrameRecord::memory);
}

void Domain::write_memory(Frame frame, Fingerprint content, Writer writer) {
    FrameTable& frames = state_->machine.frames;
    FrameRecord& record = frames[frame];
    assert(record.use == FrameRecord::memory && record.owner == state_->id);
    frames.set_content(record, content, writer);
    if (writer == Writer::device && frames.observer != nullptr) {
        frames.observer->transferred(frame, writer);
    }
}

void Domain::give_memory(Frame frame) {
    assert(state_->machine.frames[frame].use == FrameRecord::memory);
    state_->machine.give_frame(*state_, frame);
}

Machine::Machine(Simulation& simulation, MachineConfig config)
    : state_(std::make_unique<MachineState>(simulation, std::move(config))) {}
Machine::~Machine() = default;

Domain& Machine::create_domain(DomainConfig config) {
    return state_->create_domain(std::move(config));
}
void Machine::kill_process(DomainId domain) {
    state_->kill_process(domain);
}
void Machine::destroy_domain(DomainId domain) {
    state_->destroy_domain(domain);
}

Domain* Machine::find(DomainId domain) {
    DomainState* const found = state_->alive(domain);
    return found != nullptr ? &found->handle : nullptr;
}

host::Host& Machine::server_view(Domain& server, Domain& pool) {
    return state_->server_view(MachineState::state_of(server), MachineState::state_of(pool));
}

MemoryCounts Machine::memory() const {
    return state_->frames.counts;
}

void Machine::sample_memory(Nanoseconds interval_ns,
                            std::function<void(Nanoseconds, const MemoryCounts&)> sample) {
    state_->simulation.every(interval_ns, [state = state_.get(), sample = std::move(sample)] {
        if (!std::exchange(state->frames.changed, false)) return;
        sample(state->now(), state->frames.counts);
    });
}

Endpoint Machine::endpoint(const std::string& host) {
    return state_->simulation.endpoint(host, state_->scheduler);
}
Simulation& Machine::simulation() {
    return state_->simulation;
}
const CostModel& Machine::costs() const {
    return state_->config.costs;
}
const MachineConfig& Machine::config() const {
    return state_->config;
}
Nanoseconds Machine::core_busy_ns() const {
    return state_->cores.busy();
}

}  // namespace xenfs::sim
