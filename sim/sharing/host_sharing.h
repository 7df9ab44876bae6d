#pragma once
// Page sharing on one simulated host: hears of every change of a frame, keeps what is merged, lets
// the policy work, charges for its scanner and for each page that a write takes apart again.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/machine/content_count.h"
#include "sim/machine/machine.h"
#include "sim/sharing/policy.h"
#include "sim/sharing/repayment.h"

namespace xenfs::sim {

/// Frames of guests and of a pool take part, in any use but control memory; dom0's own do not.
/// A frame that is granted to another domain is nobody's to merge, as in Xen, which refuses to
/// share a page that has further references [M]; granting a merged frame takes it apart first.
/// Made before the domains have frames; lives as long as the machine.
class HostSharing final : public FrameObserver, private GuestPages {
  public:
    struct Config {
        std::string policy = "none";
        SharingOptions options;
        bool idle_memory = true;  ///< scanners read what guests have without using it
        Surplus surplus = Surplus::keep;
    };
    /// The options with the cost model's memory.hash.cold, memory.compare.cold and sharing.*.
    static SharingOptions options_from(const CostModel& costs, SharingOptions options = {});

    /// Throws policies::UnknownPolicy.
    HostSharing(Machine& machine, Domain& dom0, Config config);
    ~HostSharing() override;

    /// The domain's frames take part from now on.
    void add(const Domain& domain, TrustGroup trust);
    /// Spawns the scanner, a service of dom0; after all domains were added.
    void start();

    struct Counts {
        std::size_t pages = 0;       ///< filled frames that take part
        std::size_t zero_pages = 0;  ///< of them
        std::size_t possible = 0;    ///< saved if all that is equal were shared now
        std::size_t shared = 0;      ///< machine pages with several users
        std::size_t saved = 0;       ///< users beyond the first
        std::size_t saved_peak = 0;
        std::size_t watched = 0;  ///< write-protected without a partner
    };
    Counts counts() const;
    const SharingStats& stats() const { return stats_; }
    /// What became of the memory saved; given out once a simulated second.
    const Repayment& repayment() const { return *repayment_; }
    std::size_t overcommitted() const { return repayment_->overcommitted(shared_.saved()); }

    /// Where equal pages are, by a walk over all frames.
    struct Where {
        std::size_t pages = 0, zero = 0;  ///< filled, and of them zeros
        std::size_t within = 0;           ///< saved inside single domains, zeros not counted
        std::size_t between = 0;          ///< saved besides by sharing between domains
    };
    Where where() const;

    // FrameObserver
    void changed(Frame frame, bool filled, Fingerprint before, Writer writer) override;
    void transferred(Frame frame, Writer writer) override;
    void leaves(Frame frame, bool filled, Fingerprint content) override;
    void arrives(Frame frame, Fingerprint content) override;
    void granted(Frame frame) override;

  private:
    std::size_t frames() const override;
    std::size_t idle_pages() const override;
    bool mergeable(Frame frame) const override;
    bool foreign(Frame frame) const override;
    ContentKey key(Frame frame) const override;

    bool takes_part(DomainId domain) const {
        return domain < domains_.size() && domains_[domain].in;
    }
    Fingerprint keyed(DomainId owner, Fingerprint content) const;
    void break_up(Frame frame, Writer writer);
    void count(DomainId owner, Fingerprint content, bool add);
    void give_surplus();
    void left(DomainId owner);

    struct Member {
        bool in = false;
        TrustGroup trust = 0;
    };
    MachineState& state_;
    Domain& dom0_;
    Config config_;
    Nanoseconds break_ns_, copy_ns_;
    std::vector<Member> domains_;
    SharedPages shared_;
    SharingStats stats_;
    ContentCount contents_;
    std::size_t pages_ = 0, zero_ = 0;
    std::unique_ptr<SharingPolicy> policy_;
    std::unique_ptr<Repayment> repayment_;  ///< by domain id; after all were added
};

}  // namespace xenfs::sim
