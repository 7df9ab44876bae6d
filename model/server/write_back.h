#pragma once
// Write-back: dirty pages of the shared cache go to the storage when they are old, many, in the
// way, or asked for.

#include <deque>
#include <functional>

#include "model/server/file_io.h"
#include "model/server/part.h"

namespace xenfs::server {

/// Invariant: a file with dirty pages, or with a size that the storage does not have, is in the
/// queue or is being written; the queue is ordered by the time since when that is so. Entries whose
/// file was written meanwhile are out of date, and are passed over.
class WriteBack : public Part {
  public:
    struct Hooks {
        std::function<void()> cleaned;  ///< pages can be evicted that could not before
        std::function<bool()> wanted;   ///< somebody waits for frames
        /// Lets the file go if nobody can reach it but by chance; true: nothing is left to write.
        std::function<bool(Inode&)> let_go;
    };
    WriteBack(const Shared& shared, FileIo& io, Hooks hooks)
        : Part(shared), io_(io), hooks_(std::move(hooks)), gate_(host_.tasks().make_gate()) {}

    /// The file is to be written back in its turn.
    void list(Inode& inode, Inodes::Index index);
    /// The page has data that is newer than the storage's.
    void dirtied(Inode& inode, Inodes::Index index, cache::Slot slot);
    /// Writes the file's dirty pages, then size and times. Pages that a guest can write to at any
    /// time, or that were written to meanwhile, stay dirty. A file that died meanwhile is no error.
    int write(Inode& inode) MAY_YIELD;
    /// Writes its dirty pages of [first_page, end_page) alone.
    int write_range(Inode& inode, std::uint64_t first_page, std::uint64_t end_page) MAY_YIELD;
    /// Writes all that is dirty now, and waits for what other tasks are writing. Returns the first
    /// error; a file that fails holds up no other.
    int write_all() MAY_YIELD;
    /// The task.
    void run() MAY_YIELD;
    void wake() { gate_->wake_all(); }
    void wake_if_dirty() {
        if (cache_.dirty_count() != 0) gate_->wake_one();
    }
    /// Whether the storage has pages to write that it has not answered for.
    bool storing() const { return storing_ != 0; }

  private:
    struct Pass;
    struct Dirty {
        Inodes::Index inode;
        Nanoseconds since;  ///< the record's dirty_since, or the entry is out of date
    };

    bool too_dirty() const;
    int write_or_drop(Inode& inode) MAY_YIELD;
    void write_dirty(Inode& inode, Pass& pass) MAY_YIELD;
    void write_file(Inode& inode, std::uint32_t file, Pass& pass) MAY_YIELD;
    int write_run(Inode& inode, std::span<const cache::Slot> run, Pass& pass) MAY_YIELD;
    int write_size(Inode& inode) MAY_YIELD;

    FileIo& io_;
    Hooks hooks_;
    std::unique_ptr<host::Gate> gate_;
    std::deque<Dirty> queue_;          ///< oldest first
    std::uint64_t pages_cleaned_ = 0;  ///< counts
    std::uint32_t storing_ = 0;        ///< writes that the storage has not answered
};

}  // namespace xenfs::server
