#pragma once
// Every number that the simulator charges, from sim/costs/default.toml: value, unit, range, source
// and how it is known. Other TOML files override some of them; `set` overrides one by text.

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "model/settings/units.h"

namespace xenfs::sim {

using namespace settings;  // quantities with units are everyday words here

/// Bad cost model input; what() is one sentence with file, line and key.
class CostError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

struct Constant {
    std::string name;  ///< dotted, as the tables of the TOML file nest: "disk.hdd.seek"
    Dimension dimension = Dimension::count;
    std::string unit;                     ///< as written in the file
    double value = 0, low = 0, high = 0;  ///< in the dimension's base unit (ns, bytes, bytes/s, …)
    std::string source;
    std::string known;  ///< "V", "A", "M", "D", "measured" or "estimate"
};

class CostModel {
  public:
    /// sim/costs/default.toml, compiled into the program.
    static const CostModel& defaults();
    /// The defaults with `file`'s changes. An entry may be a full table or a text ("0.5us").
    static CostModel load(const std::filesystem::path& file);
    /// A complete model from text (each constant in full); `name` stands for the file in errors.
    static CostModel parse(std::string_view toml_text, std::string_view name);

    void apply_file(const std::filesystem::path& file);
    void apply_text(std::string_view toml_text, std::string_view name);
    /// "xen.hypercall=0.5us". Unknown key, wrong unit, out of range: CostError.
    void set(std::string_view key_value);
    void set(std::string_view key, std::string_view value_text);
    /// In the base unit; within the range. For sweeps from low to high.
    void set_value(std::string_view key, double value);

    const Constant& constant(std::string_view name) const;  ///< CostError if there is none
    double value(std::string_view name) const { return constant(name).value; }
    Nanoseconds time(std::string_view name) const;     ///< rounded to ns; CostError if not a time
    double time_ns(std::string_view name) const;       ///< with its fraction, for per-byte products
    double bandwidth(std::string_view name) const;     ///< bytes/s
    std::uint64_t count(std::string_view name) const;  ///< count or size in bytes
    std::vector<const Constant*> list() const;         ///< by name
    std::uint64_t hash() const;                        ///< of names and values, for manifests

  private:
    std::map<std::string, Constant, std::less<>> constants_;
};

}  // namespace xenfs::sim
