#pragma once
// Performs recorded operations on one guest's file system; for this folder's own source files.
//
// Names are looked up as a process with its working directory at hand does: one look-up in a
// directory whose node is known. A directory's node is found by walking once, and forgotten when
// directories are moved or removed.

#include <functional>
#include <unordered_map>
#include <vector>

#include "workloads/kbuild/kbuild.h"

namespace xenfs::workloads {

class Replayer {
  public:
    Replayer(const BuildPlan& plan, files::FileSystem& fs, host::Clock& clock,
             const BuildOptions& options, BuildReport& report);

    /// What a task of the guest brings along: calls yield, so nothing of one call may lie in the
    /// Replayer itself.
    struct Worker {
        Nanoseconds unflushed_ns = 0;  // charged since it last let time pass
        std::vector<Fingerprint> expected, got;
    };
    /// One operation of process p, and its share of p's CPU time.
    void perform(ProcessId p, const Op& op, Worker& worker);
    /// Lets charged time pass: before other tasks may see what was done.
    void settle(Worker& worker);
    /// Closes and unmaps what is left.
    void finish();

  private:
    // An open file as the file system knows it: shared by descriptors and mappings.
    struct Slot {
        files::Handle handle = 0;
        FileId file = kNone;
        std::uint32_t references = 0;
        bool writable = false;
    };
    struct Open {
        FileId file = kNone;
        PathId directory = kNone;  // instead of a file
        std::uint32_t slot = kNone;
        std::uint64_t position = 0;  // of a directory
    };
    struct MapKey {
        FileId file;
        std::uint32_t first, count;
        files::MapKind kind;
        bool operator==(const MapKey&) const = default;
    };
    struct MapKeyHash {
        std::size_t operator()(const MapKey& key) const;
    };
    // Processes of a guest that map the same pages share one mapping towards the file system, as
    // they share the guest's page cache; the faults of each are in its recorded CPU time.
    struct Mapping {
        std::uint32_t slot = kNone;  // of the open file that it is of; kNone: not mapped
        std::uint32_t users = 0;
        bool coming = false;  // one of the users is at it
    };
    struct ProcessState {
        std::vector<Open> opens;
        std::vector<MapKey> maps;
        std::uint32_t program = kNone;  // slot of the executable
        bool exited = false;
    };
    struct FileState {
        NodeId node = 0;
        VersionId version = kNone;  // whose pages it holds
        std::uint64_t size = 0;
        std::uint32_t writers = 0;  // opens for writing: content is on its way to the version's
        bool own_content = false;   // varied for this guest
    };

    // Names
    Result<NodeId> directory(PathId path);
    Result<NodeId> find(PathId path, bool follow);
    struct Place {
        NodeId parent = 0;
        const files::Name* name = nullptr;
    };
    Result<Place> place(PathId path);
    void forget_directories();
    void open(ProcessId p, const Op& op);
    void by_name(ProcessId p, const Op& op);
    void rename(const Op& op);
    void exec(ProcessId p, const Op& op);

    // Data
    void on_file(ProcessId p, const Op& op, Worker& worker);
    void read(ProcessId p, const Op& op, Worker& worker);
    void write(ProcessId p, const Op& op, Worker& worker);
    void map(ProcessId p, const Op& op, Worker& worker);
    void truncate(ProcessId p, const Op& op);
    void close(ProcessId p, const Op& op);
    void readdir(ProcessId p, const Op& op);
    void exit(ProcessId p);
    Fingerprint* contents_of(const Op& op, std::uint64_t first, std::uint64_t count,
                             Worker& worker);
    void verify(const Op& op, std::uint64_t first, std::uint64_t count, Worker& worker);
    void note_partial(FileId file, std::uint64_t page);

    Open* find_open(ProcessId p, FileId file, bool writable);
    std::uint32_t slot_for(ProcessId p, FileId file, bool writable);
    std::uint32_t new_slot(files::Handle handle, FileId file, bool writable);
    void drop_slot(std::uint32_t slot);
    void unmap_all(ProcessState& process);
    void release(ProcessState& process);

    void expect(const Op& op, int error);
    void ended(const Op& op, int error);
    void diverge(const Op& op, const std::string& how);
    void failed(int error, const std::function<std::string()>& what);
    std::string describe(const Op& op) const;

    const BuildPlan& plan_;
    const Capture& c_;
    files::FileSystem& fs_;
    host::Clock& clock_;
    const BuildOptions& options_;
    BuildReport& report_;
    std::vector<NodeId> directories_;                       // by path; 0: not known
    std::vector<std::unique_ptr<PreparedPath>> redirects_;  // by path, where a prefix is mapped
    bool any_redirect_ = false;
    std::vector<FileState> files_;
    std::vector<ProcessState> processes_;
    std::vector<Nanoseconds> ns_per_op_, first_op_extra_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::unordered_map<MapKey, Mapping, MapKeyHash> mappings_;
    std::unordered_map<FileId, std::vector<std::uint64_t>> partial_pages_;  // written in part
};

}  // namespace xenfs::workloads
