#include "sim/scenario/quantity.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "sim/scenario/error.h"

namespace xenfs::sim {
namespace {

struct Unit {
    std::string_view name;
    Quantity quantity;
    std::int64_t factor;
};

// Largest first within a quantity: print_quantity takes the first that divides.
constexpr std::array<Unit, 11> units = {{
    {"TiB", Quantity::bytes, std::int64_t{1} << 40},
    {"GiB", Quantity::bytes, std::int64_t{1} << 30},
    {"MiB", Quantity::bytes, std::int64_t{1} << 20},
    {"KiB", Quantity::bytes, std::int64_t{1} << 10},
    {"B", Quantity::bytes, 1},
    {"pages", Quantity::bytes, 4096},
    {"min", Quantity::time, 60'000'000'000},
    {"s", Quantity::time, 1'000'000'000},
    {"ms", Quantity::time, 1'000'000},
    {"us", Quantity::time, 1'000},
    {"ns", Quantity::time, 1},
}};

std::string_view noun(Quantity quantity) {
    return quantity == Quantity::bytes ? "a size" : "a time";
}

std::string names_of(Quantity quantity) {
    std::string all;
    for (const Unit& unit : units) {
        if (unit.quantity == quantity) all += (all.empty() ? "" : ", ") + std::string(unit.name);
    }
    return all;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::int64_t parse_quantity(std::string_view text, Quantity quantity) {
    const std::string_view body = trimmed(text);
    double number = 0;
    const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), number);
    const std::string_view unit_name =
        trimmed(body.substr(static_cast<std::size_t>(end - body.data())));
    if (error != std::errc{}) {
        throw InputError(
            fmt::format("\"{}\" is no number with a unit (one of {})", text, names_of(quantity)));
    }
    if (unit_name.empty() && number == 0) return 0;
    for (const Unit& unit : units) {
        if (unit.name != unit_name) continue;
        if (unit.quantity != quantity) {
            throw InputError(fmt::format("\"{}\" is {} where {} is wanted ({})", text,
                                         noun(unit.quantity), noun(quantity), names_of(quantity)));
        }
        const double value = number * static_cast<double>(unit.factor);
        if (!(std::abs(value) < 9e18)) throw InputError(fmt::format("\"{}\" is too large", text));
        return std::llround(value);
    }
    throw InputError(fmt::format(
        "\"{}\" has {} (one of {})", text,
        unit_name.empty() ? std::string("no unit") : fmt::format("no known unit \"{}\"", unit_name),
        names_of(quantity)));
}

std::string print_quantity(std::int64_t value, Quantity quantity) {
    for (const Unit& unit : units) {
        if (unit.quantity != quantity) continue;
        if (value % unit.factor == 0 && (value != 0 || unit.factor == 1)) {
            return fmt::format("{} {}", value / unit.factor, unit.name);
        }
    }
    return fmt::format("{}", value);
}

}  // namespace xenfs::sim
