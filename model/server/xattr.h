#pragma once
// Extended attributes: passed through, bounded by a message.

#include "model/server/write_back.h"

namespace xenfs::server {

/// Keeps no state.
class Xattrs : public Part {
  public:
    Xattrs(const Shared& shared, WriteBack& write_back) : Part(shared), write_back_(write_back) {}

    int setxattr(Request& q) MAY_YIELD;
    int getxattr(Request& q) MAY_YIELD;
    int listxattr(Request& q) MAY_YIELD;
    int removexattr(Request& q) MAY_YIELD;

  private:
    WriteBack& write_back_;
};

}  // namespace xenfs::server
