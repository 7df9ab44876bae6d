#pragma once
#include "settings/error.h"

namespace xenfs::sim {

using settings::InputError;

}  // namespace xenfs::sim
