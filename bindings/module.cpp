// xenfs_lab._core is the simulator for Python, as a thin layer; users see xenfs_lab/__init__.py.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/policies.h"
#include "bindings/registry.h"
#include "model/settings/units.h"
#include "sim/cli/commands.h"
#include "sim/costs/cost_model.h"
#include "sim/machine/child.h"
#include "sim/machine/simulation.h"
#include "sim/run/run.h"
#include "sim/scenario/load.h"
#include "sim/scenario/schema.h"
#include "workloads/capture/io.h"
#include "workloads/replay/trace.h"

namespace py = pybind11;
using namespace xenfs;

namespace {

py::dict run(const std::string& text, const std::string& name, const std::string& directory,
             const std::vector<std::string>& overrides, bool timeline) {
    sim::RunOutput output;
    {
        py::gil_scoped_release others_may_run;
        const sim::Scenario scenario = sim::parse_scenario(text, name, directory, overrides);
        output = sim::run_scenario(scenario, {.timeline = timeline, .progress = false});
    }
    return bindings::to_python(output);
}

std::string canonical(const std::string& text, const std::string& name,
                      const std::string& directory, const std::vector<std::string>& overrides) {
    return sim::canonical_text(sim::parse_scenario(text, name, directory, overrides));
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "The simulator, from Python. Use xenfs_lab instead.";
    static py::exception<sim::InputError> input_error(module, "InputError", PyExc_ValueError);
    static py::exception<sim::SimulationError> run_error(module, "RunError", PyExc_RuntimeError);
    // The translator is a pointer to a function, so its parameter's type is pybind11's.
    // NOLINTNEXTLINE(performance-unnecessary-value-param)
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const sim::InputError& error) {
            input_error(error.what());
        } catch (const sim::CostError& error) {
            input_error(error.what());
        } catch (const sim::UnitError& error) {
            input_error(error.what());
        } catch (const workloads::CaptureError& error) {
            input_error(error.what());
        } catch (const workloads::replay::TraceError& error) {
            input_error(error.what());
        } catch (const sim::SimulationError& error) {
            run_error(error.what());
        } catch (const sim::ChildError& error) {
            run_error(error.what());
        }
    });
    module.def("run", &run, py::arg("text"), py::arg("name"), py::arg("directory"),
               py::arg("overrides"), py::arg("timeline"));
    module.def("canonical", &canonical, py::arg("text"), py::arg("name"), py::arg("directory"),
               py::arg("overrides"));
    module.def(
        "cli",
        [](const std::vector<std::string>& words) {
            std::vector<const char*> arguments;
            arguments.reserve(words.size());
            for (const std::string& word : words) arguments.push_back(word.c_str());
            return sim::cli::run_cli(static_cast<int>(arguments.size()), arguments.data());
        },
        py::arg("words"));
    bindings::add_policies(module);
    bindings::add_registry(module);
    bindings::add_replay(module);
}
