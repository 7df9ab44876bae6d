#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "sim/scenario/schema.h"

namespace xenfs::sim {

std::string print_value(const Field& field, const Scenario& scenario) {
    return print(field, field.get(scenario));
}

std::string canonical_text(const Scenario& scenario) {
    std::string out;
    for (const Field& field : schema()) {
        if (applies(field, scenario)) {
            out += fmt::format("{} = {}\n", field.key, print_value(field, scenario));
        }
    }
    for (std::size_t i = 0; i < scenario.guests.size(); ++i) {
        if (scenario.guests[i] == scenario.guest) continue;
        std::string values;
        for (const auto& row : guest_settings()) {
            values += fmt::format("{}{} = {}", values.empty() ? "" : ", ", row.key,
                                  print(row, row.get(scenario.guests[i])));
        }
        out += fmt::format("guests.{} = {{{}}}\n", i + 1, values);
    }
    for (const CostSpec::Override& change : scenario.costs.overrides) {
        out += fmt::format("costs.{} = {}\n", change.constant,
                           print(settings::Declaration{}, settings::Value(change.value)));
    }
    return out;
}

std::string scenario_hash(const Scenario& scenario) {
    const std::string text = canonical_text(scenario);
    return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

std::string schema_markdown() {
    const Scenario defaults;
    std::vector<Field> fields;
    for (const Field& field : schema()) {
        // What several arms have in the same way is one line.
        const auto like = [&](const Field& other) {
            return other.key == field.key && other.sentence == field.sentence &&
                   print_value(other, defaults) == print_value(field, defaults);
        };
        const auto same = std::find_if(fields.begin(), fields.end(), like);
        if (same == fields.end()) {
            fields.push_back(field);
        } else {
            same->only_for.insert(same->only_for.end(), field.only_for.begin(),
                                  field.only_for.end());
        }
    }
    std::string out = "| key | value | default | only for | meaning |\n|---|---|---|---|---|\n";
    for (const Field& field : fields) out += markdown_row(field, field.get(defaults));
    return out;
}

}  // namespace xenfs::sim
