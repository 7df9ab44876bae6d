// Turns what traced processes do into a capture. tracer.cpp runs them and calls this at each stop.
#pragma once

#include <sys/resource.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "workloads/capture/builder.h"
#include "workloads/capture/tracer/names.h"
#include "workloads/capture/tracer/processes.h"

namespace xenfs::workloads {

class Recorder {
  public:
    // `root`: see Names; `directory`: the command's working directory as it sees it.
    Recorder(std::string root, const std::string& directory);

    std::shared_ptr<TracedThread> start(pid_t pid);  // the command, before its execve
    std::shared_ptr<TracedThread> forked(TracedThread& parent, pid_t tid);

    // A call's entry: its number and arguments are in thread.call. True if end_call() is to follow.
    bool begin_call(TracedThread& thread);
    void end_call(TracedThread& thread, std::int64_t result);
    void execed(TracedThread& thread);
    // A thread is about to end; its process's memory and descriptors are still there.
    void ending(TracedThread& thread, int wait_status);
    // A process's leader is gone.
    void gone(TracedProcess& process, int wait_status, const rusage& usage);

    void count_stop(const TracedThread& thread) { ++builder_.at_process(thread.process->id).stops; }
    CaptureBuilder& builder() { return builder_; }
    // Takes `stop_cost_ns` off the CPU times and hands the capture over.
    Capture finish(std::uint64_t stop_cost_ns);

  private:
    // recorder_names.cpp: calls that name files
    bool begin_name_call(TracedThread& thread);
    bool end_name_call(TracedThread& thread, std::int64_t result);
    bool name_argument(TracedThread& thread, int descriptor, std::uint64_t address, bool follow,
                       Resolved& out);
    void end_open(TracedThread& thread, std::int64_t result, std::uint64_t flags);
    void name_op(TracedThread& thread, OpCode code, std::int64_t result, const Resolved& name,
                 std::uint64_t offset = 0);
    // recorder_data.cpp: calls on descriptors
    bool begin_data_call(TracedThread& thread);
    void end_data_call(TracedThread& thread, std::int64_t result);
    void did_read(TracedThread& thread, OpenFile& file, std::uint64_t offset, std::int64_t result);
    void did_write(TracedThread& thread, OpenFile& file, std::uint64_t offset, std::int64_t result);
    void did_map(TracedThread& thread, OpenFile& file, std::int64_t result);
    void did_copy(TracedThread& thread, int in, std::uint64_t in_address, int out,
                  std::uint64_t out_address, std::int64_t result);
    void file_op(TracedThread& thread, OpCode code, const OpenFile& file, std::int64_t result,
                 std::uint64_t offset = 0, std::uint64_t length = 0);
    void close_descriptor(TracedProcess& process, int fd);
    void emit_mapping(ProcessId id, FileId file, std::uint64_t offset, std::uint64_t length,
                      std::uint8_t flags, std::uint16_t error);
    void finish_mapped(TracedProcess& process);
    void finish_process(TracedProcess& process, int wait_status);
    void waited(TracedThread& thread, pid_t pid);

    std::string root_;
    CaptureBuilder builder_;
    Names names_;
    std::unordered_map<pid_t, std::shared_ptr<TracedProcess>>
        by_pid_;  // the last that had the number
};

}  // namespace xenfs::workloads
