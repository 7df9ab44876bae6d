#pragma once
#include <mutex>
#include <string>

#include "real/local/segment.h"
#include "real/local/wire.h"

namespace xenfs::real::local {

struct Reply {
    int error = 0;  ///< 0 or an errno; ESRCH also where the broker is gone or has ended the domain
    Packet packet;
    Reader rest() const { return Reader(std::span(packet.bytes).subspan(sizeof(int))); }
};

/// A domain's connection to the broker. A call is a round trip; any thread may make one.
class Link {
  public:
    explicit Link(const std::string& path);  ///< throws LocalError
    Reply call(const Writer& request);
    int socket() const { return socket_.get(); }

  private:
    std::mutex mutex_;
    Descriptor socket_;
};

}  // namespace xenfs::real::local
