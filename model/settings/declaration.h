// What is known of a setting besides where it is kept: its key, what it measures, which values it
// may have, and the sentence that help and documentation print.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace xenfs::settings {

/// What a value measures. The kind decides how the value is written.
enum class Kind : std::uint8_t {
    text,      ///< "…"
    path,      ///< "…", relative to the file (from a command line: to the working directory)
    flag,      ///< true or false
    count,     ///< 3
    fraction,  ///< 0.25
    size,      ///< "512 MiB"; the value is in bytes
    time       ///< "5 s"; the value is in ns
};

/// A value as it is read and printed, whatever the type of the member that keeps it.
using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                           std::vector<std::string>>;

/// Both bounds are allowed values. They are in bytes and ns for sizes and times.
struct Range {
    double least = 0, most = 9e18;
};

using Names = std::function<std::vector<std::string>()>;

struct Declaration {
    std::string key;
    Kind kind = Kind::text;
    std::string sentence;
    Range range;
    std::int64_t grain =
        1;        ///< sizes are rounded down to multiples of this; less than one is refused
    Names names;  ///< the values that exist, where the setting is a choice
    bool names_grow = false;  ///< the names come from a folder of files, so no page lists them
    bool is_list = false;
    bool may_be_empty = false;  ///< a list may be
    bool is_required = false;
    bool is_power_of_two = false;
    std::vector<std::string> only_for;  ///< the arms or workloads that have it; empty: all
};

[[nodiscard]] std::string join(const std::vector<std::string>& words,
                               std::string_view separator = ", ");

/// The value as a file would say it: `"512 MiB"`, `"map"`, `[1, 16]`.
[[nodiscard]] std::string print(const Declaration& setting, const Value& value);

/// `512 MiB`, `5 s`: the largest unit that divides the value. Only for sizes and times.
[[nodiscard]] std::string print_quantity(std::int64_t value, Kind kind);
/// The value of such a text. Throws UnitError with the reason alone.
[[nodiscard]] std::int64_t parse_quantity_text(std::string_view text, Kind kind);

/// `1 MiB to 8 TiB`; empty where the kind has no bounds.
[[nodiscard]] std::string print_range(const Declaration& setting);

/// Why the value is not allowed, without the key; empty where it is.
[[nodiscard]] std::string fault_of(const Declaration& setting, const Value& value);

/// The rows of a Markdown table: key, values, default, only for, meaning.
[[nodiscard]] std::string markdown_row(const Declaration& setting, const Value& fallback);
/// An entry of a manual page (roff).
[[nodiscard]] std::string manual_entry(const Declaration& setting, const Value& fallback);
/// Text in which roff finds no commands.
[[nodiscard]] std::string roff(std::string_view text);

}  // namespace xenfs::settings
