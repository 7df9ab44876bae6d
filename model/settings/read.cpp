#include "model/settings/read.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "model/settings/units.h"

namespace xenfs::settings {
namespace {

// Reads one node; `where` and `directory` as in read_value.
struct Reader {
    const Declaration& setting;
    const std::string& where;
    const std::string& directory;

    [[noreturn]] void wrong(const toml::node& node, const char* wanted) const {
        fail(where, fmt::format("{} where {} is wanted", type_name(node), wanted));
    }

    std::int64_t number(const toml::node& node) const {
        if (setting.kind == Kind::count) {
            if (!node.is_integer()) wrong(node, "a whole number");
            return node.as_integer()->get();
        }
        if (const auto* text = node.as_string()) {
            try {
                return parse_quantity_text(text->get(), setting.kind);
            } catch (const UnitError& error) {
                fail(where, error.what());
            }
        }
        if (node.is_integer() && node.as_integer()->get() == 0) return 0;
        wrong(node, setting.kind == Kind::size ? "a size with its unit (\"512 MiB\")"
                                               : "a time with its unit (\"5 s\")");
    }

    std::string text(const toml::node& node) const {
        if (!node.is_string()) wrong(node, "text");
        std::string value = node.as_string()->get();
        if (value.find('\0') != std::string::npos) fail(where, "it must not have a NUL in it");
        if (value.empty() && setting.is_required) fail(where, "it must not be empty");
        if (setting.kind == Kind::path && !value.empty() && value.front() != '/') {
            value = std::filesystem::absolute(std::filesystem::path(directory) / value)
                        .lexically_normal()
                        .string();
        }
        return value;
    }

    template <class Read>
    auto list(const toml::node& node, Read read) const {
        std::vector<decltype(read(node))> out;
        if (const auto* array = node.as_array()) {
            for (const toml::node& item : *array) out.push_back(read(item));
        } else {
            out.push_back(read(node));
        }
        return out;
    }

    Value read(const toml::node& node) const {
        switch (setting.kind) {
            case Kind::text:
            case Kind::path:
                if (!setting.is_list) return text(node);
                return list(node, [&](const toml::node& item) { return text(item); });
            case Kind::flag:
                if (!node.is_boolean()) wrong(node, "true or false");
                return node.as_boolean()->get();
            case Kind::fraction:
                if (!node.is_number()) wrong(node, "a number");
                return *node.value<double>();
            default:
                if (!setting.is_list) return number(node);
                return list(node, [&](const toml::node& item) { return number(item); });
        }
    }
};

// The parts of known keys that follow `section` directly, each once.
std::string parts_of(const std::string& section, const std::vector<std::string>& known,
                     bool sections_only) {
    std::vector<std::string> parts;
    for (const std::string& key : known) {
        if (!key.starts_with(section)) continue;
        const std::size_t dot = key.find('.', section.size());
        if (sections_only && dot == std::string::npos) continue;
        const std::string part = key.substr(section.size(), dot - section.size());
        if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
    }
    return join(parts);
}

[[noreturn]] void fail_section(const std::string& where, const std::vector<std::string>& known) {
    fail(where, "there is no such section; there are: " + parts_of("", known, true));
}

}  // namespace

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

Value read_value(const Declaration& setting, const toml::node& node, const std::string& where,
                 const std::string& directory) {
    const Value value = Reader{setting, where, directory}.read(node);
    if (const std::string fault = fault_of(setting, value); !fault.empty()) fail(where, fault);
    return value;
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

std::vector<Entry> entries_of(const toml::table& table, const std::string& prefix,
                              std::string_view file, const std::vector<std::string>& known,
                              const std::vector<std::string>& open) {
    std::vector<Entry> out;
    for (const auto& [key, node] : table) {
        const std::string name = prefix + std::string(key.str());
        const std::string place = where(file, key.source(), name);
        const toml::table* inner = node.as_table();
        if (inner == nullptr) {
            out.push_back({name, &node, place});
            continue;
        }
        const auto inside = [&](const std::string& begin) {
            return begin.starts_with(name + ".") || name.starts_with(begin);
        };
        const bool section = std::any_of(open.begin(), open.end(), inside) ||
                             std::any_of(known.begin(), known.end(), [&](const std::string& k) {
                                 return k.starts_with(name + ".");
                             });
        const bool is_key = std::find(known.begin(), known.end(), name) != known.end();
        if (is_key) {
            out.push_back({name, &node, place});
        } else if (!section) {
            fail_section(place, known);
        } else {
            const auto more = entries_of(*inner, name + ".", file, known, open);
            out.insert(out.end(), more.begin(), more.end());
        }
    }
    std::stable_sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) {
        return a.node->source().begin.line < b.node->source().begin.line;
    });
    return out;
}

void fail_unknown(const Entry& entry, const std::vector<std::string>& known) {
    if (std::any_of(known.begin(), known.end(),
                    [&](const std::string& key) { return key.starts_with(entry.key + "."); })) {
        fail(entry.where, "write it as [" + entry.key + "]");
    }
    const auto dot = entry.key.rfind('.');
    const std::string section = dot == std::string::npos ? "" : entry.key.substr(0, dot + 1);
    const std::string keys = parts_of(section, known, false);
    if (keys.empty()) fail_section(entry.where, known);
    fail(entry.where, "there is no such key; there are: " + keys);
}

std::vector<const toml::table*> tables_of(const toml::table& in, const std::string& name,
                                          const std::string& prefix, const std::string& file) {
    std::vector<const toml::table*> result;
    const toml::node* const node = in.get(name);
    if (node == nullptr) return result;
    const std::string key = prefix + name;
    const std::string place = where(file, node->source(), key);
    const toml::array* const array = node->as_array();
    if (array == nullptr) fail(place, fmt::format("write it as [[{}]]", key));
    for (const toml::node& item : *array) {
        if (!item.is_table()) fail(place, fmt::format("write it as [[{}]]", key));
        result.push_back(item.as_table());
    }
    return result;
}

}  // namespace xenfs::settings
