#pragma once
// The peer of the benchmarks: libfuse's own passthrough example, compiled from where Debian's
// libfuse3-dev keeps its source (it is GPL, and no part of this repository), mounted over a
// directory.

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace xenfs::real::mount {

/// The example's ways of caching. Each has the timeout of names and attributes that it is best
/// with: for ever.
enum class PassthroughCache {
    never,  ///< direct I/O: each read goes to the process; the kernel keeps no page
    always  ///< the kernel keeps the pages of closed files too
};

class Passthrough {
  public:
    /// The program, compiled where it is not yet; empty, with `why` said, where it cannot be.
    static std::string program(std::string& why);

    /// Mounts `source`. Throws std::runtime_error where the mount does not come to stand.
    Passthrough(const std::string& program, const std::filesystem::path& source,
                PassthroughCache cache);
    Passthrough(const Passthrough&) = delete;
    Passthrough& operator=(const Passthrough&) = delete;
    ~Passthrough();

    const std::filesystem::path& place() const { return place_; }
    pid_t process() const { return process_; }

  private:
    std::filesystem::path place_;
    pid_t process_ = -1;
};

}  // namespace xenfs::real::mount
