// Policies written in Python, as the core calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace xenfs::bindings {

/// add_policy(kind, name, class): from then on the registry of that kind makes the core's policy of
/// that name from an object of the class (see xenfs_lab/policies.py for what it must answer).
/// Also prepares forks: a run's child has an interpreter that can call back.
void add_policies(pybind11::module_& module);

}  // namespace xenfs::bindings
