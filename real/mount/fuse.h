#pragma once
// libfuse's low-level interface, of one version for all files here.
#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>
