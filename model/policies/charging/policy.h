// A charging policy decides who pays for a frame that several domains use.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "model/policies/registry.h"

namespace xenfs::policies {

/// An account that shares frames may hold more than its own credit. An account with an entry on
/// a frame that has n entries has saved 1 - 1/n of a page there; the sum is its rebate.
enum class Rebate : std::uint8_t {
    none,
    /// It may hold that much more than its credit. When others leave, the rebate shrinks; what the
    /// account then holds without having paid for it is owed, and it gets nothing more until it has
    /// given as much back.
    unsecured,
    /// It may hold as much of the rebate as it has listed pages of its own that may be taken at
    /// once (Satori's repayment FIFO). When others leave, those are taken, so that nothing is ever
    /// owed. The ledger only counts what is taken: no host here can take a page from a guest.
    secured
};

/// The ledger's invariant is pinned <= donated + quota under each policy; what differs is which
/// entries count as pinned.
/// - each: all of them, in full, for whoever holds them.
/// - first: the first on a frame; others on it are free, and so is who is left when it has gone.
/// - none: none, so nothing bounds what a domain holds.
/// - proportional: 1/n of each of a frame's n; what others' leaving adds is owed, not pinned.
/// - entitlement: as proportional, so far as it can be taken back at once, else as each. Simulated
///   only: on a real host nothing can be taken back, so it is as each.
class ChargingPolicy {
  public:
    virtual ~ChargingPolicy() = default;
    virtual std::string_view name() const = 0;
    /// Returns the pages charged to a domain that takes one more entry on a frame on which other
    /// domains and itself hold `entries` already. What was charged is given back when that entry
    /// ends, so the sum stays right whatever the answers are.
    virtual std::uint32_t charge(std::uint32_t entries) const = 0;
    /// Says what sharing credits. It may differ from `none` only where charge() is always 1.
    virtual Rebate rebate() const { return Rebate::none; }
};

using ChargingRegistry = Registry<ChargingPolicy, std::function<std::unique_ptr<ChargingPolicy>()>>;

/// There is one policy for each file NAME.cpp here that defines make_charging_NAME(), and those
/// added later.
ChargingRegistry& charging_policies();

}  // namespace xenfs::policies
