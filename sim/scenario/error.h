#pragma once
#include "sim/settings/error.h"

namespace xenfs::sim {

using settings::InputError;

}  // namespace xenfs::sim
