#pragma once
// The benchmarks compare with libfuse's own passthrough example, mounted over a directory. It is
// compiled from the source in Debian's libfuse3-dev (it is GPL, and no part of this repository).

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace xenfs::real::mount {

/// The example's ways of caching. Each has the timeout of names and attributes that suits it best:
/// for ever.
enum class PassthroughCache {
    never,  ///< direct I/O: each read goes to the process; the kernel keeps no page
    always  ///< the kernel keeps the pages of closed files too
};

class Passthrough {
  public:
    /// Returns the program, and compiles it where that was not done yet; empty, with the reason in
    /// `why`, where it cannot be.
    static std::string program(std::string& why);

    /// Mounts `source`. Throws std::runtime_error where the mount fails.
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
