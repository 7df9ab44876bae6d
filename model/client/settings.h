#pragma once
// The settings of a client: what a scenario's arm "xenfs" and the options of xenfs-mount may say.

#include "model/client/config.h"
#include "model/settings/setting.h"

namespace xenfs::client {

const settings::Table<ClientConfig>& client_settings();

}  // namespace xenfs::client
