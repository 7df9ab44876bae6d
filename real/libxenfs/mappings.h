#pragma once
// What this process has mapped through a mount: pieces of address space, each of a region, which is
// what the mount keeps on loan for it.

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
    std::uint64_t offset = 0;  ///< in the file, bytes
    bool write = false;        ///< its pages are mapped for writing
    std::shared_ptr<Region> region;
};

/// Mapped bytes of a file that can be read without a system call.
struct Window {
    std::uint64_t begin = 0, end = 0;  ///< of the file, below its end when that was looked at
    const char* address = nullptr;
    const std::uint32_t* state = nullptr;
    std::uint32_t expected = 0;  ///< what *state is while nothing was lost
    std::shared_ptr<Session> session;
};

/// Readers take no lock: they count themselves, and whoever takes a window away waits for them.
class Windows {
  public:
    ~Windows();
    /// Bytes copied; 0 where [offset, + length) does not lie in a window that is good.
    std::size_t read(void* into, std::size_t length, std::uint64_t offset) const;
    // Under the library's lock
    void add(Window window);
    void remove(std::uintptr_t from, std::uintptr_t to);

  private:
    using Table = std::vector<Window>;
    void replace(std::unique_ptr<Table> table);
    std::atomic<const Table*> table_{nullptr};
    mutable std::atomic<std::uint32_t> readers_{0};
};

/// The process's one registry. -1, MAP_FAILED: errno and the sentence.
class Mappings {
  public:
    static Mappings& instance();

    /// Some of [at, + length) is ours. Cheap where nothing is mapped at all.
    bool touches(const void* at, std::size_t length);
    /// ENOTTY: the file lies on no xenfs mount. `windows`: gets the pages, if not null.
    void* map(int fd, void* hint, std::size_t length, int prot, bool fixed, std::int64_t offset,
              Windows* windows = nullptr);
    int unmap(void* at, std::size_t length);
    int protect(void* at, std::size_t length, int prot);
    int msync(void* at, std::size_t length, int flags);
    void* remap(void* at, std::size_t length, std::size_t wanted, int flags, void* target);
    /// Something else lies there now.
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
