#include "sim/scenario/value_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "sim/scenario/error.h"

namespace xenfs::sim {
namespace {

struct Unit {
    std::string_view name;
    ValueKind kind;
    std::int64_t factor;
};

// Largest first within a kind: print_value_text takes the first that divides.
constexpr std::array<Unit, 11> units = {{
    {"TiB", ValueKind::bytes, std::int64_t{1} << 40},
    {"GiB", ValueKind::bytes, std::int64_t{1} << 30},
    {"MiB", ValueKind::bytes, std::int64_t{1} << 20},
    {"KiB", ValueKind::bytes, std::int64_t{1} << 10},
    {"B", ValueKind::bytes, 1},
    {"pages", ValueKind::bytes, 4096},
    {"min", ValueKind::time, 60'000'000'000},
    {"s", ValueKind::time, 1'000'000'000},
    {"ms", ValueKind::time, 1'000'000},
    {"us", ValueKind::time, 1'000},
    {"ns", ValueKind::time, 1},
}};

std::string_view noun(ValueKind kind) {
    return kind == ValueKind::bytes ? "a size" : "a time";
}

std::string names_of(ValueKind kind) {
    std::string all;
    for (const Unit& unit : units) {
        if (unit.kind == kind) all += (all.empty() ? "" : ", ") + std::string(unit.name);
    }
    return all;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::int64_t parse_value_text(std::string_view text, ValueKind kind) {
    const std::string_view body = trimmed(text);
    double number = 0;
    const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), number);
    const std::string_view unit_name =
        trimmed(body.substr(static_cast<std::size_t>(end - body.data())));
    if (error != std::errc{}) {
        throw InputError(
            fmt::format("\"{}\" is no number with a unit (one of {})", text, names_of(kind)));
    }
    if (unit_name.empty() && number == 0) return 0;
    for (const Unit& unit : units) {
        if (unit.name != unit_name) continue;
        if (unit.kind != kind) {
            throw InputError(fmt::format("\"{}\" is {} where {} is wanted ({})", text,
                                         noun(unit.kind), noun(kind), names_of(kind)));
        }
        const double value = number * static_cast<double>(unit.factor);
        if (!(std::abs(value) < 9e18)) throw InputError(fmt::format("\"{}\" is too large", text));
        return std::llround(value);
    }
    throw InputError(fmt::format(
        "\"{}\" has {} (one of {})", text,
        unit_name.empty() ? std::string("no unit") : fmt::format("no known unit \"{}\"", unit_name),
        names_of(kind)));
}

std::string print_value_text(std::int64_t value, ValueKind kind) {
    for (const Unit& unit : units) {
        if (unit.kind != kind) continue;
        if (value % unit.factor == 0 && (value != 0 || unit.factor == 1)) {
            return fmt::format("{} {}", value / unit.factor, unit.name);
        }
    }
    return fmt::format("{}", value);
}

}  // namespace xenfs::sim
