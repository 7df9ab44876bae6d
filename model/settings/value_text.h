// What the values of a file may be, and how sizes and times are written: "512 MiB", "5 s".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace xenfs::settings {

/// What a value measures; decides how it is written in the file.
enum class ValueKind : std::uint8_t {
    text,      ///< "…"
    path,      ///< "…", relative to the file (from a command line: to the working directory)
    boolean,   ///< true or false
    count,     ///< 3
    fraction,  ///< 0.25
    bytes,     ///< "512 MiB"
    time,      ///< "5 s"
};

/// Where the value is kept; the alternative follows from the kind and from being a list.
using Target = std::variant<std::string*, bool*, std::int64_t*, double*, std::vector<std::string>*,
                            std::vector<std::int64_t>*>;

struct ValueRule {
    ValueKind kind = ValueKind::text;
    std::vector<std::string> (*names)() = nullptr;  ///< the values that exist, where it is a choice
    double minimum = 0, maximum = 9e18;             ///< in bytes and ns for bytes and time
};

/// "512 MiB" as bytes, "5 s" as ns. Throws UnitError with the reason alone.
[[nodiscard]] std::int64_t parse_value_text(std::string_view text, ValueKind kind);

/// A text that parse_value_text reads back to the same value: the largest unit that divides it.
[[nodiscard]] std::string print_value_text(std::int64_t value, ValueKind kind);

[[nodiscard]] std::string join(const std::vector<std::string>& words,
                               std::string_view separator = ", ");

}  // namespace xenfs::settings
