#include "sim/run/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace xenfs::sim {
namespace {

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string out = "\"";
    for (char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}

}  // namespace

void Metrics::set(std::string_view name, Value value) {
    for (auto& [known, old] : values_) {
        if (known == name) {
            old = std::move(value);
            return;
        }
    }
    values_.emplace_back(name, std::move(value));
}

const Value* Metrics::find(std::string_view name) const {
    for (const auto& [known, value] : values_) {
        if (known == name) return &value;
    }
    return nullptr;
}

void Table::add(std::vector<Value> row) {
    if (row.size() != columns.size()) {
        throw std::logic_error(fmt::format("table {}: a row of {} values for {} columns", name,
                                           row.size(), columns.size()));
    }
    rows.push_back(std::move(row));
}

std::string to_text(const Value& value) {
    return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

std::string to_csv(const Table& table) {
    std::string out;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        if (i) out += ',';
        out += csv_field(table.columns[i]);
    }
    out += '\n';
    for (const auto& row : table.rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i) out += ',';
            out += csv_field(to_text(row[i]));
        }
        out += '\n';
    }
    return out;
}

std::string to_aligned_text(const Table& table) {
    std::vector<std::size_t> widths;
    for (const std::string& column : table.columns) widths.push_back(column.size());
    for (const auto& row : table.rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], to_text(row[i]).size());
        }
    }
    std::string out;
    const auto line = [&](auto&& cell, auto&& is_text) {
        std::string text;
        for (std::size_t i = 0; i < widths.size(); ++i) {
            if (i) text += "  ";
            text += is_text(i) ? fmt::format("{:<{}}", cell(i), widths[i])
                               : fmt::format("{:>{}}", cell(i), widths[i]);
        }
        out += text.substr(0, text.find_last_not_of(' ') + 1) + '\n';
    };
    const auto column_is_text = [&](std::size_t i) {
        return !table.rows.empty() && std::holds_alternative<std::string>(table.rows[0][i]);
    };
    line([&](std::size_t i) { return table.columns[i]; }, column_is_text);
    for (const auto& row : table.rows) {
        line([&](std::size_t i) { return to_text(row[i]); }, column_is_text);
    }
    return out;
}

}  // namespace xenfs::sim
