#include "sim/run/manifest.h"

#include <sys/utsname.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "sim/run/build_info.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

using Json = nlohmann::ordered_json;

std::string cpu_model() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    }
    return "unknown";
}

}  // namespace

Origin origin_of(const Scenario& scenario, const std::string& cost_model,
                 const std::string& cost_model_hash) {
    Origin origin;
    origin.simulator_version = build_info::version;
    origin.commit = "unknown";
    std::ifstream in(build_info::version_file);
    const Json version = Json::parse(in, nullptr, false);
    if (version.is_object()) {
        origin.commit = version.value("commit", "unknown");
        origin.dirty = version.value("dirty", false);
    }
    origin.scenario_name = scenario.name;
    origin.scenario_hash = scenario_hash(scenario);
    origin.seed = scenario.seed;
    origin.cost_model = cost_model;
    origin.cost_model_hash = cost_model_hash;
    origin.simgrid_version = build_info::simgrid_version;
    origin.compiler = build_info::compiler;
    return origin;
}

Json manifest_json(const Origin& origin, const RunTimes& times,
                   const std::map<std::string, ConstantRead>& constants) {
    RunResult only_origin;
    only_origin.origin = origin;
    Json out;
    out["origin"] = to_json(only_origin)["origin"];
    utsname system{};
    uname(&system);
    out["machine"] = {{"cpu", cpu_model()},
                      {"hardware_threads", std::thread::hardware_concurrency()},
                      {"kernel", std::string(system.sysname) + " " + system.release}};
    out["run"] = {{"started_utc", times.started},
                  {"wall_s", times.wall_s},
                  {"cpu_s", times.cpu_s},
                  {"peak_memory_kib", times.peak_memory_kib}};
    out["constants"] = Json::object();
    for (const auto& [name, constant] : constants) {
        out["constants"][name] = {
            {"value", constant.value}, {"low", constant.low}, {"high", constant.high}};
    }
    return out;
}

}  // namespace xenfs::sim
