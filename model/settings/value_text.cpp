#include "model/settings/value_text.h"

#include <fmt/format.h>

#include <utility>

#include "model/settings/units.h"

namespace xenfs::settings {
namespace {

using Steps = std::initializer_list<std::pair<const char*, std::int64_t>>;

std::string in_largest_unit(std::int64_t value, Steps steps, const char* base) {
    for (const auto& [unit, factor] : steps) {
        if (value != 0 && value % factor == 0) return fmt::format("{} {}", value / factor, unit);
    }
    return fmt::format("{} {}", value, base);
}

}  // namespace

std::int64_t parse_value_text(std::string_view text, ValueKind kind) {
    return kind == ValueKind::bytes ? static_cast<std::int64_t>(parse_size(text))
                                    : parse_time(text);
}

std::string print_value_text(std::int64_t value, ValueKind kind) {
    if (kind == ValueKind::bytes) {
        return in_largest_unit(value,
                               {{"TiB", std::int64_t{1} << 40},
                                {"GiB", std::int64_t{1} << 30},
                                {"MiB", std::int64_t{1} << 20},
                                {"KiB", std::int64_t{1} << 10}},
                               "B");
    }
    return in_largest_unit(
        value, {{"min", 60'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1'000}},
        "ns");
}

std::string join(const std::vector<std::string>& names, std::string_view separator) {
    std::string all;
    for (const std::string& name : names) {
        if (!all.empty()) all += separator;
        all += name;
    }
    return all;
}

}  // namespace xenfs::settings
