// These give Python what exists (names, costs, units, captures) and the cache replay.
#pragma once

#include <pybind11/pybind11.h>

namespace xenfs::bindings {

void add_registry(pybind11::module_& module);
void add_replay(pybind11::module_& module);

}  // namespace xenfs::bindings
