// The keys of a scenario file: one table, from which the loader, the canonical text and the
// documentation are made, so that none of them can go stale.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/settings/setting.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

using Field = settings::Setting<Scenario>;

/// Keys are dotted ("arm.transfer"). A key of which several arms have a declaration of their own
/// stands there once for each.
[[nodiscard]] const settings::Table<Scenario>& schema();

/// [guests] and [guests.N], but for the number of guests.
[[nodiscard]] const settings::Table<GuestSpec>& guest_settings();

/// [workload].
[[nodiscard]] const settings::Table<WorkloadSpec>& workload_settings();

/// "arm.name" for arm.*, "workload.kind" for workload.*: the key that says which fields apply.
[[nodiscard]] std::string_view selector_of(std::string_view key);
[[nodiscard]] bool applies(const Field& field, const Scenario& scenario);
/// The field of a key: the one that applies to the scenario if there is one. Null: no such key.
[[nodiscard]] const Field* find_field(std::string_view key, const Scenario& scenario);
/// All arms or workloads that have the key; empty: it is not restricted.
[[nodiscard]] std::vector<std::string> users_of(std::string_view key);

/// Throws InputError where values that are allowed each do not go together.
void check(const Scenario& scenario);

/// "512 MiB", "5 s", "0.25", "map": as a file would say it.
[[nodiscard]] std::string print_value(const Field& field, const Scenario& scenario);

/// Every field that applies, one "key = value" a line in the schema's order, then guests that
/// differ and cost overrides: equal experiments have equal texts.
[[nodiscard]] std::string canonical_text(const Scenario& scenario);
/// XXH3-64 of canonical_text, 16 hexadecimal digits.
[[nodiscard]] std::string scenario_hash(const Scenario& scenario);

/// The schema as a Markdown table, as experiments/README.md holds it.
[[nodiscard]] std::string schema_markdown();

/// What may be chosen, by kind ("arms", "transfer", …), for the command line and the Python module.
[[nodiscard]] std::vector<std::pair<std::string, std::vector<std::string>>> choices();

}  // namespace xenfs::sim
