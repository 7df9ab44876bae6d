// Results become Python objects: scalars are int, float and str, columns numpy arrays.
#pragma once

#include <pybind11/pybind11.h>

#include "sim/run/run.h"

namespace xenfs::bindings {

/// Returns a dict of origin, settings, metrics, guests, tables (name -> column -> array), timeline,
/// times.
[[nodiscard]] pybind11::dict to_python(const sim::RunOutput& output);

/// Returns an array of int64 or float64 where all values are such, otherwise of objects.
[[nodiscard]] pybind11::object column_array(const sim::Table& table, std::size_t column);

}  // namespace xenfs::bindings
