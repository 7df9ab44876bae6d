// One value of a TOML file against what is wanted of it. Whoever reads a file keeps a table of its
// keys; this is what such tables share, so that all files are read with the same strictness.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>

#include "model/settings/error.h"
#include "model/settings/value_text.h"

namespace xenfs::settings {

/// Throws InputError: "WHERE: REASON".
[[noreturn]] void fail(const std::string& where, const std::string& reason);

/// "FILE:LINE: KEY" of a key or node.
[[nodiscard]] std::string where(std::string_view file, const toml::source_region& source,
                                std::string_view key);

/// "text", "a whole number", …
[[nodiscard]] std::string type_name(const toml::node& node);

/// Writes the node's value through the target, or throws InputError with `where` before the reason.
/// Relative paths are taken from `directory`.
void read_value(const ValueRule& rule, const toml::node& node, const std::string& where,
                const std::string& directory, Target target);

/// Throws InputError with file and line. `name` stands for the file.
[[nodiscard]] toml::table parse_toml(std::string_view text, std::string_view name);
/// The whole file; InputError where it cannot be read.
[[nodiscard]] std::string read_text(const std::string& file);

}  // namespace xenfs::settings
