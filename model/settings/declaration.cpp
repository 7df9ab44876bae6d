#include "model/settings/declaration.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
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

bool is_quantity(Kind kind) {
    return kind == Kind::size || kind == Kind::time;
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

struct Printer {
    const Declaration& setting;
    std::string operator()(const std::string& value) const { return quoted(value); }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(double value) const { return fmt::format("{}", value); }
    std::string operator()(std::int64_t value) const {
        return is_quantity(setting.kind) ? quoted(print_quantity(value, setting.kind))
                                         : fmt::format("{}", value);
    }
    template <class T>
    std::string operator()(const std::vector<T>& values) const {
        std::string out = "[";
        for (const T& value : values) out += (out.size() > 1 ? ", " : "") + (*this)(value);
        return out + "]";
    }
};

struct Checker {
    const Declaration& setting;

    std::string outside(const std::string& value) const {
        return fmt::format("{} is out of range: {}", value, print_range(setting));
    }
    std::string operator()(const std::string& value) const {
        if (!setting.names) return {};
        const auto names = setting.names();
        if (std::find(names.begin(), names.end(), value) != names.end()) return {};
        return fmt::format("there is no \"{}\"; there are: {}", value, join(names));
    }
    std::string operator()(bool) const { return {}; }
    std::string operator()(double value) const {
        if (value >= setting.range.least && value <= setting.range.most) return {};
        return outside(fmt::format("{}", value));
    }
    std::string operator()(std::int64_t value) const {
        const auto number = static_cast<double>(value);
        if (number < setting.range.least || number > setting.range.most) {
            return outside(print(setting, value));
        }
        if (value > 0 && value < setting.grain) {
            return fmt::format("{} is less than {}", print(setting, value),
                               print_quantity(setting.grain, setting.kind));
        }
        if (setting.is_power_of_two && !std::has_single_bit(static_cast<std::uint64_t>(value))) {
            return fmt::format("{} is no power of two", value);
        }
        return {};
    }
    template <class T>
    std::string operator()(const std::vector<T>& values) const {
        if (values.empty() && !setting.may_be_empty) return "the list is empty";
        for (const T& value : values) {
            if (std::string fault = (*this)(value); !fault.empty()) return fault;
        }
        return {};
    }
};

std::string type_text(const Declaration& setting) {
    static constexpr const char* types[] = {"text",   "path", "true or false", "whole number",
                                            "number", "size", "time"};
    std::string type = types[static_cast<std::size_t>(setting.kind)];
    if (setting.names_grow) type = "one of `./lab sim list`";
    if (setting.names && !setting.names_grow) type = join(setting.names(), " \\| ");
    if (setting.is_list) type = "list of " + type;
    const std::string range = print_range(setting);
    return range.empty() ? type : type + ", " + range;
}

}  // namespace

std::string join(const std::vector<std::string>& words, std::string_view separator) {
    std::string all;
    for (const std::string& word : words) {
        if (!all.empty()) all += separator;
        all += word;
    }
    return all;
}

std::int64_t parse_quantity_text(std::string_view text, Kind kind) {
    return kind == Kind::size ? static_cast<std::int64_t>(parse_size(text)) : parse_time(text);
}

std::string print_quantity(std::int64_t value, Kind kind) {
    if (kind == Kind::size) {
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

std::string print(const Declaration& setting, const Value& value) {
    return std::visit(Printer{setting}, value);
}

std::string print_range(const Declaration& setting) {
    if (setting.kind < Kind::count) return {};
    const auto bound = [&](double limit) {
        return is_quantity(setting.kind)
                   ? print_quantity(static_cast<std::int64_t>(limit), setting.kind)
                   : fmt::format("{}", limit);
    };
    return bound(setting.range.least) + " to " + bound(setting.range.most);
}

std::string fault_of(const Declaration& setting, const Value& value) {
    return std::visit(Checker{setting}, value);
}

std::string markdown_row(const Declaration& setting, const Value& fallback) {
    const std::string value =
        setting.is_required ? "(required)" : fmt::format("`{}`", print(setting, fallback));
    return fmt::format("| `{}` | {} | {} | {} | {} |\n", setting.key, type_text(setting), value,
                       join(setting.only_for), setting.sentence);
}

std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '-' ? "\\-" : std::string(1, c);
    return out;
}

std::string manual_entry(const Declaration& setting, const Value& fallback) {
    std::string out = fmt::format(".TP\n.B {}\n{}\n", setting.key, roff(setting.sentence));
    if (setting.names_grow) {
        out += "A policy\\(aqs name; a wrong one is answered with those that there are.\n";
    } else if (setting.names) {
        out += fmt::format("One of: {}.\n", roff(join(setting.names())));
    }
    const std::string range = print_range(setting);
    if (!range.empty()) out += fmt::format("Range: {}.\n", range);
    return out + (setting.is_required
                      ? "Required.\n"
                      : fmt::format("Default: {}.\n", roff(print(setting, fallback))));
}

}  // namespace xenfs::settings
