#include "model/settings/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace xenfs::settings {
namespace {

struct Unit {
    std::string_view name;
    Dimension dimension;
    double factor;
};

constexpr double kib = 1024, mib = kib * 1024, gib = mib * 1024, tib = gib * 1024;

// The first unit of a dimension is its base unit; the order within a dimension is that of the
// error text.
constexpr Unit units[] = {
    {"ns", Dimension::time, 1},
    {"us", Dimension::time, 1e3},
    {"ms", Dimension::time, 1e6},
    {"s", Dimension::time, 1e9},
    {"min", Dimension::time, 60e9},
    {"h", Dimension::time, 3600e9},
    {"B", Dimension::size, 1},
    {"KiB", Dimension::size, kib},
    {"MiB", Dimension::size, mib},
    {"GiB", Dimension::size, gib},
    {"TiB", Dimension::size, tib},
    {"kB", Dimension::size, 1e3},
    {"MB", Dimension::size, 1e6},
    {"GB", Dimension::size, 1e9},
    {"page", Dimension::size, 4096},
    {"pages", Dimension::size, 4096},
    {"B/s", Dimension::bandwidth, 1},
    {"KiB/s", Dimension::bandwidth, kib},
    {"MiB/s", Dimension::bandwidth, mib},
    {"GiB/s", Dimension::bandwidth, gib},
    {"kB/s", Dimension::bandwidth, 1e3},
    {"MB/s", Dimension::bandwidth, 1e6},
    {"GB/s", Dimension::bandwidth, 1e9},
    {"/s", Dimension::rate, 1},
    {"1/s", Dimension::rate, 1},
    {"IOPS", Dimension::rate, 1},
    {"pages/s", Dimension::rate, 1},
    {"W", Dimension::power, 1},
    {"mW", Dimension::power, 1e-3},
    {"J", Dimension::energy, 1},
    {"mJ", Dimension::energy, 1e-3},
    {"ns/B", Dimension::time_per_byte, 1},
    {"", Dimension::ratio, 1},
    {"ratio", Dimension::ratio, 1},
    {"%", Dimension::ratio, 0.01},
    {"", Dimension::count, 1},
    {"count", Dimension::count, 1},
    {"k", Dimension::count, 1e3},
    {"M", Dimension::count, 1e6},
};

std::string fitting(Dimension dimension) {
    std::string all;
    for (const Unit& unit : units) {
        if (unit.dimension != dimension || unit.name.empty()) continue;
        if (!all.empty()) all += ", ";
        all += unit.name;
    }
    return all;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

double whole(std::string_view text, Dimension dimension) {
    const double value = parse_quantity(text, dimension);
    if (value < 0) throw UnitError(fmt::format("'{}' is negative", text));
    if (value > 9.0e18) throw UnitError(fmt::format("'{}' is too large", text));
    return value;
}

}  // namespace

const char* name(Dimension dimension) {
    constexpr std::array names = {"time",   "size",          "bandwidth", "rate", "power",
                                  "energy", "time per byte", "ratio",     "count"};
    return names.at(static_cast<std::size_t>(dimension));
}

const char* base_unit(Dimension dimension) {
    constexpr std::array names = {"ns", "B", "B/s", "/s", "W", "J", "ns/B", "ratio", "count"};
    return names.at(static_cast<std::size_t>(dimension));
}

double unit_factor(std::string_view unit, Dimension dimension) {
    for (const Unit& known : units) {
        if (known.dimension == dimension && known.name == unit) return known.factor;
    }
    throw UnitError(fmt::format("'{}' is not a unit of {} (those are {})", unit, name(dimension),
                                fitting(dimension)));
}

Dimension unit_dimension(std::string_view unit) {
    if (!unit.empty()) {
        for (const Unit& known : units) {
            if (known.name == unit) return known.dimension;
        }
    }
    throw UnitError(fmt::format("there is no unit '{}'", unit));
}

double parse_quantity(std::string_view text, Dimension dimension) {
    const std::string_view all = trim(text);
    double number = 0;
    const char* const end = all.data() + all.size();
    const auto [rest, error] = std::from_chars(all.data(), end, number);
    if (error != std::errc{} || !std::isfinite(number)) {
        throw UnitError(fmt::format("'{}' does not start with a number", text));
    }
    const auto unit = trim({rest, static_cast<std::size_t>(end - rest)});
    if (unit.empty() && number == 0) return 0;
    if (unit.empty() && dimension != Dimension::ratio && dimension != Dimension::count) {
        throw UnitError(fmt::format("'{}' has no unit (a {} has one of {})", text, name(dimension),
                                    fitting(dimension)));
    }
    return number * unit_factor(unit, dimension);
}

Nanoseconds parse_time(std::string_view text) {
    return static_cast<Nanoseconds>(std::llround(whole(text, Dimension::time)));
}

std::uint64_t parse_size(std::string_view text) {
    const double bytes = whole(text, Dimension::size);
    if (bytes != std::floor(bytes)) {
        throw UnitError(fmt::format("'{}' is not a whole number of bytes", text));
    }
    return static_cast<std::uint64_t>(bytes);
}

std::string format(double value, Dimension dimension) {
    const auto scaled = [&](std::initializer_list<std::pair<const char*, double>> steps) {
        const char* unit = base_unit(dimension);
        double factor = 1;
        for (const auto& [candidate, size] : steps) {
            if (std::abs(value) >= size) {
                unit = candidate;
                factor = size;
            }
        }
        return fmt::format("{}{}", value / factor, unit);
    };
    switch (dimension) {
        case Dimension::time:
            return scaled({{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}});
        case Dimension::size:
            return scaled({{"KiB", kib}, {"MiB", mib}, {"GiB", gib}});
        case Dimension::bandwidth:
            return scaled({{"KiB/s", kib}, {"MiB/s", mib}, {"GiB/s", gib}});
        case Dimension::ratio:
        case Dimension::count:
            return fmt::format("{}", value);
        default:
            return fmt::format("{}{}", value, base_unit(dimension));
    }
}

}  // namespace xenfs::settings
