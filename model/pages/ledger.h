#pragma once
// The ledger knows which account is charged for each pinned page. For every account it always holds
// that pinned ≤ donated + quota. With a policy that rebates (model/policies/charging) it holds that
// charged ≤ donated + quota + seized + allowance + owed, where a page counts as pinned only beyond
// the allowance and what is owed.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/host/types.h"
#include "model/policies/charging/policy.h"

namespace xenfs::pages {

using AccountId = std::uint32_t;  ///< dense from 0; reused after close()

/// Counts pages. A page is pinned for an account from the moment before an entry is written until
/// the entry has really ended. `donated` is what the server has accepted, never more than what the
/// host counts. The invariant is asserted after each change, because no client's behaviour may
/// break it: whatever does is a bug here.
class Ledger {
  public:
    struct Account {
        DomainId domain = 0;
        bool open = false;
        std::uint64_t donated = 0;
        std::uint64_t quota = 0;
        std::uint64_t pinned = 0;  ///< charged; the rebate is not subtracted
        // The members below are zero unless the policy rebates.
        std::uint64_t rebate = 0;      ///< what sharing saves it, in 1/rebate_unit of a page
        std::uint64_t collateral = 0;  ///< pages of the domain's own that the host may take at once
        std::uint64_t seized = 0;      ///< how much of the collateral was taken
        std::uint64_t owed = 0;        ///< held without having been paid for
    };
    static constexpr std::uint64_t rebate_unit = 1u << 16;

    explicit Ledger(policies::Rebate rebates = policies::Rebate::none) : rebates_(rebates) {}

    AccountId open(DomainId domain, std::uint64_t quota);
    /// Counts pages that are still pinned, because a dying peer has them mapped, as orphaned.
    /// Returns how many these are; discharge_orphaned() must be called for each.
    std::uint64_t close(AccountId id);

    std::uint64_t credit(AccountId id) const {
        const Account& a = accounts_[id];
        const std::uint64_t limit = a.donated + a.quota + a.seized + allowance(a);
        return limit > a.pinned ? limit - a.pinned : 0;
    }
    /// Returns false and changes nothing where the credit does not suffice.
    bool charge(AccountId id, std::uint64_t pages) {
        if (pages > credit(id)) return false;
        accounts_[id].pinned += pages;
        total_pinned_ += pages;
        check(id);
        return true;
    }
    void discharge(AccountId id, std::uint64_t pages);
    /// Counts pages that a client of a predecessor has mapped and that no account is charged for.
    void add_orphaned(DomainId domain, std::uint64_t pages);
    /// Changes what the account saves by sharing, in 1/rebate_unit of a page.
    void add_rebate(AccountId id, std::int64_t change);
    /// Sets how many pages of the domain's own the host may take at once, beside those already
    /// taken.
    void set_collateral(AccountId id, std::uint64_t pages);
    void discharge_orphaned(DomainId domain, std::uint64_t pages);

    /// Returns false and changes nothing where a lower value would break the invariant.
    bool set_donated(AccountId id, std::uint64_t pages);

    const Account& account(AccountId id) const { return accounts_[id]; }
    std::uint64_t total_donated() const { return total_donated_; }
    std::uint64_t orphaned() const { return orphaned_; }
    /// Returns how many pages the closed accounts of a domain have left pinned.
    std::uint64_t orphaned_of(DomainId domain) const {
        const auto found = orphaned_of_.find(domain);
        return found == orphaned_of_.end() ? 0 : found->second;
    }
    /// Checks all accounts, for tests.
    void check_all() const;

  private:
    void check(AccountId id) const;
    /// Returns how many pages the account may hold beyond its donation and quota.
    std::uint64_t allowance(const Account& a) const {
        if (rebates_ == policies::Rebate::none) return 0;
        const std::uint64_t saved = a.rebate / rebate_unit;
        return rebates_ == policies::Rebate::secured && a.collateral < saved ? a.collateral : saved;
    }
    void settle(Account& a);

    policies::Rebate rebates_;
    std::vector<Account> accounts_;
    std::uint64_t total_pinned_ = 0;  ///< of open accounts, for check_all()
    std::uint64_t total_donated_ = 0, orphaned_ = 0;
    std::unordered_map<DomainId, std::uint64_t> orphaned_of_;  ///< without zeros
};

}  // namespace xenfs::pages
