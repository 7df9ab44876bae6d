// Who pays for a frame that several domains use.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "model/policies/registry.h"

namespace xenfs::policies {

class ChargingPolicy {
  public:
    virtual ~ChargingPolicy() = default;
    virtual std::string_view name() const = 0;
    /// Pages charged to a domain that takes one more entry on a frame on which other domains and
    /// itself hold `entries` already. What was charged is given back when that entry ends, so the
    /// sum stays right whatever the answers are.
    virtual std::uint32_t charge(std::uint32_t entries) const = 0;
};

using ChargingRegistry = Registry<ChargingPolicy, std::function<std::unique_ptr<ChargingPolicy>()>>;

/// One policy for each file NAME.cpp here that defines make_charging_NAME(), and those added later.
ChargingRegistry& charging_policies();

}  // namespace xenfs::policies
