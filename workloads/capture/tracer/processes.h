// What the recorder knows of a traced process besides its place in the capture.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "workloads/capture/tracer/names.h"

namespace xenfs::workloads {

// An open file description: shared by all descriptors that were duplicated or inherited from one
// open().
struct OpenFile {
    PathId path = kNone;
    FileId file = kNone;  // kNone: a directory or something special
    bool writable = false;
    bool append = false;
    std::uint64_t position = 0;
    int descriptors = 0;
};

// A table of descriptors; clone(CLONE_FILES) shares one between processes.
class Descriptors {
  public:
    using Handle = std::shared_ptr<OpenFile>;
    [[nodiscard]] Handle find(int fd) const {
        return fd >= 0 && static_cast<std::size_t>(fd) < slots_.size()
                   ? slots_[static_cast<std::size_t>(fd)]
                   : nullptr;
    }
    // The slot must be empty (take() it first).
    void put(int fd, Handle file) {
        if (fd < 0 || !file) return;
        if (static_cast<std::size_t>(fd) >= slots_.size())
            slots_.resize(static_cast<std::size_t>(fd) + 1);
        ++file->descriptors;
        slots_[static_cast<std::size_t>(fd)] = std::move(file);
    }
    // Empties the slot; what was there now has one descriptor less.
    Handle take(int fd) {
        Handle file = find(fd);
        if (!file) return nullptr;
        --file->descriptors;
        slots_[static_cast<std::size_t>(fd)].reset();
        return file;
    }
    [[nodiscard]] std::shared_ptr<Descriptors> copy() const {
        auto other = std::make_shared<Descriptors>(*this);
        for (const Handle& h : other->slots_)
            if (h) ++h->descriptors;
        return other;
    }
    [[nodiscard]] int size() const { return static_cast<int>(slots_.size()); }

  private:
    std::vector<Handle> slots_;
};

struct TracedProcess {
    pid_t pid = 0;
    ProcessId id = 0;
    std::shared_ptr<Descriptors> descriptors;
    std::shared_ptr<PathId> directory;  // its working directory; clone(CLONE_FS) shares it
    std::set<FileId> shared_writable;   // files it has mapped so that it can change them
    int threads = 1;
    bool over = false;
    // From the tracer's own wait4, for the process and the children it has waited for.
    std::uint64_t user_us = 0, system_us = 0;
    std::uint64_t children_user_us = 0, children_system_us = 0;
};

// A system call between its entry and its end.
struct Call {
    long number = -1;
    std::uint64_t arguments[6] = {};
    Resolved first, second;           // names it was given
    bool existed = false;             // `first.reached` was there before
    std::uint64_t aux = 0, aux2 = 0;  // an offset or flags read from memory at the entry
    std::string text;                 // symlink(): its target
};

struct TracedThread {
    pid_t tid = 0;
    std::shared_ptr<TracedProcess> process;
    Call call;
    std::uint64_t clone_flags = 0;
};

}  // namespace xenfs::workloads
