#pragma once
// The registry records what this process has mapped through a mount. A piece is a range of address
// space; it belongs to a region, and a region is what the mount keeps on loan for this process.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "real/libxenfs/session.h"

namespace xenfs::lib {

struct Region {
    std::shared_ptr<Session> session;
    std::uint32_t number = 0;
    std::uint64_t ticket = 0;
    bool may_write = false;
    bool xen = false;
    ~Region();
};

struct Piece {
    std::size_t length = 0;
    std::uint64_t offset = 0;  ///< offset in the file, in bytes
    bool write = false;        ///< its pages are mapped for writing
    std::shared_ptr<Region> region;
};

/// A window is a mapped range of a file that can be read without a system call.
struct Window {
    /// range of the file in bytes, below the file's end when that was last checked
    std::uint64_t begin = 0, end = 0;
    const char* address = nullptr;
    const std::uint32_t* state = nullptr;
    std::uint32_t expected = 0;  ///< value of *state for as long as no page was lost
    std::shared_ptr<Session> session;
};

/// Readers take no lock. They count themselves, and whoever removes a window waits until the count
/// is 0.
class Windows {
  public:
    ~Windows();
    /// Returns the bytes copied; 0 where [offset, offset + length) does not lie in a valid window.
    std::size_t read(void* into, std::size_t length, std::uint64_t offset) const;
    // The members below are used with the library's lock held.
    void add(Window window);
    void remove(std::uintptr_t from, std::uintptr_t to);

  private:
    using Table = std::vector<Window>;
    void replace(std::unique_ptr<Table> table);
    std::atomic<const Table*> table_{nullptr};
    mutable std::atomic<std::uint32_t> readers_{0};
};

/// Returns the process's one registry. Failures are -1 or MAP_FAILED, with errno and the sentence
/// set.
class Mappings {
  public:
    static Mappings& instance();

    /// Returns whether any part of [at, at + length) belongs to the registry. It is cheap where
    /// nothing is mapped.
    bool touches(const void* at, std::size_t length);
    /// Maps the file. ENOTTY says that the file does not lie on a xenfs mount. `windows`, where not
    /// null, receives the pages.
    void* map(int fd, void* hint, std::size_t length, int prot, bool fixed, std::int64_t offset,
              Windows* windows = nullptr);
    int unmap(void* at, std::size_t length);
    int protect(void* at, std::size_t length, int prot);
    int msync(void* at, std::size_t length, int flags);
    void* remap(void* at, std::size_t length, std::size_t wanted, int flags, void* target);
    /// Forgets the range, because something else is mapped there now.
    void replaced(void* at, std::size_t length);
    void add(Windows* windows);
    void remove(Windows* windows);

  private:
    using Pieces = std::map<std::uintptr_t, Piece>;
    Mappings();
    std::shared_ptr<Region> region_of(int fd);
    int open(Region& region, const char* address, int fd);
    int adopt(Region& region);
    int fill(std::uintptr_t at, const Piece& piece);
    Pieces::iterator cut(std::uintptr_t at);
    void forget(std::uintptr_t from, std::uintptr_t to);
    void forked();

    std::mutex lock_;
    Pieces pieces_;
    std::atomic<std::size_t> count_{0};
    std::vector<std::weak_ptr<Session>> sessions_;
    std::vector<Windows*> windows_;
};

}  // namespace xenfs::lib
