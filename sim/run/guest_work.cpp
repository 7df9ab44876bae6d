#include "sim/run/guest_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "sim/run/fio_workload.h"
#include "sim/run/packets_workload.h"
#include "sim/run/pages_workload.h"
#include "sim/run/populate.h"
#include "sim/run/timeline_sources.h"
#include "sim/run/traced_file_system.h"
#include "sim/scenario/error.h"

namespace xenfs::sim {
namespace {

workloads::iozone::Options parse_iozone(const Setup& setup) {
    std::istringstream text(setup.scenario.workload.options);
    std::vector<std::string> words;
    for (std::string word; text >> word;) words.push_back(word);
    try {
        workloads::iozone::Options options = workloads::iozone::parse(words);
        options.copy_page_ns = setup.costs.time("memory.copy.warm");
        return options;
    } catch (const workloads::iozone::OptionError& error) {
        throw InputError(
            fmt::format("{}: workload.options: {}", setup.scenario.source, error.what()));
    }
}

}  // namespace

GuestWorks::GuestWorks(Setup& setup, Timeline* timeline)
    : setup_(setup), timeline_(timeline), works_(setup.guests.size()) {
    if (setup.scenario.workload.kind == "iozone") iozone_options_ = parse_iozone(setup);
}

bool GuestWorks::is_thief(std::size_t index) const {
    return static_cast<std::int64_t>(index) < setup_.scenario.workload.thieves;
}

void GuestWorks::spawn(std::function<void()> all_done) {
    all_done_ = std::move(all_done);
    for (std::size_t i = 0; i < works_.size(); ++i) {
        setup_.guests[i]->spawn("workload", [this, i] { run(i); });
    }
}

void GuestWorks::run(std::size_t index) {
    Domain& guest = *setup_.guests[index];
    GuestWork& work = works_[index];
    host::Clock& clock = guest.host().clock();
    const WorkloadSpec& spec = setup_.scenario.workload;

    if (!setup_.memories.empty()) {
        GuestMemory& memory = *setup_.memories[index];
        if (!memory.populate()) {
            setup_.simulation.fail(guest.name() + " has not the memory that [memory] says");
        }
        memory.start();
    }
    files::FileSystem* fs = &setup_.arm->attach(guest);
    std::unique_ptr<files::FileSystem> traced;
    if (timeline_ != nullptr) {
        traced = std::make_unique<TracedFileSystem>(*fs, clock, *timeline_, guest.name());
        fs = traced.get();
    }
    clock.flush();
    work.mounted_ns = clock.now();
    const Nanoseconds start =
        setup_.scenario.guests[index].start_ns + static_cast<Nanoseconds>(index) * spec.stagger_ns;
    if (start > clock.now()) clock.sleep(start - clock.now());
    work.start_ns = clock.now();
    if (spec.kind == "kbuild" || spec.kind == "capture-replay") {
        build(index, *fs);
    } else if (spec.kind == "iozone") {
        iozone(index, *fs);
    } else if (spec.kind == "pages") {
        work.pages = run_pages(*fs, clock, spec, [this] { return setup_.cpu_ns(); });
    } else if (spec.kind == "fio") {
        work.pages = run_fio(*fs, guest.host().tasks(), clock, spec, setup_.costs,
                             setup_.simulation.stream_seed(fmt::format("fio/{}", index)));
    } else if (spec.kind == "packets") {
        work.pages = run_packets(*setup_.dom0, guest, spec);
    } else if (spec.kind == "idle") {
        clock.sleep(spec.duration_ns);
    } else {
        steal(index, *fs);
    }
    clock.flush();
    work.end_ns = clock.now();
    work.done = true;
    if (timeline_ != nullptr) {
        timeline_->span(timeline_->row(guest.name(), "workload"), spec.kind, work.start_ns,
                        work.end_ns);
    }
    if (++done_ == works_.size()) all_done_();
}

void GuestWorks::build(std::size_t index, files::FileSystem& fs) {
    const WorkloadSpec& spec = setup_.scenario.workload;
    Domain& guest = *setup_.guests[index];
    workloads::BuildOptions options;
    options.mode = spec.kind == "capture-replay" || spec.order == "recorded"
                       ? workloads::ReplayMode::recorded
                       : workloads::ReplayMode::graph;
    options.jobs = static_cast<unsigned>(spec.jobs);
    options.fraction = spec.fraction;
    options.cpu_scale = spec.cpu_scale;
    options.text_touched = spec.text_touched;
    options.prefixes = prefix_map(setup_.private_prefixes, index + 1);
    options.variation = spec.variation;
    options.salt = setup_.simulation.stream_seed(fmt::format("build/{}", index));
    options.verify = spec.verify;
    if (timeline_ != nullptr) {
        const auto rows = std::make_shared<JobRows>(
            *timeline_, setup_.capture_of(index), options.mode, guest.name(), guest.host().clock());
        options.on_job = [rows](std::uint32_t id, bool starts) { (*rows)(id, starts); };
    }
    works_[index].build =
        workloads::run_build(setup_.captures[index % setup_.captures.size()]->plan, fs,
                             guest.host().tasks(), guest.host().clock(), options);
}

void GuestWorks::iozone(std::size_t index, files::FileSystem& fs) {
    Domain& guest = *setup_.guests[index];
    workloads::iozone::Options options = iozone_options_;
    options.content.salt = setup_.simulation.stream_seed(fmt::format("iozone/{}", index));
    if (works_.size() > 1 && options.files.empty()) {  // guests that share a tree
        for (unsigned p = 0; p < std::max(1u, options.max_processes); ++p) {
            options.files.push_back(fmt::format("/guest{}.iozone.{}", index + 1, p));
        }
    }
    works_[index].iozone =
        workloads::iozone::run(fs, guest.host().tasks(), guest.host().clock(), options);
}

void GuestWorks::steal(std::size_t index, files::FileSystem& fs) {
    const WorkloadSpec& spec = setup_.scenario.workload;
    GuestWork& work = works_[index];
    host::Clock& clock = setup_.guests[index]->host().clock();
    const Nanoseconds end = work.start_ns + spec.duration_ns;
    if (is_thief(index)) {
        run_thief(fs, clock, spec, index + 1, works_.size(), end, work.thief);
    } else {
        // Whatever takes as long as the disk's own latency has waited for it.
        const DiskParameters& disk = setup_.arm->disk().parameters();
        work.neighbour.slow_ns = std::max(disk.latency_ns, disk.seek_min_ns);
        const std::uint64_t seed = setup_.simulation.stream_seed(fmt::format("pages/{}", index));
        // A thief who shares their pages is left alone with them for the last quarter.
        const Nanoseconds until = spec.steal == "own" ? end : end - spec.duration_ns / 4;
        run_neighbour(fs, clock, spec, index + 1, seed, until, work.neighbour);
    }
}

}  // namespace xenfs::sim
