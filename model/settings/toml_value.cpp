#include "model/settings/toml_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/settings/units.h"

namespace xenfs::settings {

void fail(const std::string& where, const std::string& reason) {
    throw InputError(where + ": " + reason);
}

std::string where(std::string_view file, const toml::source_region& source, std::string_view key) {
    return fmt::format("{}:{}: {}", file, source.begin.line, key);
}

std::string type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::string:
            return "text";
        case toml::node_type::integer:
            return "a whole number";
        case toml::node_type::floating_point:
            return "a number";
        case toml::node_type::boolean:
            return "true or false";
        case toml::node_type::array:
            return "a list";
        case toml::node_type::table:
            return "a table";
        default:
            return "a date or time";
    }
}

namespace {

// Writes one TOML value through a Target.
struct Reader {
    const ValueRule& rule;
    const toml::node& node_;
    const std::string& where_;
    const std::string& directory;

    [[noreturn]] void wrong(const toml::node& node, const char* wanted) const {
        fail(where_, fmt::format("{} where {} is wanted", type_name(node), wanted));
    }

    void check_range(double value, const toml::node& node) const {
        if (value >= rule.minimum && value <= rule.maximum) return;
        const bool with_unit = rule.kind == ValueKind::bytes || rule.kind == ValueKind::time;
        const auto print = [&](double bound) {
            return with_unit ? print_value_text(std::llround(bound), rule.kind)
                             : fmt::format("{}", bound);
        };
        std::ostringstream given;
        given << toml::default_formatter{node};
        fail(where_, fmt::format("{} is out of range: {} to {}", given.str(), print(rule.minimum),
                                 print(rule.maximum)));
    }

    std::int64_t number(const toml::node& node) const {
        std::int64_t value = 0;
        if (rule.kind == ValueKind::count) {
            if (!node.is_integer()) wrong(node, "a whole number");
            value = node.as_integer()->get();
        } else if (const auto* text = node.as_string()) {
            try {
                value = parse_value_text(text->get(), rule.kind);
            } catch (const UnitError& error) {
                fail(where_, error.what());
            }
        } else if (node.is_integer() && node.as_integer()->get() == 0) {
            value = 0;
        } else {
            wrong(node, rule.kind == ValueKind::bytes ? "a size with its unit (\"512 MiB\")"
                                                      : "a time with its unit (\"5 s\")");
        }
        check_range(static_cast<double>(value), node);
        return value;
    }

    std::string text(const toml::node& node) const {
        if (!node.is_string()) wrong(node, "text");
        std::string value = node.as_string()->get();
        if (rule.names != nullptr) {
            const auto names = rule.names();
            if (std::find(names.begin(), names.end(), value) == names.end()) {
                fail(where_, fmt::format("there is no \"{}\"; there are: {}", value, join(names)));
            }
        }
        if (rule.kind == ValueKind::path && !value.empty() && value.front() != '/') {
            value = std::filesystem::absolute(std::filesystem::path(directory) / value)
                        .lexically_normal()
                        .string();
        }
        return value;
    }

    void operator()(std::string* out) const { *out = text(node_); }
    void operator()(std::int64_t* out) const { *out = number(node_); }
    void operator()(bool* out) const {
        if (!node_.is_boolean()) wrong(node_, "true or false");
        *out = node_.as_boolean()->get();
    }
    void operator()(double* out) const {
        if (!node_.is_number()) wrong(node_, "a number");
        *out = *node_.value<double>();
        check_range(*out, node_);
    }
    template <class T>
    void operator()(std::vector<T>* out) const {
        out->clear();
        const auto one = [&](const toml::node& node) {
            if constexpr (std::is_same_v<T, std::string>) {
                out->push_back(text(node));
            } else {
                out->push_back(number(node));
            }
        };
        if (const auto* array = node_.as_array()) {
            for (const toml::node& node : *array) one(node);
        } else {
            one(node_);
        }
    }
};

}  // namespace

void read_value(const ValueRule& rule, const toml::node& node, const std::string& where,
                const std::string& directory, Target target) {
    std::visit(Reader{rule, node, where, directory}, target);
}

toml::table parse_toml(std::string_view text, std::string_view name) {
    try {
        return toml::parse(text, name);
    } catch (const toml::parse_error& error) {
        fail(fmt::format("{}:{}", name, error.source().begin.line),
             std::string(error.description()));
    }
}

std::string read_text(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) fail(file, "cannot be read: " + std::string(std::strerror(errno)));
    std::stringstream text;
    text << in.rdbuf();
    if (!in || text.bad()) fail(file, "cannot be read: " + std::string(std::strerror(errno)));
    return text.str();
}

}  // namespace xenfs::settings
