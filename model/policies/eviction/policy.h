// The interface of eviction policies, and the words of the cache that they use.
#pragma once

#include "model/cache/eviction_policy.h"

namespace xenfs::policies {

using cache::EvictionPolicy;
using cache::kNoSlot;
using cache::PageKey;
using cache::PageNode;
using cache::PageNodes;
using cache::Slot;

}  // namespace xenfs::policies
