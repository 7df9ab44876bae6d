#pragma once
// Open files of a client's programs.

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "model/client/vocabulary.h"
#include "model/client/nodes.h"

namespace xenfs::client {

struct OpenFile {
    Node* node = nullptr;         ///< null: free
    std::uint64_t next_page = 0;  ///< where a sequential reader would go on
    std::uint32_t window = 0;     ///< read-ahead, in pages
    std::uint32_t generation = 0;
    bool read = false, write = false, append = false, synchronous = false;
    /// Owners that took locks through this handle, and whether flock(2): they go when it closes.
    std::vector<std::pair<std::uint64_t, bool>> lock_owners;
    /// What was done to locks through it, in order, as far as it has not been undone: for a
    /// successor of the server.
    std::vector<FileLock> locks;

    void remember(const FileLock& lock) {
        if (lock.start == 0 && lock.length == 0) {  // all that its owner had before is replaced
            std::erase_if(locks, [&](const FileLock& before) {
                return before.owner == lock.owner && before.whole_file == lock.whole_file;
            });
            if (lock.type == FileLock::Type::unlock) return;
        }
        locks.push_back(lock);
    }
};

/// Handles are an index and a generation, so that one used after its close is EBADF.
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
        file.next_page = 0;
        file.window = 0;
        file.read = flags.read;
        file.write = flags.write;
        file.append = flags.append;
        file.synchronous = flags.synchronous;
        file.lock_owners.clear();
        file.locks.clear();
        ++node.opens;
        return std::uint64_t{file.generation} << 32 | (i + 1);
    }
    /// Null where the handle is not open. The address stays until remove().
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
        --file.node->opens;
        file.node = nullptr;
        ++file.generation;
        free_.push_back(static_cast<std::uint32_t>(handle) - 1);
    }

  private:
    std::deque<OpenFile> files_;  ///< addresses stay
    std::vector<std::uint32_t> free_;
};

}  // namespace xenfs::client
