#pragma once
// Every file here includes libfuse's low-level interface through this header, in one version.
#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>
