#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/types.h"

namespace xenfs::host {

/// xenstore: short text values by path. Paths are absolute
/// ("/local/domain/3/device/xenfs/0/state"). Errors are errno values as xenstored gives them
/// (ENOENT, EACCES, EINVAL).
class Store {
  public:
    virtual ~Store() = default;
    virtual Result<std::string> read(std::string_view path) = 0;
    virtual int write(std::string_view path, std::string_view value) = 0;  ///< 0 or errno
    virtual int remove(std::string_view path) = 0;  ///< with everything below it
    virtual Result<std::vector<std::string>> list(std::string_view path) = 0;
    /// Lets `reader` read the node and what is made below it.
    virtual int allow(std::string_view path, DomainId reader) = 0;
    /// Makes a node that `owner` may write, below its home, as a toolstack does for a device's
    /// frontend. It does nothing where a home belongs to its domain anyway.
    virtual int hand_over(std::string_view path, DomainId owner) {
        (void)path, (void)owner;
        return 0;
    }
    /// Calls `changed` (as an event handler, which must not block) at once and after each change at
    /// or below the path. Returns a token that ends the watch.
    virtual std::uint64_t watch(std::string_view path, std::function<void()> changed) = 0;
    virtual void unwatch(std::uint64_t token) = 0;
};

}  // namespace xenfs::host
