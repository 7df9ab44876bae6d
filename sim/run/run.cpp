#include "sim/run/run.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <sstream>

#include "sim/machine/child.h"
#include "sim/run/collect.h"
#include "sim/run/guest_work.h"
#include "sim/run/setup.h"
#include "sim/scenario/error.h"
#include "workloads/capture/io.h"

namespace xenfs::sim {
namespace {

using Json = nlohmann::ordered_json;

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

// Simulated time and guests done, on a terminal, twice a second.
class ProgressLine {
  public:
    explicit ProgressLine(bool on) : on_(on) {}
    ~ProgressLine() {
        if (shown_) std::fprintf(stderr, "\r\033[K");
    }
    void show(Nanoseconds simulated, std::size_t done, std::size_t guests) {
        const auto now = std::chrono::steady_clock::now();
        if (!on_ || now - last_ < std::chrono::milliseconds(500)) return;
        last_ = now;
        shown_ = true;
        std::fprintf(stderr, "\r\033[Ksimulated %.1f s, %zu of %zu guests done, %.0f s so far",
                     static_cast<double>(simulated) / 1e9, done, guests,
                     std::chrono::duration<double>(now - start_).count());
        std::fflush(stderr);
    }

  private:
    bool on_, shown_ = false;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point last_ = start_;
};

RunTimes times_since(std::chrono::steady_clock::time_point start, const std::string& started) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    RunTimes times;
    times.started = started;
    times.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    times.cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    times.peak_memory_kib = usage.ru_maxrss;
    return times;
}

std::string iozone_report(const GuestWorks& works) {
    std::ostringstream out;
    for (const GuestWork& work : works.all()) {
        if (work.iozone) workloads::iozone::print(*work.iozone, out);
    }
    return out.str();
}

std::string encode(const RunOutput& output) {
    Json json;
    json["result"] = to_json(output.result);
    json["timeline"] = output.timeline;
    json["report"] = output.report;
    json["times"] = {output.times.wall_s, output.times.cpu_s, output.times.peak_memory_kib,
                     output.times.started};
    json["constants"] = Json::object();
    for (const auto& [name, constant] : output.constants) {
        json["constants"][name] = {constant.value, constant.low, constant.high};
    }
    const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
    return {bytes.begin(), bytes.end()};
}

RunOutput decode(const std::string& bytes) {
    const Json json = Json::from_cbor(bytes);
    RunOutput output;
    output.result = result_from_json(json.at("result"));
    output.timeline = json.at("timeline");
    output.report = json.at("report");
    const Json& times = json.at("times");
    output.times = {times.at(0), times.at(1), times.at(2), times.at(3)};
    for (const auto& [name, numbers] : json.at("constants").items()) {
        output.constants[name] = {numbers.at(0), numbers.at(1), numbers.at(2)};
    }
    return output;
}

}  // namespace

RunOutput run_here(const Scenario& scenario, const RunOptions& options) {
    const auto start = std::chrono::steady_clock::now();
    const std::string started = utc_now();
    Timeline timeline(static_cast<std::size_t>(scenario.timeline_events));
    Timeline* const wanted = options.timeline ? &timeline : nullptr;

    Setup setup(scenario, wanted);
    GuestWorks works(setup, wanted);
    Sampler sampler(setup, works, wanted);
    ProgressLine line(options.progress);
    setup.simulation.every(
        50'000'000, [&] { line.show(setup.simulation.now(), works.done(), setup.guests.size()); });
    MemoryCounts at_end;
    works.spawn([&] {
        at_end = setup.machine->memory();
        sampler.finish();
    });
    setup.simulation.run();

    RunOutput output;
    output.result.origin =
        origin_of(scenario, scenario.costs.model.empty() ? "default" : scenario.costs.model,
                  fmt::format("{:016x}", setup.costs.hash()));
    output.result.settings = settings_of(scenario);
    collect(setup, works, at_end, output.result);
    sampler.add_tables(output.result);
    sampler.add_sharing(output.result.metrics);
    output.report = iozone_report(works);
    if (options.timeline) output.timeline = timeline.text();
    output.times = times_since(start, started);
    output.constants = constants_read();
    return output;
}

RunOutput run_scenario(const Scenario& scenario, const RunOptions& options) {
    // The child says of which kind its failure is, since only text comes back from it.
    const std::string bytes = run_in_child([&]() -> std::string {
        try {
            return "=" + encode(run_here(scenario, options));
        } catch (const InputError& error) {
            return std::string("i") + error.what();
        } catch (const workloads::CaptureError& error) {
            return std::string("i") + error.what();
        } catch (const SimulationError& error) {
            return std::string("s") + error.what();
        }
    });
    if (bytes.starts_with('i')) throw InputError(bytes.substr(1));
    if (bytes.starts_with('s')) throw SimulationError(bytes.substr(1));
    return decode(bytes.substr(1));
}

}  // namespace xenfs::sim
