#include "sim/run/result.h"

#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

using Json = nlohmann::ordered_json;

Json value_json(const Value& value) {
    return std::visit([](const auto& v) { return Json(v); }, value);
}

Value value_of(const Json& json) {
    if (json.is_string()) return json.get<std::string>();
    if (json.is_number_float()) return json.get<double>();
    return json.get<std::int64_t>();
}

Json metrics_json(const Metrics& metrics) {
    Json out = Json::object();
    for (const auto& [name, value] : metrics.all()) out[name] = value_json(value);
    return out;
}

Metrics metrics_of(const Json& json) {
    Metrics out;
    for (const auto& [name, value] : json.items()) out.set(name, value_of(value));
    return out;
}

Json table_json(const Table& table) {
    Json columns = Json::object();
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        Json column = Json::array();
        for (const auto& row : table.rows) column.push_back(value_json(row[i]));
        columns[table.columns[i]] = std::move(column);
    }
    return columns;
}

Table table_of(const std::string& name, const Json& columns) {
    Table table;
    table.name = name;
    for (const auto& [column, values] : columns.items()) {
        table.columns.push_back(column);
        table.rows.resize(values.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            table.rows[i].push_back(value_of(values[i]));
    }
    return table;
}

}  // namespace

const Table* RunResult::table(std::string_view name) const {
    for (const Table& table : tables) {
        if (table.name == name) return &table;
    }
    return nullptr;
}

Json to_json(const RunResult& result) {
    Json out;
    const Origin& from = result.origin;
    out["origin"] = {{"simulator_version", from.simulator_version},
                     {"commit", from.commit},
                     {"dirty", from.dirty},
                     {"scenario_name", from.scenario_name},
                     {"scenario_hash", from.scenario_hash},
                     {"seed", from.seed},
                     {"cost_model", from.cost_model},
                     {"cost_model_hash", from.cost_model_hash},
                     {"simgrid_version", from.simgrid_version},
                     {"compiler", from.compiler}};
    out["settings"] = metrics_json(result.settings);
    out["metrics"] = metrics_json(result.metrics);
    out["guests"] = Json::array();
    for (const Metrics& guest : result.guests) out["guests"].push_back(metrics_json(guest));
    out["tables"] = Json::object();
    for (const Table& table : result.tables) out["tables"][table.name] = table_json(table);
    return out;
}

RunResult result_from_json(const Json& json) {
    RunResult result;
    const Json& from = json.at("origin");
    result.origin = {
        from.at("simulator_version"), from.at("commit"),          from.at("dirty"),
        from.at("scenario_name"),     from.at("scenario_hash"),   from.at("seed"),
        from.at("cost_model"),        from.at("cost_model_hash"), from.at("simgrid_version"),
        from.at("compiler")};
    result.settings = metrics_of(json.at("settings"));
    result.metrics = metrics_of(json.at("metrics"));
    for (const Json& guest : json.at("guests")) result.guests.push_back(metrics_of(guest));
    for (const auto& [name, columns] : json.at("tables").items()) {
        result.tables.push_back(table_of(name, columns));
    }
    return result;
}

std::string json_text(const RunResult& result) {
    return to_json(result).dump(1) + "\n";
}

Metrics settings_of(const Scenario& scenario) {
    Metrics out;
    for (const Field& field : schema()) {
        if (applies(field, scenario)) out.set(field.key, print_value(field, scenario));
    }
    return out;
}

Table as_row(const RunResult& result) {
    Table table{"run", {}, {{}}};
    const auto add = [&](const std::string& column, Value value) {
        table.columns.push_back(column);
        table.rows[0].push_back(std::move(value));
    };
    add("scenario", result.origin.scenario_name);
    add("seed", result.origin.seed);
    for (const auto& [key, value] : result.settings.all()) {
        if (key != "name" && key != "title" && key != "seed") add(key, value);
    }
    for (const auto& [name, value] : result.metrics.all()) add(name, value);
    return table;
}

}  // namespace xenfs::sim
