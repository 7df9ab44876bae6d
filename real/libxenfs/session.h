#pragma once
// One connection to a guest's xenfs-mount, and how pages that it names get into this process.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "real/libxenfs/channel.h"

namespace xenfs::lib {

/// Pages where the mount says they lie.
struct Places {
    std::vector<std::uint64_t> at;
    std::uint32_t domain = channel::no_domain;  ///< no_domain: a local host
    int file = -1;                              ///< local host: owned
    ~Places();
    Places() = default;
    Places(const Places&) = delete;
    Places& operator=(const Places&) = delete;
};

/// All calls under the library's lock. Failures: -1, errno and the sentence.
class Session {
  public:
    /// `fd`: a file of the mount, which is kept from being unmounted meanwhile.
    static std::shared_ptr<Session> connect(const char* address, int fd);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    int ask(channel::Kind kind, std::uint64_t region, std::uint64_t first, std::uint32_t count,
            std::uint32_t flags, std::uint64_t* value = nullptr, Places* places = nullptr);
    /// Another than before: the region may have lost pages. Any thread, without the lock.
    const std::uint32_t* state(std::uint32_t region) const { return states_ + region; }
    const std::string& address() const { return address_; }
    /// Made by a process that we were forked from: kept, for what it holds for both, but not
    /// spoken through.
    bool foreign() const { return process_ != getpid_now(); }
    int anchor() const { return anchor_; }

  private:
    Session() = default;
    static int getpid_now();
    std::string address_;
    int socket_ = -1, anchor_ = -1, process_ = 0;
    const std::uint32_t* states_ = nullptr;
};

/// Lets [address, + places) show the pages, whatever lay there before. 0 or -1.
int place_pages(void* address, const Places& places, bool write);

}  // namespace xenfs::lib
