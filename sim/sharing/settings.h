#pragma once
// What a scenario may say in [memory] and [sharing].

#include "model/settings/setting.h"
#include "sim/sharing/guest_memory.h"
#include "sim/sharing/host_sharing.h"

namespace xenfs::sim {

const settings::Table<GuestMemoryOptions>& memory_settings();
const settings::Table<HostSharing::Config>& sharing_settings();

}  // namespace xenfs::sim
