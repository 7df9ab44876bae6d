// Results as Python objects: scalars as int, float and str, columns as numpy arrays.
#pragma once

#include <pybind11/pybind11.h>

#include "sim/run/run.h"

namespace xenfs::bindings {

/// A dict of origin, settings, metrics, guests, tables (name -> column -> array), timeline, times.
[[nodiscard]] pybind11::dict to_python(const sim::RunOutput& output);

/// int64 or float64 where all values are such, else an array of objects.
[[nodiscard]] pybind11::object column_array(const sim::Table& table, std::size_t column);

}  // namespace xenfs::bindings
