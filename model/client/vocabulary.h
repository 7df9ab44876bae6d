#pragma once
// The client uses the types of the interface that it implements (model/files) without
// qualification.
#include "model/files/file_system.h"

namespace xenfs::client {
using namespace files;
}
