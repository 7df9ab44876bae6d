#pragma once
#include <functional>
#include <map>
#include <memory>

#include "model/xen/store_tree.h"
#include "sim/machine/scheduler.h"

namespace xenfs::sim {

/// The machine's xenstore: the tree, and the delivery of its watches. A watch's handler runs for
/// the domain that set it, a latency after the change; changes in quick succession become one call.
class MachineStore {
  public:
    MachineStore(Scheduler& scheduler, Nanoseconds watch_latency);
    ~MachineStore();

    xen::StoreTree& tree() { return tree_; }
    /// Ends the domain's watches and, where `nodes`, removes its home.
    void forget(DomainId domain, bool nodes);
    /// A watch beyond the domain's quota never fires, as on Xen.
    std::uint64_t watch(TaskOwner& owner, DomainId who, std::string_view path,
                        std::function<void()> changed);
    void unwatch(DomainId who, std::uint64_t token);

  private:
    struct Watch;

    Scheduler& scheduler_;
    Nanoseconds watch_latency_;
    std::map<std::uint64_t, std::unique_ptr<Watch>> watches_;  ///< by token
    std::uint64_t last_token_ = 0;
    xen::StoreTree tree_;
};

}  // namespace xenfs::sim
