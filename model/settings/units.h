#pragma once
// The one place that reads quantities with units: cost models, scenarios, command lines.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "model/host/types.h"

namespace xenfs::settings {

/// What a quantity measures. Each has one base unit, in which values are kept.
enum class Dimension : std::uint8_t {
    time,       ///< ns        ("ns", "us", "ms", "s", "min", "h")
    size,       ///< bytes     ("B", "KiB", "MiB", "GiB", "TiB", "kB", "MB", "GB", "page", "pages")
    bandwidth,  ///< bytes/s   (a size unit + "/s")
    rate,       ///< 1/s       ("/s", "1/s", "IOPS", "pages/s")
    power,      ///< W         ("W", "mW")
    energy,     ///< J         ("J", "mJ")
    time_per_byte,  ///< ns/B  ("ns/B")
    ratio,          ///< a share   ("", "%")
    count           ///< a number  ("", "count", "pages" is a size: say "count" for numbers)
};

struct Quantity {
    double value = 0;  ///< in the dimension's base unit
    Dimension dimension = Dimension::count;
};

/// A number or unit that does not read; what() is one sentence without file or key.
class UnitError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

const char* name(Dimension dimension);
const char* base_unit(Dimension dimension);

/// Factor from `unit` to the base unit of `dimension`; UnitError (with the units that fit) if none.
double unit_factor(std::string_view unit, Dimension dimension);
/// The dimension of a unit's name; UnitError if there is no such unit.
Dimension unit_dimension(std::string_view unit);

/// "0.5us", "3 ms", "150 MiB/s", "25%", "12": a number, optional spaces, a unit of `dimension`.
/// A bare number is accepted for ratio and count only (and for zero).
double parse_quantity(std::string_view text, Dimension dimension);
Nanoseconds parse_time(std::string_view text);    ///< rounded to whole ns; not negative
std::uint64_t parse_size(std::string_view text);  ///< bytes, "512MiB"; whole, not negative

/// Shortest exact-looking text in a fitting unit: 1500 ns is "1.5us", 536870912 B is "512MiB".
std::string format(double value, Dimension dimension);

}  // namespace xenfs::settings
