#include "bindings/arrays.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace xenfs::bindings {
namespace {

py::object scalar(const sim::Value& value) {
    return std::visit([](const auto& v) -> py::object { return py::cast(v); }, value);
}

py::dict scalars(const sim::Metrics& metrics) {
    py::dict out;
    for (const auto& [name, value] : metrics.all()) out[py::str(name)] = scalar(value);
    return out;
}

template <class T>
py::array_t<T> numbers(const sim::Table& table, std::size_t column) {
    py::array_t<T> out(static_cast<py::ssize_t>(table.rows.size()));
    auto data = out.template mutable_unchecked<1>();
    for (std::size_t i = 0; i < table.rows.size(); ++i) {
        data(static_cast<py::ssize_t>(i)) = std::visit(
            [](const auto& v) -> T {
                if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>) {
                    return static_cast<T>(v);
                } else {
                    return T{};  // never reached, since the caller has checked the types
                }
            },
            table.rows[i][column]);
    }
    return out;
}

}  // namespace

py::object column_array(const sim::Table& table, std::size_t column) {
    bool text = false, real = false;
    for (const auto& row : table.rows) {
        text |= std::holds_alternative<std::string>(row[column]);
        real |= std::holds_alternative<double>(row[column]);
    }
    if (!text) {
        if (real) return numbers<double>(table, column);
        return numbers<std::int64_t>(table, column);
    }
    py::list values;
    for (const auto& row : table.rows) values.append(scalar(row[column]));
    return py::module_::import("numpy").attr("array")(values, py::arg("dtype") = "object");
}

py::dict to_python(const sim::RunOutput& output) {
    const sim::RunResult& result = output.result;
    py::dict out;
    sim::RunResult only_origin;
    only_origin.origin = result.origin;
    out["origin"] =
        py::module_::import("json").attr("loads")(sim::to_json(only_origin)["origin"].dump());
    out["settings"] = scalars(result.settings);
    out["metrics"] = scalars(result.metrics);
    py::list guests;
    for (const sim::Metrics& guest : result.guests) guests.append(scalars(guest));
    out["guests"] = guests;
    py::dict tables;
    for (const sim::Table& table : result.tables) {
        py::dict columns;
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            columns[py::str(table.columns[i])] = column_array(table, i);
        }
        tables[py::str(table.name)] = columns;
    }
    out["tables"] = tables;
    out["json"] = sim::json_text(result);
    out["timeline"] = output.timeline;
    py::dict times;
    times["wall_s"] = output.times.wall_s;
    times["cpu_s"] = output.times.cpu_s;
    times["peak_memory_kib"] = output.times.peak_memory_kib;
    out["times"] = times;
    return out;
}

}  // namespace xenfs::bindings
