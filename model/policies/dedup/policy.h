// Which pages may share one frame.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "model/policies/registry.h"

namespace xenfs::policies {

/// Asked once a server, not once a page: the answers are constants of the policy.
class DedupPolicy {
  public:
    virtual ~DedupPolicy() = default;
    virtual std::string_view name() const = 0;
    /// All clients of a file share its frames. False: each has frames of its own, as if each had
    /// a cache of its own.
    virtual bool shares_by_name() const = 0;
    /// Pages of equal content share a frame, found when a page is filled or committed, within one
    /// trust group; the first write breaks the sharing (copy-on-write).
    virtual bool shares_by_content() const = 0;
};

using DedupRegistry = Registry<DedupPolicy, std::function<std::unique_ptr<DedupPolicy>()>>;

/// One policy for each file NAME.cpp here that defines make_dedup_NAME(), and those added later.
DedupRegistry& dedup_policies();

}  // namespace xenfs::policies
