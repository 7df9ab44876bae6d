#include "sim/scenario/load.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "sim/costs/units.h"
#include "sim/scenario/costs.h"
#include "sim/scenario/names.h"
#include "sim/scenario/schema.h"
#include "sim/scenario/value_text.h"

namespace xenfs::sim {
namespace {

// One "key = value" of the file or of a --set, with where it stands.
struct Setting {
    std::string key;
    const toml::node* node = nullptr;
    std::string where;  // "FILE:LINE: KEY" or "--set KEY=VALUE"
    bool overriding = false;
};

[[noreturn]] void fail(const std::string& where, const std::string& reason) {
    throw InputError(where + ": " + reason);
}

std::string type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::string:
            return "text";
        case toml::node_type::integer:
            return "a whole number";
        case toml::node_type::floating_point:
            return "a number";
        case toml::node_type::boolean:
            return "true or false";
        case toml::node_type::array:
            return "a list";
        case toml::node_type::table:
            return "a table";
        default:
            return "a date or time";
    }
}

// Writes one TOML value through a Target.
struct Writer {
    const Field& field;
    const Setting& setting;
    const std::string& directory;

    [[noreturn]] void wrong(const toml::node& node, const char* wanted) const {
        fail(setting.where, fmt::format("{} where {} is wanted", type_name(node), wanted));
    }

    void check_range(double value, const toml::node& node) const {
        if (value >= field.minimum && value <= field.maximum) return;
        const bool with_unit = field.kind == ValueKind::bytes || field.kind == ValueKind::time;
        const auto print = [&](double bound) {
            return with_unit ? print_value_text(std::llround(bound), field.kind)
                             : fmt::format("{}", bound);
        };
        std::ostringstream given;
        given << toml::default_formatter{node};
        fail(setting.where, fmt::format("{} is out of range: {} to {}", given.str(),
                                        print(field.minimum), print(field.maximum)));
    }

    std::int64_t number(const toml::node& node) const {
        std::int64_t value = 0;
        if (field.kind == ValueKind::count) {
            if (!node.is_integer()) wrong(node, "a whole number");
            value = node.as_integer()->get();
        } else if (const auto* text = node.as_string()) {
            try {
                value = parse_value_text(text->get(), field.kind);
            } catch (const UnitError& error) {
                fail(setting.where, error.what());
            }
        } else if (node.is_integer() && node.as_integer()->get() == 0) {
            value = 0;
        } else {
            wrong(node, field.kind == ValueKind::bytes ? "a size with its unit (\"512 MiB\")"
                                                       : "a time with its unit (\"5 s\")");
        }
        check_range(static_cast<double>(value), node);
        return value;
    }

    std::string text(const toml::node& node) const {
        if (!node.is_string()) wrong(node, "text");
        std::string value = node.as_string()->get();
        if (field.names) {
            const auto names = field.names();
            if (std::find(names.begin(), names.end(), value) == names.end()) {
                fail(setting.where,
                     fmt::format("there is no \"{}\"; there are: {}", value, join(names)));
            }
        }
        if (field.kind == ValueKind::path && !value.empty() && value.front() != '/') {
            const std::string base = setting.overriding ? "." : directory;
            value = std::filesystem::absolute(std::filesystem::path(base) / value)
                        .lexically_normal()
                        .string();
        }
        return value;
    }

    void operator()(std::string* out) const { *out = text(*setting.node); }
    void operator()(std::int64_t* out) const { *out = number(*setting.node); }
    void operator()(bool* out) const {
        if (!setting.node->is_boolean()) wrong(*setting.node, "true or false");
        *out = setting.node->as_boolean()->get();
    }
    void operator()(double* out) const {
        if (!setting.node->is_number()) wrong(*setting.node, "a number");
        *out = *setting.node->value<double>();
        check_range(*out, *setting.node);
    }
    template <class T>
    void operator()(std::vector<T>* out) const {
        out->clear();
        const auto one = [&](const toml::node& node) {
            if constexpr (std::is_same_v<T, std::string>) {
                out->push_back(text(node));
            } else {
                out->push_back(number(node));
            }
        };
        if (const auto* array = setting.node->as_array()) {
            for (const toml::node& node : *array) one(node);
        } else {
            one(*setting.node);
        }
    }
};

void collect(const toml::table& table, const std::string& prefix, const std::string& file,
             std::vector<Setting>& out) {
    for (const auto& [key, node] : table) {
        const std::string name = prefix + std::string(key.str());
        const toml::table* inner = node.as_table();
        if (inner != nullptr) {
            const bool section = keys_of_section(name).size() > 0 || prefix == "guests.";
            if (!section && !name.starts_with("costs.")) {
                const std::string where =
                    fmt::format("{}:{}: {}", file, key.source().begin.line, name);
                fail(where,
                     fmt::format("there is no such section; there are: host, guests, memory, "
                                 "sharing, arm, costs, workload, sample"));
            }
            collect(*inner, name + ".", file, out);
        } else {
            out.push_back({name, &node,
                           fmt::format("{}:{}: {}", file, key.source().begin.line, name), false});
        }
    }
}

// The value of --set KEY=VALUE as a TOML node, kept alive in `store`.
Setting parse_override(const std::string& text, std::vector<toml::table>& store) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        fail("--set " + text, "KEY=VALUE is wanted, as in --set guests.count=4");
    }
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    const Field* field = find_field(key);
    Scenario scratch;
    const bool list = field != nullptr &&
                      (std::holds_alternative<std::vector<std::string>*>(field->at(scratch)) ||
                       std::holds_alternative<std::vector<std::int64_t>*>(field->at(scratch)));
    toml::table parsed;
    try {
        parsed = toml::parse("value = " + value);
    } catch (const toml::parse_error&) {
        parsed.clear();
    }
    const bool is_text = field != nullptr && !list &&
                         (field->kind == ValueKind::text || field->kind == ValueKind::path);
    if (list && (parsed.size() != 1 || !parsed.contains("value") || !parsed["value"].is_array())) {
        toml::array items;
        std::stringstream parts(value);
        for (std::string part; std::getline(parts, part, ',');) {
            std::int64_t number = 0;
            const auto [end, error] =
                std::from_chars(part.data(), part.data() + part.size(), number);
            if (error == std::errc{} && end == part.data() + part.size()) {
                items.push_back(number);
            } else {
                items.push_back(part);
            }
        }
        parsed = toml::table{{"value", std::move(items)}};
    } else if (parsed.size() != 1 || !parsed.contains("value") ||
               (is_text && !parsed["value"].is_string())) {
        parsed = toml::table{{"value", value}};
    }
    store.push_back(std::move(parsed));
    return {key, store.back().get("value"), "--set " + text, true};
}

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void set_cost(Scenario& scenario, const Setting& setting) {
    std::string value;
    if (const auto* text = setting.node->as_string()) {
        value = text->get();
    } else if (setting.node->is_number()) {
        std::ostringstream out;
        out << toml::default_formatter{*setting.node};
        value = out.str();
    } else {
        fail(setting.where, type_name(*setting.node) + " where a number with its unit is wanted");
    }
    auto& all = scenario.costs.overrides;
    const std::string constant = setting.key.substr(6);
    std::erase_if(all, [&](const CostSpec::Override& other) { return other.constant == constant; });
    all.push_back({constant, value, setting.where});
}

// "guests.3.memory": the part of one guest. True if it was such a key.
bool set_guest(Scenario& scenario, const Setting& setting, const std::string& directory) {
    const auto dot = setting.key.find('.', 7);
    const std::string number = setting.key.substr(7, dot - 7);
    if (dot == std::string::npos || !all_digits(number)) return false;
    const unsigned long index = number.size() > 4 ? 9999 : std::stoul(number);
    if (index < 1 || index > scenario.guests.size()) {
        fail(setting.where, fmt::format("there is no guest {}; guests.count is {}", number,
                                        scenario.guests.size()));
    }
    const std::string key = "guests." + setting.key.substr(dot + 1);
    const Field* field = find_field(key);
    if (field == nullptr || key == "guests.count") {
        fail(setting.where, "there is no such key; there are: vcpus, memory, start, trust_group");
    }
    Scenario scratch;
    scratch.guest = scenario.guests[index - 1];
    std::visit(Writer{*field, setting, directory}, field->at(scratch));
    scenario.guests[index - 1] = scratch.guest;
    return true;
}

[[noreturn]] void unknown_key(const Setting& setting) {
    const auto dot = setting.key.rfind('.');
    const std::string section = dot == std::string::npos ? "" : setting.key.substr(0, dot);
    const std::string known = keys_of_section(section);
    if (known.empty()) {
        fail(setting.where,
             "there is no such section; there are: host, guests, memory, sharing, arm, costs, "
             "workload, sample");
    }
    fail(setting.where, "there is no such key; there are: " + known);
}

void check_given(const Field& field, const std::vector<Setting>& settings,
                 const Scenario& scenario) {
    const bool given = std::any_of(settings.begin(), settings.end(),
                                   [&](const Setting& s) { return s.key == field.key; });
    if (field.required && !given && applies(field, scenario)) {
        fail(scenario.source, fmt::format("the key {} is missing ({})", field.key, field.doc));
    }
}

void apply(Scenario& scenario, std::vector<Setting>& settings, const std::string& directory) {
    // Names first: which other keys mean something depends on them.
    std::map<std::string, const Setting*, std::less<>> selected;
    for (const char* selector : {"arm.name", "workload.kind", "guests.count"}) {
        for (const Setting& setting : settings) {
            if (setting.key != selector) continue;
            const Field& field = *find_field(selector);
            std::visit(Writer{field, setting, directory}, field.at(scenario));
            selected[selector] = &setting;
        }
    }
    std::vector<const Setting*> for_guests;
    check_given(*find_field("workload.kind"), settings, scenario);
    for (const Setting& setting : settings) {
        if (setting.key.starts_with("costs.") && setting.key != "costs.model") {
            set_cost(scenario, setting);
            continue;
        }
        const Field* field = find_field(setting.key);
        if (field == nullptr) {
            if (!setting.key.starts_with("guests.")) unknown_key(setting);
            for_guests.push_back(&setting);
            continue;
        }
        if (!applies(*field, scenario)) {
            const std::string selector(selector_of(setting.key));
            const auto chosen = selected.find(selector);
            const bool overridden = chosen != selected.end() && chosen->second->overriding;
            if (overridden && !setting.overriding) continue;
            const std::vector<std::string> only(field->only_for.begin(), field->only_for.end());
            fail(setting.where,
                 fmt::format("it means nothing where {} is {}, only for: {}", selector,
                             print_value(*find_field(selector), scenario), join(only)));
        }
        std::visit(Writer{*field, setting, directory}, field->at(scenario));
    }
    scenario.guests.assign(static_cast<std::size_t>(scenario.guest_count), scenario.guest);
    for (const Setting* setting : for_guests) {
        if (!set_guest(scenario, *setting, directory)) unknown_key(*setting);
    }
    for (const Field& field : schema()) check_given(field, settings, scenario);
    std::sort(scenario.costs.overrides.begin(), scenario.costs.overrides.end(),
              [](const auto& a, const auto& b) { return a.constant < b.constant; });
    (void)cost_model_of(scenario);
}

}  // namespace

Scenario parse_scenario(const std::string& text, const std::string& name,
                        const std::string& directory, const std::vector<std::string>& overrides) {
    toml::table document;
    try {
        document = toml::parse(text, name);
    } catch (const toml::parse_error& error) {
        fail(fmt::format("{}:{}", name, error.source().begin.line),
             std::string(error.description()));
    }
    std::vector<Setting> settings;
    collect(document, "", name, settings);
    // By line, so that of several mistakes the first is named.
    std::stable_sort(settings.begin(), settings.end(), [](const Setting& a, const Setting& b) {
        return a.node->source().begin.line < b.node->source().begin.line;
    });
    std::vector<toml::table> store;
    store.reserve(overrides.size());
    for (const std::string& text_of_override : overrides) {
        settings.push_back(parse_override(text_of_override, store));
    }
    Scenario scenario;
    scenario.source = name;
    apply(scenario, settings, directory);
    return scenario;
}

Scenario load_scenario(const std::string& file, const std::vector<std::string>& overrides) {
    std::ifstream in(file, std::ios::binary);
    if (!in) fail(file, "cannot be read: " + std::string(std::strerror(errno)));
    std::stringstream text;
    text << in.rdbuf();
    if (!in) fail(file, "cannot be read: " + std::string(std::strerror(errno)));
    return parse_scenario(text.str(), file, std::filesystem::path(file).parent_path().string(),
                          overrides);
}

}  // namespace xenfs::sim
