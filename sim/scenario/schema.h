// The keys of a scenario file: one table, from which the loader, the canonical text and the
// documentation are made, so that none of them can go stale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/settings/value_text.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

using settings::Target;
using settings::ValueKind;

struct Field {
    const char* key;  ///< dotted: "arm.transfer"
    ValueKind kind;
    Target (*at)(Scenario&);
    const char* doc;                                ///< a sentence
    std::vector<std::string> (*names)() = nullptr;  ///< the values that exist, where it is a choice
    /// The arms or workloads for which it means something; empty: all.
    std::vector<std::string_view> only_for = {};
    double minimum = 0, maximum = 9e18;  ///< in bytes and ns for bytes and time
    bool required = false;
};

[[nodiscard]] const std::vector<Field>& schema();
[[nodiscard]] const Field* find_field(std::string_view key);

/// "arm.name" for arm.*, "workload.kind" for workload.*: the key that says which fields apply.
[[nodiscard]] std::string_view selector_of(std::string_view key);
[[nodiscard]] bool applies(const Field& field, const Scenario& scenario);

/// All known keys below a section, for messages ("cores, memory, …").
[[nodiscard]] std::string keys_of_section(std::string_view section);

/// "512 MiB", "5 s", "0.25", "map": as a file would say it.
[[nodiscard]] std::string print_value(const Field& field, const Scenario& scenario);

/// Every field that applies, one "key = value" a line in the schema's order, then guests that
/// differ and cost overrides: equal experiments have equal texts.
[[nodiscard]] std::string canonical_text(const Scenario& scenario);
/// XXH3-64 of canonical_text, 16 hexadecimal digits.
[[nodiscard]] std::string scenario_hash(const Scenario& scenario);

/// The schema as a Markdown table, as experiments/README.md holds it.
[[nodiscard]] std::string schema_markdown();

}  // namespace xenfs::sim
