// Reads a scenario: a TOML file, then overrides. Strict: whatever it does not know or cannot use
// is an InputError, one sentence with file, line and key (or with the --set that said it).
#pragma once

#include <string>
#include <vector>

#include "sim/scenario/error.h"
#include "sim/scenario/scenario.h"

namespace xenfs::sim {

/// `overrides` are "dotted.key=value" as --set takes them: the value as in TOML, quotes optional,
/// lists also with commas. An override of arm.name (workload.kind) drops what the file says for
/// other arms (workloads) only.
[[nodiscard]] Scenario load_scenario(const std::string& file,
                                     const std::vector<std::string>& overrides = {});
/// The same from text; `name` is what messages call it, paths are relative to `directory`.
[[nodiscard]] Scenario parse_scenario(const std::string& text, const std::string& name,
                                      const std::string& directory,
                                      const std::vector<std::string>& overrides = {});

}  // namespace xenfs::sim
