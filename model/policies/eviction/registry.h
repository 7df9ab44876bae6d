// The eviction policies by name.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "model/policies/eviction/policy.h"
#include "model/policies/registry.h"

namespace xenfs::policies {

using EvictionRegistry = Registry<EvictionPolicy, std::function<std::unique_ptr<EvictionPolicy>()>>;

/// The process's registry: the built-in policies, and those added since.
EvictionRegistry& eviction_policies();

/// Shorthand for eviction_policies().make(name). Throws UnknownPolicy.
std::unique_ptr<EvictionPolicy> make_eviction_policy(std::string_view name);

}  // namespace xenfs::policies
