// Values with units, as scenario files write them: "512 MiB", "5 s", "90 us".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/scenario/schema.h"

namespace xenfs::sim {

/// "512 MiB" as bytes, "5 s" as ns. Units: B, KiB, MiB, GiB, TiB, "pages" (4 KiB each); ns, us, ms,
/// s, min. Throws InputError with the reason alone ("\"5 s\" is a time where a size is wanted").
[[nodiscard]] std::int64_t parse_value_text(std::string_view text, ValueKind kind);

/// The shortest text that parse_value_text reads back to the same value.
[[nodiscard]] std::string print_value_text(std::int64_t value, ValueKind kind);

}  // namespace xenfs::sim
