#pragma once
// Extended attributes: passed through, bounded by a message.

#include "model/server/part.h"

namespace xenfs::server {

/// Keeps no state.
class Xattrs : public Part {
  public:
    explicit Xattrs(const Shared& shared) : Part(shared) {}

    int setxattr(Request& q) MAY_YIELD;
    int getxattr(Request& q) MAY_YIELD;
    int listxattr(Request& q) MAY_YIELD;
    int removexattr(Request& q) MAY_YIELD;
};

}  // namespace xenfs::server
