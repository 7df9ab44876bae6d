// What the guests do, and what comes of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/run/setup.h"
#include "sim/run/stealer_workload.h"
#include "sim/run/table.h"
#include "sim/run/timeline.h"
#include "workloads/iozone/iozone.h"
#include "workloads/kbuild/kbuild.h"

namespace xenfs::sim {

/// One guest's part of the run, filled in by its task.
struct GuestWork {
    Nanoseconds mounted_ns = 0;            ///< when its file system was there
    Nanoseconds start_ns = 0, end_ns = 0;  ///< of the workload
    bool done = false;
    std::optional<workloads::BuildReport> build;
    std::optional<workloads::iozone::Report> iozone;
    std::optional<Table> pages;  ///< of the micro-experiments: pages, fio, packets
    ThiefProgress thief;
    NeighbourProgress neighbour;
};

/// All guests. Outlives the run; the tasks write into it.
class GuestWorks {
  public:
    /// Checks what can be checked before (iozone's options): InputError.
    GuestWorks(Setup& setup, Timeline* timeline);

    /// Spawns a task in each guest. `done` is called when the last has ended, in its task.
    void spawn(std::function<void()> all_done);

    [[nodiscard]] const std::vector<GuestWork>& all() const { return works_; }
    [[nodiscard]] std::size_t done() const { return done_; }
    [[nodiscard]] bool is_thief(std::size_t index) const;

  private:
    void run(std::size_t index);
    void build(std::size_t index, files::FileSystem& fs);
    void iozone(std::size_t index, files::FileSystem& fs);
    void steal(std::size_t index, files::FileSystem& fs);

    Setup& setup_;
    Timeline* timeline_;
    workloads::iozone::Options iozone_options_;
    std::vector<GuestWork> works_;
    std::size_t done_ = 0;
    std::function<void()> all_done_;
};

}  // namespace xenfs::sim
