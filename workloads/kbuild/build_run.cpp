#include <algorithm>
#include <cmath>
#include <numeric>

#include "workloads/kbuild/schedule.h"

namespace xenfs::workloads {

std::uint64_t BuildReport::total_ops() const {
    return std::accumulate(ops.begin(), ops.end(), std::uint64_t{0});
}

std::vector<Nanoseconds> process_cpu_ns(const Capture& capture, const BuildOptions& options) {
    std::vector<Nanoseconds> out;
    out.reserve(capture.processes.size());
    for (const Process& p : capture.processes)
        out.push_back(std::llround((static_cast<double>(p.user_ns) +
                                    static_cast<double>(p.system_ns) * options.system_share) *
                                   options.cpu_scale));
    return out;
}

std::size_t jobs_in(const Capture& capture, double fraction) {
    const auto all = static_cast<double>(capture.jobs.size());
    return static_cast<std::size_t>(std::ceil(std::clamp(fraction, 0.0, 1.0) * all));
}

BuildReport run_build(const BuildPlan& plan, files::FileSystem& fs, host::Tasks& tasks,
                      host::Clock& clock, const BuildOptions& options) {
    BuildReport report;
    const Nanoseconds start = clock.now();
    Replayer replayer(plan, fs, clock, options, report);
    if (options.mode == ReplayMode::graph)
        run_graph(plan, replayer, tasks, options, report);
    else
        run_recorded(plan, replayer, tasks, options, report);
    replayer.finish();
    clock.flush();
    report.makespan_ns = clock.now() - start;
    return report;
}

}  // namespace xenfs::workloads
