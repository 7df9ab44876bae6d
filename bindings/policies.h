// The core calls policies written in Python through these.
#pragma once

#include <pybind11/pybind11.h>

namespace xenfs::bindings {

/// add_policy(kind, name, class) has the registry of that kind make the core's policy of that name
/// from an object of the class (xenfs_lab/policies.py says what it must answer). It also prepares
/// forks: a run's child has an interpreter that can call back.
void add_policies(pybind11::module_& module);

}  // namespace xenfs::bindings
