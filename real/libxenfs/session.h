#pragma once
// A session is one connection to a guest's xenfs-mount. It also maps the pages that the mount names
// into this process.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "real/libxenfs/channel.h"

namespace xenfs::lib {

/// A range of pages and the places that the mount named for it.
struct Places {
    std::vector<std::uint64_t> at;
    std::uint32_t domain = channel::no_domain;  ///< granting domain; no_domain on a local host
    int file = -1;                              ///< descriptor of the local host's segment; owned
    ~Places();
    Places() = default;
    Places(const Places&) = delete;
    Places& operator=(const Places&) = delete;
};

/// All calls are made with the library's lock held. A failure returns -1 and sets errno and the
/// sentence.
class Session {
  public:
    /// `fd` is a file of the mount; the session keeps the mount from being unmounted.
    static std::shared_ptr<Session> connect(const char* address, int fd);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    int ask(channel::Kind kind, std::uint64_t region, std::uint64_t first, std::uint32_t count,
            std::uint32_t flags, std::uint64_t* value = nullptr, Places* places = nullptr);
    /// Returns the region's state word. A value that differs from an earlier one says that the
    /// region may have lost pages. Any thread may call this, without the lock.
    const std::uint32_t* state(std::uint32_t region) const { return states_ + region; }
    const std::string& address() const { return address_; }
    /// Returns whether the session was made by the process from which this one was forked. Such a
    /// session is kept for the mappings that both share, and no message is sent through it.
    bool foreign() const { return process_ != getpid_now(); }
    int anchor() const { return anchor_; }

  private:
    Session() = default;
    static int getpid_now();
    std::string address_;
    int socket_ = -1, anchor_ = -1, process_ = 0;
    const std::uint32_t* states_ = nullptr;
};

/// Maps the pages at [address, address + places), over whatever is mapped there. Returns 0 or -1.
int place_pages(void* address, const Places& places, bool write);

}  // namespace xenfs::lib
