#pragma once
// The open files of a client's programs.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "model/client/nodes.h"
#include "model/client/vocabulary.h"

namespace xenfs::client {

/// How a handle is read, in order or not, for read-ahead. It counts pages of 4 KiB.
class ReadOrder {
  public:
    /// Returns how many pages to fetch beyond those wanted from `page` on: the number doubles, up
    /// to `largest`, while the file is read in order, and is at most `room`.
    std::uint32_t window(std::uint64_t page, std::uint32_t largest, std::uint64_t room) {
        if (largest == 0 || page != next_) {
            window_ = 0;
            return 0;
        }
        window_ = std::min(std::max(4u, 2 * window_), largest);
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(window_, room));
    }
    void expect(std::uint64_t page) { next_ = page; }  ///< sets where a sequential reader continues

  private:
    std::uint64_t next_ = 0;
    std::uint32_t window_ = 0;
};

/// The owners of locks that were taken through one handle, and that end with it.
class LockOwners {
  public:
    using Owner = std::pair<std::uint64_t, bool>;  ///< its number, and whether it is flock(2)'s

    /// Notes that the server has granted `lock`, or may have.
    void note(const FileLock& lock) {
        const Owner owner{lock.owner, lock.whole_file};
        if (lock.type == FileLock::Type::unlock) return;
        if (std::find(owners_.begin(), owners_.end(), owner) == owners_.end()) {
            owners_.push_back(owner);
        }
    }
    /// Takes out an owner, the last first. Returns false where none is left.
    bool take(Owner& owner) {
        if (owners_.empty()) return false;
        owner = owners_.back();
        owners_.pop_back();
        return true;
    }

  private:
    std::vector<Owner> owners_;
};

struct OpenFile {
    Node* node = nullptr;  ///< null where the record is free
    std::uint32_t generation = 0;
    bool read = false, write = false, append = false, synchronous = false;
    ReadOrder order;
    LockOwners lock_owners;
};

/// A handle is an index and a generation, so that one used after its close is EBADF. An open file
/// may be closed while its task yields: find() it again afterwards. Its node stays (NodeUse).
class HandleTable {
  public:
    Handle add(Node& node, const OpenFlags& flags) {
        std::uint32_t i;
        if (free_.empty()) {
            i = static_cast<std::uint32_t>(files_.size());
            files_.emplace_back();
        } else {
            i = free_.back();
            free_.pop_back();
        }
        OpenFile& file = files_[i];
        file.node = &node;
        file.order = {};
        file.lock_owners = {};
        file.read = flags.read;
        file.write = flags.write;
        file.append = flags.append;
        file.synchronous = flags.synchronous;
        ++node.handles;
        return std::uint64_t{file.generation} << 32 | (i + 1);
    }
    /// Returns null where the handle is not open.
    OpenFile* find(Handle handle) {
        const auto i = static_cast<std::uint32_t>(handle) - 1;
        if (i >= files_.size()) return nullptr;
        OpenFile& file = files_[i];
        const bool open = file.node != nullptr && file.generation == handle >> 32;
        return open ? &file : nullptr;
    }
    template <class Each>
    void for_each(Each&& each) {
        for (OpenFile& file : files_) {
            if (file.node != nullptr) each(file);
        }
    }
    void remove(Handle handle) {
        OpenFile& file = *find(handle);
        --file.node->handles;
        file.node = nullptr;
        ++file.generation;
        free_.push_back(static_cast<std::uint32_t>(handle) - 1);
    }

  private:
    std::deque<OpenFile> files_;  ///< a deque, so that addresses stay
    std::vector<std::uint32_t> free_;
};

}  // namespace xenfs::client
