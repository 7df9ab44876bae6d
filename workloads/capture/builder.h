// Makes captures: used by the tracer, by importers and by tests that need a synthetic one.
//
//     CaptureBuilder b;
//     FileId f = b.initial_file("/src/a.c", 0644, {fingerprint, …}, size_bytes);
//     ProcessId p = b.process(kNone, "/usr/bin/cc");
//     b.open(p, "/src/a.c", f, kOpenRead);  b.read(p, f, 0, 4096);  b.close(p, f);  b.exit(p, 0);
//     Capture c = b.finish();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

class CaptureBuilder {
  public:
    CaptureBuilder();

    // The id of an absolute, already normalised path; its parents are made as needed (as absent
    // until said otherwise).
    PathId path(std::string_view absolute);
    PathId child(PathId parent, std::string_view name);
    Path& at(PathId id) { return capture_.paths[id]; }
    [[nodiscard]] const Path& at(PathId id) const { return capture_.paths[id]; }

    PathId initial_directory(std::string_view absolute, std::uint32_t mode = 0755);
    PathId initial_symlink(std::string_view absolute, std::string_view target);
    FileId initial_file(std::string_view absolute, std::uint32_t mode,
                        std::vector<Fingerprint> pages, std::uint64_t size_bytes);
    FileId new_file(PathId path);  // made by the command; no version yet
    std::uint32_t add_version(FileId file, std::vector<Fingerprint> pages,
                              std::uint64_t size_bytes);  // ordinal
    File& file(FileId id) { return capture_.files[id]; }
    [[nodiscard]] std::uint32_t version_count(FileId id) const {
        return static_cast<std::uint32_t>(versions_[id].size());
    }

    // The pages of the version added last; none if there is none.
    [[nodiscard]] const std::vector<Fingerprint>& last_pages(FileId id) const {
        static const std::vector<Fingerprint> none;
        return versions_[id].empty() ? none : versions_[id].back().pages;
    }

    ProcessId process(ProcessId parent, PathId executable);
    Process& at_process(ProcessId id) { return capture_.processes[id]; }

    // Appends an operation to its process. For operations on files, op.target is the version's
    // ordinal within the file (0 = first); finish() turns it into a VersionId (the last one, if so
    // many versions never came to be).
    void op(ProcessId process, Op op);
    // Short forms for tests and importers; each ends up in op().
    void open(ProcessId process, std::string_view path, FileId file, std::uint8_t flags);
    void missing(ProcessId process, OpCode code, std::string_view path);  // a negative lookup
    void read(ProcessId process, FileId file, std::uint64_t offset, std::uint32_t length);
    void write(ProcessId process, FileId file, std::uint64_t offset, std::uint32_t length);
    void mmap(ProcessId process, FileId file, std::uint64_t offset, std::uint32_t length,
              std::uint8_t flags);
    void close(ProcessId process, FileId file);
    ProcessId fork(ProcessId parent);
    void exec(ProcessId process, std::string_view path, FileId file);
    void wait(ProcessId process, ProcessId child);
    void exit(ProcessId process, int status);

    // With exact order every operation stands where it was appended; without (as the tracer uses
    // it), see Capture::ops.
    void exact_order(bool on) { exact_order_ = on; }

    Capture& header() { return capture_; }  // command, machine, … to be filled in

    // Lays out versions and operations, infers the jobs (jobs.h) and hands the capture over.
    Capture finish();

  private:
    struct PendingVersion {
        std::uint64_t size_bytes;
        std::vector<Fingerprint> pages;
    };
    void flush();
    void flush(ProcessId process);

    Capture capture_;
    bool exact_order_ = true;
    std::unordered_map<std::string, PathId> children_;   // parent id in 4 bytes, then the name
    std::vector<std::vector<PendingVersion>> versions_;  // by file
    std::vector<std::vector<Op>> pending_;               // by process: not yet in the global order
    std::vector<ProcessId> dirty_;  // processes with pending operations, oldest first
};

}  // namespace xenfs::workloads
