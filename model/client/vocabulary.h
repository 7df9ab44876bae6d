#pragma once
// The client speaks of files in the words of the interface that it implements.
#include "model/files/file_system.h"

namespace xenfs::client {
using namespace files;
}
