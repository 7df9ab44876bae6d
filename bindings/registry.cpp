#include "bindings/registry.h"

#include <pybind11/stl.h>

#include <map>
#include <string>
#include <vector>

#include "model/settings/units.h"
#include "sim/costs/cost_model.h"
#include "sim/scenario/schema.h"
#include "workloads/capture/io.h"
#include "workloads/capture/summary.h"

namespace py = pybind11;

namespace xenfs::bindings {
namespace {

std::map<std::string, std::vector<std::string>> names() {
    const auto all = sim::choices();
    return {all.begin(), all.end()};
}

py::dict costs() {
    py::dict out;
    for (const sim::Constant* constant : sim::CostModel::defaults().list()) {
        py::dict entry;
        entry["value"] = constant->value;
        entry["low"] = constant->low;
        entry["high"] = constant->high;
        entry["unit"] = sim::base_unit(constant->dimension);
        entry["known"] = constant->known;
        entry["source"] = constant->source;
        out[py::str(constant->name)] = entry;
    }
    return out;
}

std::string capture_info(const std::string& file) {
    py::gil_scoped_release others_may_run;
    return workloads::info_json(workloads::load_capture(file));
}

}  // namespace

void add_registry(py::module_& module) {
    module.def("names", &names);
    module.def("costs", &costs);
    module.def("schema_markdown", &sim::schema_markdown);
    module.def(
        "parse_time", [](const std::string& text) { return sim::parse_time(text); },
        py::arg("text"));
    module.def(
        "parse_size", [](const std::string& text) { return sim::parse_size(text); },
        py::arg("text"));
    module.def("capture_info", &capture_info, py::arg("file"));
}

}  // namespace xenfs::bindings
