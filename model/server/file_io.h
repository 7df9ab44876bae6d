#pragma once
// Tasks that hold slots of a file over a yield are counted here. Pages are dropped by name
// (truncate, unlink) only while nobody does.

#include <memory>

#include "model/host/tasks.h"
#include "model/server/inode_table.h"

namespace xenfs::server {

/// Invariant: Inode::io counts the tasks between begin() and end(); while a task drains a file or
/// cuts it, no other begins.
class FileIo {
  public:
    explicit FileIo(std::unique_ptr<host::Gate> gate) : gate_(std::move(gate)) {}

    void begin(Inode& inode) MAY_YIELD {
        while (inode.draining || inode.cutting) gate_->wait();
        ++inode.io;
    }
    /// Without waiting for who drains it: the caller may hold slots of this very file.
    void begin_at_once(Inode& inode) { ++inode.io; }
    void end(Inode& inode) {
        if (--inode.io == 0 && inode.draining) gate_->wake_all();
    }
    /// Waits until nobody holds slots of the file; the caller drops pages before it yields again.
    void drain(Inode& inode) MAY_YIELD {
        while (inode.io != 0) {
            inode.draining = true;  // another that drained the file may have ended that
            gate_->wait();
        }
        inode.draining = false;
        gate_->wake_all();
    }
    /// Waits until nobody cuts the file or writes it back.
    void wait_for_others(const Inode& inode) MAY_YIELD {
        while (inode.cutting || inode.writing) gate_->wait();
    }
    /// Keeps everybody else from the pages of a file until end_cut(), write-back too: while it is
    /// cut here and not yet in the storage, a page read from there would show what was cut off, and
    /// a page written there would be cut off with it.
    void begin_cut(Inode& inode) MAY_YIELD {
        wait_for_others(inode);
        inode.cutting = true;
        drain(inode);
    }
    void end_cut(Inode& inode) {
        inode.cutting = false;
        gate_->wake_all();
    }
    /// Until something changed about the I/O of any file.
    void wait() MAY_YIELD { gate_->wait(); }
    void wake() { gate_->wake_all(); }

  private:
    std::unique_ptr<host::Gate> gate_;
};

}  // namespace xenfs::server
