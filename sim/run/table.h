// Rows of results: what CSV files and time series are made of. Column names carry units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace xenfs::sim {

using Value = std::variant<std::int64_t, double, std::string>;

/// Named values in the order in which they were added.
class Metrics {
  public:
    /// Adds, or replaces the value of that name.
    void set(std::string_view name, Value value);
    void set(std::string_view name, std::uint64_t value) {
        set(name, Value{static_cast<std::int64_t>(value)});
    }
    void set(std::string_view name, std::int64_t value) { set(name, Value{value}); }
    void set(std::string_view name, int value) { set(name, Value{std::int64_t{value}}); }
    void set(std::string_view name, double value) { set(name, Value{value}); }
    void set(std::string_view name, const char* value) { set(name, Value{std::string(value)}); }
    [[nodiscard]] const Value* find(std::string_view name) const;
    [[nodiscard]] const std::vector<std::pair<std::string, Value>>& all() const { return values_; }

  private:
    std::vector<std::pair<std::string, Value>> values_;
};

/// A table, row by row. Every row has as many values as there are columns (checked by add).
struct Table {
    std::string name;
    std::vector<std::string> columns;
    std::vector<std::vector<Value>> rows;

    void add(std::vector<Value> row);
};

/// As CSV (RFC 4180), header first. Doubles in the shortest form that reads back the same.
[[nodiscard]] std::string to_csv(const Table& table);

/// 12, 0.25 or text as it is.
[[nodiscard]] std::string to_text(const Value& value);

/// Columns aligned for a terminal, numbers to the right.
[[nodiscard]] std::string to_aligned_text(const Table& table);

}  // namespace xenfs::sim
