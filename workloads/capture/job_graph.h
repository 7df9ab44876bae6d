// Relations between jobs while their graph is being made; internal to jobs.cpp and kbuild_cmds.cpp.
#pragma once

#include <vector>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

class JobGraph {
  public:
    // Starts from the predecessors that the capture has.
    explicit JobGraph(Capture& capture);

    [[nodiscard]] bool is_ancestor(JobId above, JobId below) const;  // or equal
    // Whether `before` had ended (its leader had exited) when `job` was forked.
    [[nodiscard]] bool ended_before(JobId before, JobId job) const {
        return end_[before] < start_[job];
    }
    // Adds the edge if both are apart and `before` had ended when `job` started; else says no.
    bool add(JobId before, JobId job);
    // Puts the edges, sorted and each once, into the capture.
    void store();

  private:
    Capture& capture_;
    std::vector<std::uint32_t> start_, end_;  // global op indices: fork and exit of the leader
    std::vector<std::vector<JobId>> before_;
};

}  // namespace xenfs::workloads
