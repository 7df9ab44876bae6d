#pragma once
#include "model/settings/error.h"

namespace xenfs::sim {

using settings::InputError;

}  // namespace xenfs::sim
