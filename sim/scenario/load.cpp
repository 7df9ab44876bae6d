#include "sim/scenario/load.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <sstream>

#include "model/settings/toml_value.h"
#include "sim/scenario/costs.h"
#include "sim/scenario/names.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

// One "key = value" of the file or of a --set, with where it stands.
struct Setting {
    std::string key;
    const toml::node* node = nullptr;
    std::string where;  // "FILE:LINE: KEY" or "--set KEY=VALUE"
    bool overriding = false;
};

void write(const Field& field, const Setting& setting, const std::string& directory,
           Scenario& scenario) {
    read_value({field.kind, field.names, field.minimum, field.maximum}, *setting.node,
               setting.where, setting.overriding ? "." : directory, field.at(scenario));
}

void collect(const toml::table& table, const std::string& prefix, const std::string& file,
             std::vector<Setting>& out) {
    for (const auto& [key, node] : table) {
        const std::string name = prefix + std::string(key.str());
        const toml::table* inner = node.as_table();
        if (inner != nullptr) {
            const bool section = keys_of_section(name).size() > 0 || prefix == "guests.";
            if (!section && !name.starts_with("costs.")) {
                fail(where(file, key.source(), name),
                     "there is no such section; there are: host, guests, memory, sharing, arm, "
                     "costs, workload, sample");
            }
            collect(*inner, name + ".", file, out);
        } else {
            out.push_back({name, &node, where(file, key.source(), name), false});
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
    write(*field, setting, directory, scratch);
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
            write(field, setting, directory, scenario);
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
        write(*field, setting, directory, scenario);
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
    const toml::table document = parse_toml(text, name);
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
    return parse_scenario(read_text(file), file, std::filesystem::path(file).parent_path().string(),
                          overrides);
}

}  // namespace xenfs::sim
