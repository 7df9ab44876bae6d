#include "sim/scenario/load.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <sstream>

#include "model/settings/read.h"
#include "sim/scenario/costs.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

using settings::fail;

// One "key = value" of the file or of a --set ("--set KEY=VALUE" is where it stands).
struct Setting : settings::Entry {
    bool overriding = false;
};

template <class S>
void write(const settings::Setting<S>& row, const Setting& setting, const std::string& directory,
           S& into) {
    row.set(into, settings::read_value(row, *setting.node, setting.where,
                                       setting.overriding ? "." : directory));
}

// What may stand in a file besides the keys of the schema: constants, and single guests.
const std::vector<std::string> open_sections = {"costs.", "guests."};

std::vector<std::string> known_keys() {
    std::vector<std::string> keys = settings::keys_of(schema());
    keys.push_back("guests.N");
    return keys;
}

// The value of --set KEY=VALUE as a TOML node, kept alive in `store`.
Setting parse_override(const std::string& text, std::vector<toml::table>& store) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        fail("--set " + text, "KEY=VALUE is wanted, as in --set guests.count=4");
    }
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    const Field* field = schema().find(key);
    const bool list = field != nullptr && field->is_list;
    toml::table parsed;
    try {
        parsed = toml::parse("value = " + value);
    } catch (const toml::parse_error&) {
        parsed.clear();
    }
    const bool is_text =
        field != nullptr && !list &&
        (field->kind == settings::Kind::text || field->kind == settings::Kind::path);
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
    return {{key, store.back().get("value"), "--set " + text}, true};
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
        fail(setting.where,
             settings::type_name(*setting.node) + " where a number with its unit is wanted");
    }
    auto& changes = scenario.costs.overrides;
    const std::string constant = setting.key.substr(6);
    std::erase_if(changes, [&](const auto& other) { return other.constant == constant; });
    changes.push_back({constant, value, setting.where});
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
    const auto* row = guest_settings().find(setting.key.substr(dot + 1));
    if (row == nullptr) {
        fail(setting.where, "there is no such key; there are: " +
                                settings::join(settings::keys_of(guest_settings())));
    }
    write(*row, setting, directory, scenario.guests[index - 1]);
    return true;
}

void check_given(const Field& field, const std::vector<Setting>& all, const Scenario& scenario) {
    const bool given =
        std::any_of(all.begin(), all.end(), [&](const Setting& s) { return s.key == field.key; });
    if (field.is_required && !given && applies(field, scenario)) {
        fail(scenario.source, fmt::format("the key {} is missing: {}", field.key, field.sentence));
    }
}

void apply(Scenario& scenario, const std::vector<Setting>& all, const std::string& directory) {
    // Names first: which other keys mean something depends on them.
    std::map<std::string, const Setting*, std::less<>> selected;
    for (const char* selector : {"arm.name", "workload.kind", "guests.count"}) {
        for (const Setting& setting : all) {
            if (setting.key != selector) continue;
            write(schema()[selector], setting, directory, scenario);
            selected[selector] = &setting;
        }
    }
    std::vector<const Setting*> for_guests;
    check_given(schema()["workload.kind"], all, scenario);
    for (const Setting& setting : all) {
        // These have their last value. An earlier one would send what follows to another arm's row.
        if (selected.contains(setting.key)) continue;
        if (setting.key.starts_with("costs.") && setting.key != "costs.model") {
            set_cost(scenario, setting);
            continue;
        }
        const std::string selector(selector_of(setting.key));
        const auto chosen = selected.find(selector);
        // The file says this for an arm or workload that an override has replaced.
        const bool for_another =
            !setting.overriding && chosen != selected.end() && chosen->second->overriding;
        if (for_another && std::any_of(all.begin(), all.end(), [&](const Setting& other) {
                return other.overriding && other.key == setting.key;
            })) {
            continue;
        }
        const Field* field = find_field(setting.key, scenario);
        if (field == nullptr) {
            if (!setting.key.starts_with("guests.")) settings::fail_unknown(setting, known_keys());
            for_guests.push_back(&setting);
            continue;
        }
        if (!applies(*field, scenario)) {
            if (for_another) {
                // The host is as large whichever arm it has (ArmSettings::cache_pages).
                if (setting.key == "arm.cache") write(*field, setting, directory, scenario);
                continue;
            }
            fail(setting.where, fmt::format("it means nothing where {} is {}, only for: {}",
                                            selector, print_value(schema()[selector], scenario),
                                            settings::join(users_of(setting.key))));
        }
        write(*field, setting, directory, scenario);
    }
    scenario.guests.assign(static_cast<std::size_t>(scenario.guest_count), scenario.guest);
    for (const Setting* setting : for_guests) {
        if (!set_guest(scenario, *setting, directory)) {
            settings::fail_unknown(*setting, known_keys());
        }
    }
    for (const Field& field : schema()) check_given(field, all, scenario);
    std::sort(scenario.costs.overrides.begin(), scenario.costs.overrides.end(),
              [](const auto& a, const auto& b) { return a.constant < b.constant; });
    check(scenario);
    (void)cost_model_of(scenario);
}

}  // namespace

Scenario parse_scenario(const std::string& text, const std::string& name,
                        const std::string& directory, const std::vector<std::string>& overrides) {
    const toml::table document = settings::parse_toml(text, name);
    std::vector<Setting> all;
    for (const settings::Entry& entry :
         settings::entries_of(document, "", name, known_keys(), open_sections)) {
        all.push_back({entry, false});
    }
    std::vector<toml::table> store;
    store.reserve(overrides.size());
    for (const std::string& text_of_override : overrides) {
        all.push_back(parse_override(text_of_override, store));
    }
    Scenario scenario;
    scenario.source = name;
    apply(scenario, all, directory);
    return scenario;
}

Scenario load_scenario(const std::string& file, const std::vector<std::string>& overrides) {
    return parse_scenario(settings::read_text(file), file,
                          std::filesystem::path(file).parent_path().string(), overrides);
}

}  // namespace xenfs::sim
