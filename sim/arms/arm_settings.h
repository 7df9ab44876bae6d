#pragma once
// [arm] of a scenario: which system serves the files, and the settings of each.

#include "sim/arms/nfs_arm.h"
#include "sim/arms/p9_arm.h"
#include "sim/arms/private_arm.h"
#include "sim/arms/virtiofs_arm.h"
#include "sim/arms/xenfs_arm.h"

namespace xenfs::sim {

/// An arm uses its own member only. ("cluster" has no settings.)
struct ArmSettings {
    std::string name = "xenfs";
    XenfsSettings xenfs;
    P9Settings p9;
    VirtiofsSettings virtiofs;
    NfsSettings nfs;
    PrivateSettings private_volumes;

    /// Pages for which dom0 has room besides its kernel's: the cache of the arm's server; with an
    /// arm that has none, as much as that of "xenfs".
    [[nodiscard]] std::size_t cache_pages() const;
};

/// Each arm's rows are for that arm only; a key may be there for several.
const settings::Table<ArmSettings>& arm_settings();

}  // namespace xenfs::sim
