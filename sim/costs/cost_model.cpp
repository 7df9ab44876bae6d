#include "sim/costs/cost_model.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <sstream>

#include "sim/costs/constants_read.h"
#include "sim/costs/default_text.h"

namespace xenfs::sim {
namespace {

constexpr std::array<std::string_view, 6> fields = {"value", "unit",   "low",
                                                    "high",  "source", "known"};
constexpr std::array<std::string_view, 6> ways_to_know = {"V", "A",        "M",
                                                          "D", "measured", "estimate"};

template <class List>
bool contains(const List& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

using Constants = std::map<std::string, Constant, std::less<>>;

/// Reads one TOML text into constants; errors name file, line and key.
class Reader {
  public:
    Reader(std::string_view file, Constants& constants, bool complete)
        : file_(file), constants_(constants), complete_(complete) {}

    void read(std::string_view text) {
        try {
            const toml::table root = toml::parse(text, file_);
            group(root, "");
        } catch (const toml::parse_error& error) {
            throw CostError(
                fmt::format("{}:{}: {}", file_, error.source().begin.line, error.description()));
        }
    }

  private:
    [[noreturn]] void fail(const toml::node& node, std::string_view key, std::string_view what) {
        throw CostError(fmt::format("{}:{}: {}: {}", file_, node.source().begin.line, key, what));
    }

    void group(const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
            const std::string name =
                prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
            if (const toml::table* inner = node.as_table()) {
                const bool leaf = std::any_of(inner->begin(), inner->end(), [](const auto& entry) {
                    return contains(fields, entry.first.str()) && !entry.second.is_table();
                });
                leaf ? entry(name, *inner) : group(*inner, name);
            } else if (node.is_string() && !complete_) {
                text_override(name, node);
            } else {
                fail(node, name,
                     complete_ ? "a constant is a table of value, unit, low, high, source, known"
                               : "a constant is a table, or a text such as \"0.5us\"");
            }
        }
    }

    Constant& known_constant(const std::string& name, const toml::node& node) {
        const auto found = constants_.find(name);
        if (found == constants_.end()) fail(node, name, "there is no constant of this name");
        return found->second;
    }

    void text_override(const std::string& name, const toml::node& node) {
        Constant& constant = known_constant(name, node);
        try {
            constant.value = parse_quantity(**node.as_string(), constant.dimension);
        } catch (const UnitError& error) {
            fail(node, name, error.what());
        }
        check_range(node, constant);
    }

    double number(const std::string& name, const toml::node& node, double factor) {
        if (const auto value = node.value<double>(); value && node.is_number()) {
            return *value * factor;
        }
        fail(node, name, "a number is expected");
    }

    void entry(const std::string& name, const toml::table& table) {
        for (const auto& [key, node] : table) {
            if (!contains(fields, key.str())) {
                fail(node, name + "." + std::string(key.str()),
                     "unknown key (a constant has value, unit, low, high, source, known)");
            }
        }
        Constant constant;
        if (complete_) {
            for (const std::string_view field : fields) {
                if (!table.contains(field))
                    fail(table, name, fmt::format("'{}' is missing", field));
            }
            constant.name = name;
        } else {
            constant = known_constant(name, table);
        }
        if (const toml::node* unit = table.get("unit")) {
            if (!unit->is_string()) fail(*unit, name + ".unit", "a text is expected");
            constant.unit = **unit->as_string();
            try {
                if (complete_) constant.dimension = unit_dimension(constant.unit);
                (void)unit_factor(constant.unit, constant.dimension);
            } catch (const UnitError& error) {
                fail(*unit, name + ".unit", error.what());
            }
        }
        const double factor = unit_factor(constant.unit, constant.dimension);
        for (const auto& [field, into] :
             {std::pair{"value", &constant.value}, std::pair{"low", &constant.low},
              std::pair{"high", &constant.high}}) {
            if (const toml::node* node = table.get(field)) {
                *into = number(name + "." + field, *node, factor);
            }
        }
        for (const auto& [field, into] :
             {std::pair{"source", &constant.source}, std::pair{"known", &constant.known}}) {
            const toml::node* node = table.get(field);
            if (node == nullptr) continue;
            if (!node->is_string()) fail(*node, name + "." + field, "a text is expected");
            *into = **node->as_string();
        }
        if (constant.source.empty()) fail(table, name + ".source", "a source must be named");
        if (!contains(ways_to_know, constant.known)) {
            fail(table, name + ".known",
                 fmt::format("'{}' is none of V, A, M, D, measured, estimate", constant.known));
        }
        check_range(table, constant);
        constants_[name] = std::move(constant);
    }

    void check_range(const toml::node& node, const Constant& constant) {
        if (constant.low <= constant.value && constant.value <= constant.high) return;
        fail(node, constant.name,
             fmt::format("{} is outside of its range, {} to {}",
                         format(constant.value, constant.dimension),
                         format(constant.low, constant.dimension),
                         format(constant.high, constant.dimension)));
    }

    std::string file_;
    Constants& constants_;
    bool complete_;
};

std::string read_text(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw CostError(fmt::format("{}: cannot be read", file.string()));
    }
    return text.str();
}

std::map<std::string, ConstantRead>& reads() {
    static std::map<std::string, ConstantRead> all;
    return all;
}

const Constant& find(const Constants& constants, std::string_view name) {
    const auto found = constants.find(name);
    if (found == constants.end()) {
        throw CostError(fmt::format("{}: the cost model has no constant of this name", name));
    }
    return found->second;
}

}  // namespace

const CostModel& CostModel::defaults() {
    static const CostModel model = parse(default_costs_text, "sim/costs/default.toml");
    return model;
}

CostModel CostModel::parse(std::string_view toml_text, std::string_view name) {
    CostModel model;
    Reader(name, model.constants_, true).read(toml_text);
    return model;
}

CostModel CostModel::load(const std::filesystem::path& file) {
    CostModel model = defaults();
    model.apply_file(file);
    return model;
}

void CostModel::apply_file(const std::filesystem::path& file) {
    apply_text(read_text(file), file.string());
}

void CostModel::apply_text(std::string_view toml_text, std::string_view name) {
    auto changed = constants_;  // all or nothing
    Reader(name, changed, false).read(toml_text);
    constants_ = std::move(changed);
}

void CostModel::set(std::string_view key_value) {
    const auto equals = key_value.find('=');
    if (equals == std::string_view::npos) {
        throw CostError(fmt::format("'{}' is not of the form key=value", key_value));
    }
    set(key_value.substr(0, equals), key_value.substr(equals + 1));
}

void CostModel::set(std::string_view key, std::string_view value_text) {
    const Constant& old = find(constants_, key);
    double value = 0;
    try {
        value = parse_quantity(value_text, old.dimension);
    } catch (const UnitError& error) {
        throw CostError(fmt::format("{}: {}", key, error.what()));
    }
    set_value(key, value);
}

void CostModel::set_value(std::string_view key, double value) {
    Constant& entry = constants_.at(find(constants_, key).name);
    if (!(entry.low <= value && value <= entry.high)) {
        throw CostError(fmt::format(
            "{}: {} is outside of its range, {} to {}", key, format(value, entry.dimension),
            format(entry.low, entry.dimension), format(entry.high, entry.dimension)));
    }
    entry.value = value;
}

const Constant& CostModel::constant(std::string_view name) const {
    const Constant& found = find(constants_, name);
    reads().insert_or_assign(found.name, ConstantRead{found.value, found.low, found.high});
    return found;
}

const std::map<std::string, ConstantRead>& constants_read() {
    return reads();
}

namespace {
const Constant& checked(const Constant& constant, Dimension dimension) {
    if (constant.dimension != dimension) {
        throw CostError(fmt::format("{}: it is a {}, not a {}", constant.name,
                                    name(constant.dimension), name(dimension)));
    }
    return constant;
}
}  // namespace

Nanoseconds CostModel::time(std::string_view name) const {
    return static_cast<Nanoseconds>(std::llround(time_ns(name)));
}

double CostModel::time_ns(std::string_view name) const {
    const Constant& found = constant(name);
    return found.dimension == Dimension::time_per_byte ? found.value
                                                       : checked(found, Dimension::time).value;
}

double CostModel::bandwidth(std::string_view name) const {
    return checked(constant(name), Dimension::bandwidth).value;
}

std::uint64_t CostModel::count(std::string_view name) const {
    const Constant& found = constant(name);
    if (found.dimension != Dimension::size) (void)checked(found, Dimension::count);
    return static_cast<std::uint64_t>(std::llround(found.value));
}

std::vector<const Constant*> CostModel::list() const {
    std::vector<const Constant*> all;
    all.reserve(constants_.size());
    for (const auto& [name, constant] : constants_) all.push_back(&constant);
    return all;
}

std::uint64_t CostModel::hash() const {
    std::string text;
    for (const auto& [name, constant] : constants_) {
        text += fmt::format("{}={}\n", name, constant.value);
    }
    return XXH3_64bits(text.data(), text.size());
}

}  // namespace xenfs::sim
