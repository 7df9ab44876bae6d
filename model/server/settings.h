#pragma once
// The settings of a server and of a device that it serves: what a scenario's arm "xenfs" and
// xenfsd.toml may say of them.

#include "model/server/config.h"
#include "model/settings/setting.h"

namespace xenfs::server {

const settings::Table<Config>& server_settings();
const settings::Table<Attachment>& attachment_settings();

}  // namespace xenfs::server
