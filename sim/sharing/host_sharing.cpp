#include "sim/sharing/host_sharing.h"

#include <algorithm>
#include <unordered_map>

#include "sim/machine/machine_state.h"

namespace xenfs::sim {

SharingOptions HostSharing::options_from(const CostModel& costs, SharingOptions options) {
    options.hash_ns = costs.time("memory.hash.cold");
    options.compare_ns = costs.time("memory.compare.cold");
    options.tree_step_ns = costs.time("sharing.tree_step");
    options.merge_ns = costs.time("sharing.merge");
    return options;
}

HostSharing::HostSharing(Machine& machine, Domain& dom0, Config config)
    : state_(machine.state()),
      dom0_(dom0),
      config_(std::move(config)),
      break_ns_(machine.costs().time("core.copy_on_write")),
      copy_ns_(machine.costs().time("memory.copy.cold")),
      policy_(sharing_policies().make(config_.policy, static_cast<GuestPages&>(*this), shared_,
                                      stats_, config_.options)) {
    state_.frames.observer = this;
}

HostSharing::~HostSharing() {
    state_.frames.observer = nullptr;
}

void HostSharing::add(const Domain& domain, TrustGroup trust) {
    if (domain.id() >= domains_.size()) domains_.resize(domain.id() + 1u);
    domains_[domain.id()] = {true, trust};
}

void HostSharing::start() {
    repayment_ = std::make_unique<Repayment>(config_.surplus, domains_.size());
    if (config_.surplus != Surplus::keep) {
        state_.simulation.every(1'000'000'000, [this] { give_surplus(); });
    }
    if (config_.options.pages_per_wake == 0) return;
    dom0_.spawn(
        "page sharing",
        [this] {
            host::Clock& clock = dom0_.host().clock();
            for (;;) {
                const Nanoseconds before = stats_.cpu_ns;
                const Nanoseconds sleep = policy_->wake();
                if (sleep == 0) return;
                clock.charge(stats_.cpu_ns - before);
                clock.sleep(sleep);
            }
        },
        true);
}

std::size_t HostSharing::frames() const {
    return state_.frames.used_pages();
}

std::size_t HostSharing::idle_pages() const {
    if (!config_.idle_memory) return 0;
    std::size_t idle = 0;
    for (DomainId id = 0; id < domains_.size(); ++id) {
        if (!domains_[id].in) continue;
        const xen::FrameAccount& account = state_.domains[id]->account;
        idle += account.reserved() - account.allocated();
    }
    return idle;
}

bool HostSharing::foreign(Frame frame) const {
    const FrameRecord& record = state_.frames[frame];
    return record.use == FrameRecord::free || record.use == FrameRecord::control ||
           !takes_part(static_cast<DomainId>(record.owner));
}

bool HostSharing::mergeable(Frame frame) const {
    const FrameRecord& record = state_.frames[frame];
    return !foreign(frame) && record.filled && record.entries == 0 && record.mappings == 0;
}

ContentKey HostSharing::key(Frame frame) const {
    const FrameRecord& record = state_.frames[frame];
    return {record.content, domains_[record.owner].trust};
}

Fingerprint HostSharing::keyed(DomainId owner, Fingerprint content) const {
    return content ^ (domains_[owner].trust * 0xD6E8FEB86659FD93u);
}

void HostSharing::count(DomainId owner, Fingerprint content, bool add) {
    if (add) {
        contents_.add(keyed(owner, content));
        ++pages_;
        zero_ += content == zero_fingerprint;
    } else {
        contents_.remove(keyed(owner, content));
        --pages_;
        zero_ -= content == zero_fingerprint;
    }
}

void HostSharing::give_surplus() {
    std::vector<std::size_t> sharing(domains_.size(), 0);
    for (Frame frame = 0; frame < frames(); ++frame) {
        const SharedPages::Group group = shared_.group_of(frame);
        if (group != SharedPages::no_group && shared_.members(group) > 1) {
            ++sharing[state_.frames[frame].owner];
        }
    }
    repayment_->give(shared_.saved(), sharing);
}

/// A page of this domain has left a shared one: what was given for it comes back first.
void HostSharing::left(DomainId owner) {
    if (repayment_ != nullptr) repayment_->broken(owner, shared_.saved());
}

/// A page gets a frame of its own again, before it is used otherwise.
void HostSharing::break_up(Frame frame, Writer writer) {
    if (shared_.group_of(frame) == SharedPages::no_group) return;
    const bool others = shared_.leave(frame);
    left(static_cast<DomainId>(state_.frames[frame].owner));
    if (policy_->ideal()) return;
    if (writer == Writer::device) {
        if (!others) return;
        ++stats_.replaced;
        state_.charge(state_.prices.hypercall + state_.prices.balloon_page);
    } else if (others) {
        ++stats_.breaks;
        state_.charge(break_ns_ + copy_ns_);
    } else {
        ++stats_.watch_faults;
        state_.charge(break_ns_);
    }
}

void HostSharing::changed(Frame frame, bool filled, Fingerprint before, Writer writer) {
    if (foreign(frame)) return;
    const FrameRecord& record = state_.frames[frame];
    const auto owner = static_cast<DomainId>(record.owner);
    if (!filled || before != record.content) {
        if (filled) count(owner, before, false);
        count(owner, record.content, true);
    }
    break_up(frame, writer);
    policy_->written(frame);
}

void HostSharing::transferred(Frame frame, Writer writer) {
    if (foreign(frame)) return;
    const Nanoseconds before = stats_.cpu_ns;
    if (writer == Writer::device) {
        policy_->filled(frame);
    } else {
        policy_->sent(frame);
    }
    // Work done at I/O time delays the I/O: it is the block device's.
    if (stats_.cpu_ns != before) state_.charge(stats_.cpu_ns - before);
}

void HostSharing::leaves(Frame frame, bool filled, Fingerprint content) {
    const FrameRecord& record = state_.frames[frame];
    if (record.use == FrameRecord::control || !takes_part(static_cast<DomainId>(record.owner))) {
        return;
    }
    if (filled) count(static_cast<DomainId>(record.owner), content, false);
    if (shared_.group_of(frame) != SharedPages::no_group) {
        shared_.leave(frame);
        left(static_cast<DomainId>(record.owner));
    }
    policy_->released(frame);
}

void HostSharing::arrives(Frame frame, Fingerprint content) {
    if (foreign(frame)) return;
    count(static_cast<DomainId>(state_.frames[frame].owner), content, true);
    policy_->written(frame);
}

void HostSharing::granted(Frame frame) {
    if (!foreign(frame)) break_up(frame, Writer::program);
}

HostSharing::Counts HostSharing::counts() const {
    Counts now;
    now.pages = pages_;
    now.zero_pages = zero_;
    now.possible = pages_ - contents_.unique();
    now.shared = shared_.shared();
    now.saved = shared_.saved();
    now.saved_peak = shared_.saved_peak();
    now.watched = shared_.groups() - shared_.shared();
    return now;
}

HostSharing::Where HostSharing::where() const {
    Where found;
    std::unordered_map<ContentKey, std::vector<DomainId>, ContentKeyHash> owners;
    for (Frame frame = 0; frame < frames(); ++frame) {
        const FrameRecord& record = state_.frames[frame];
        if (foreign(frame) || !record.filled) continue;
        ++found.pages;
        if (record.content == zero_fingerprint) {
            ++found.zero;
        } else {
            owners[key(frame)].push_back(static_cast<DomainId>(record.owner));
        }
    }
    for (auto& [content, list] : owners) {
        std::sort(list.begin(), list.end());
        const auto distinct =
            static_cast<std::size_t>(std::unique(list.begin(), list.end()) - list.begin());
        found.within += list.size() - distinct;
        found.between += distinct - 1;
    }
    return found;
}

}  // namespace xenfs::sim
