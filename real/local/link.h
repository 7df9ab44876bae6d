#pragma once
#include <mutex>
#include <string>

#include "real/local/segment.h"
#include "real/local/wire.h"

namespace xenfs::real::local {

struct Reply {
    int error = 0;  ///< 0 or errno; ESRCH also where the broker is gone or has ended this domain
    Packet packet;
    Reader rest() const { return Reader(std::span(packet.bytes).subspan(sizeof(int))); }
};

/// A domain's connection to the broker. A call is a round trip; from any thread.
class Link {
  public:
    explicit Link(const std::string& path);  ///< LocalError
    Reply call(const Writer& request);
    int socket() const { return socket_.get(); }

  private:
    std::mutex mutex_;
    Descriptor socket_;
};

}  // namespace xenfs::real::local
