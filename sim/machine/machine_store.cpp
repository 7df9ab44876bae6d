#include "sim/machine/machine_store.h"

namespace xenfs::sim {

struct MachineStore::Watch final : Timer {
    Watch(MachineStore& in, TaskOwner& of, DomainId domain, std::function<void()> calls)
        : store(in), owner(of), who(domain), handler(std::move(calls)) {}
    ~Watch() { store.scheduler_.timers().disarm(*this); }
    void fire() override {
        const auto keep = handler;  // the handler may end its own watch
        store.scheduler_.run_handler(&owner, keep);
    }
    MachineStore& store;
    TaskOwner& owner;
    DomainId who;
    std::function<void()> handler;
};

MachineStore::MachineStore(Scheduler& scheduler, Nanoseconds watch_latency)
    : scheduler_(scheduler),
      watch_latency_(watch_latency),
      tree_([this](DomainId, std::uint64_t token) {
          Watch& watch = *watches_.at(token);
          if (watch.armed()) return;
          scheduler_.timers().arm(watch, scheduler_.now_charged() + watch_latency_);
      }) {}

MachineStore::~MachineStore() = default;

void MachineStore::forget(DomainId domain, bool nodes) {
    std::erase_if(watches_, [&](const auto& entry) { return entry.second->who == domain; });
    tree_.forget(domain, nodes);
}

std::uint64_t MachineStore::watch(TaskOwner& owner, DomainId who, std::string_view path,
                                  std::function<void()> changed) {
    const std::uint64_t token = ++last_token_;
    watches_[token] = std::make_unique<Watch>(*this, owner, who, std::move(changed));
    (void)tree_.watch(who, token, path);
    return token;
}

void MachineStore::unwatch(DomainId who, std::uint64_t token) {
    const auto found = watches_.find(token);
    if (found == watches_.end() || found->second->who != who) return;
    tree_.unwatch(who, token);
    watches_.erase(found);
}

}  // namespace xenfs::sim
