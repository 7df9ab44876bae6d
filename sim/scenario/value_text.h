// Sizes and times as scenario files write them: "512 MiB", "5 s". Reading is sim/costs/units.h's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/scenario/schema.h"

namespace xenfs::sim {

/// "512 MiB" as bytes, "5 s" as ns. Throws UnitError with the reason alone.
[[nodiscard]] std::int64_t parse_value_text(std::string_view text, ValueKind kind);

/// A text that parse_value_text reads back to the same value: the largest unit that divides it.
[[nodiscard]] std::string print_value_text(std::int64_t value, ValueKind kind);

}  // namespace xenfs::sim
