#include "model/pages/ledger.h"

#include <cassert>

namespace xenfs::pages {

void Ledger::check(AccountId id) const {
    const Account& a = accounts_[id];
    assert(a.open && a.pinned <= a.donated + a.quota + a.seized + allowance(a) + a.owed &&
           "the ledger's invariant");
    assert(a.owed == 0 || rebates_ == policies::Rebate::unsecured);
    static_cast<void>(a);
}

AccountId Ledger::open(DomainId domain, std::uint64_t quota) {
    AccountId id = 0;
    while (id < accounts_.size() && accounts_[id].open) ++id;
    if (id == accounts_.size()) accounts_.emplace_back();
    accounts_[id] = {};
    accounts_[id].domain = domain;
    accounts_[id].open = true;
    accounts_[id].quota = quota;
    return id;
}

std::uint64_t Ledger::close(AccountId id) {
    check(id);
    Account& a = accounts_[id];
    const std::uint64_t left = a.pinned;
    orphaned_ += left;
    if (left != 0) orphaned_of_[a.domain] += left;
    total_pinned_ -= left;
    total_donated_ -= a.donated;
    a = {};
    return left;
}

void Ledger::discharge(AccountId id, std::uint64_t pages) {
    assert(accounts_[id].open && pages <= accounts_[id].pinned);
    accounts_[id].pinned -= pages;
    total_pinned_ -= pages;
    settle(accounts_[id]);
    check(id);
}

void Ledger::add_orphaned(DomainId domain, std::uint64_t pages) {
    orphaned_ += pages;
    if (pages != 0) orphaned_of_[domain] += pages;
}

/// Takes what exceeds limit and savings from the collateral; an unsecured policy has it owed.
void Ledger::settle(Account& a) {
    if (rebates_ == policies::Rebate::none) return;
    const std::uint64_t limit = a.donated + a.quota + a.seized;
    const std::uint64_t beyond = a.pinned > limit ? a.pinned - limit : 0;
    if (rebates_ == policies::Rebate::unsecured) {
        a.owed = beyond > allowance(a) ? beyond - allowance(a) : 0;
        return;
    }
    const std::uint64_t saved = a.rebate / rebate_unit;
    if (beyond > saved) {
        assert(beyond <= a.collateral && "it was never allowed more than that");
        a.collateral -= beyond - saved;
        a.seized += beyond - saved;
    }
}

void Ledger::add_rebate(AccountId id, std::int64_t change) {
    Account& a = accounts_[id];
    assert(a.open && (change >= 0 || static_cast<std::uint64_t>(-change) <= a.rebate));
    a.rebate += static_cast<std::uint64_t>(change);
    settle(a);
    check(id);
}

void Ledger::set_collateral(AccountId id, std::uint64_t pages) {
    assert(accounts_[id].pinned <= accounts_[id].donated + accounts_[id].quota &&
           "before any of it is used");
    accounts_[id].collateral = pages;
}

void Ledger::discharge_orphaned(DomainId domain, std::uint64_t pages) {
    if (pages == 0) return;
    const auto found = orphaned_of_.find(domain);
    assert(found != orphaned_of_.end() && pages <= found->second && pages <= orphaned_);
    orphaned_ -= pages;
    found->second -= pages;
    if (found->second == 0) orphaned_of_.erase(found);
}

bool Ledger::set_donated(AccountId id, std::uint64_t pages) {
    Account& a = accounts_[id];
    if (pages < a.donated && pages + a.quota + a.seized + allowance(a) < a.pinned) return false;
    total_donated_ = total_donated_ - a.donated + pages;
    a.donated = pages;
    settle(a);
    check(id);
    return true;
}

void Ledger::check_all() const {
    std::uint64_t pinned = 0, donated = 0;
    for (AccountId id = 0; id < accounts_.size(); ++id) {
        if (!accounts_[id].open) continue;
        check(id);
        pinned += accounts_[id].pinned;
        donated += accounts_[id].donated;
    }
    assert(pinned == total_pinned_ && donated == total_donated_);
    static_cast<void>(pinned);
    static_cast<void>(donated);
}

}  // namespace xenfs::pages
