// Values with units, as scenario files write them: "512 MiB", "5 s", "90 us".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/scenario/schema.h"

namespace xenfs::sim {

/// "512 MiB" as bytes, "5 s" as ns. Units: B, KiB, MiB, GiB, TiB, "pages" (4 KiB each); ns, us, ms,
/// s, min. Throws InputError with the reason alone ("\"5 s\" is a time where a size is wanted").
[[nodiscard]] std::int64_t parse_quantity(std::string_view text, Quantity quantity);

/// The shortest text that parse_quantity reads back to the same value.
[[nodiscard]] std::string print_quantity(std::int64_t value, Quantity quantity);

}  // namespace xenfs::sim
