#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include "model/settings/value_text.h"
#include "sim/scenario/names.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim {
namespace {

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string print_number(std::int64_t value, ValueKind kind) {
    if (kind == ValueKind::bytes || kind == ValueKind::time) {
        return quoted(print_value_text(value, kind));
    }
    return fmt::format("{}", value);
}

struct Printer {
    ValueKind kind;
    std::string operator()(const std::string* value) const { return quoted(*value); }
    std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
    std::string operator()(const double* value) const { return fmt::format("{}", *value); }
    std::string operator()(const std::int64_t* value) const { return print_number(*value, kind); }
    template <class T>
    std::string operator()(const std::vector<T>* values) const {
        std::string out = "[";
        for (const T& value : *values) out += (out.size() > 1 ? ", " : "") + (*this)(&value);
        return out + "]";
    }
};

// Kinds whose names come from a folder of files: documentation that listed them would go stale.
bool has_later_names(std::vector<std::string> (*names)()) {
    return names == transfer_names || names == dedup_names || names == eviction_names;
}

std::string type_text(const Field& field, Target target) {
    std::string type;
    switch (field.kind) {
        case ValueKind::text:
            type = "text";
            if (field.names) type = join(field.names(), " \\| ");
            if (field.names && has_later_names(field.names)) type = "one of `./lab sim list`";
            break;
        case ValueKind::path:
            type = "path";
            break;
        case ValueKind::boolean:
            type = "true or false";
            break;
        case ValueKind::count:
            type = "whole number";
            break;
        case ValueKind::fraction:
            type = "number";
            break;
        case ValueKind::bytes:
            type = "size";
            break;
        case ValueKind::time:
            type = "time";
            break;
    }
    if (std::holds_alternative<std::vector<std::string>*>(target) ||
        std::holds_alternative<std::vector<std::int64_t>*>(target)) {
        type = "list of " + type;
    }
    return type;
}

}  // namespace

std::string print_value(const Field& field, const Scenario& scenario) {
    // The accessors take a Scenario& because the loader writes through them; here it is only read.
    return std::visit(Printer{field.kind}, field.at(const_cast<Scenario&>(scenario)));
}

std::string canonical_text(const Scenario& scenario) {
    std::string out;
    for (const Field& field : schema()) {
        if (applies(field, scenario)) {
            out += fmt::format("{} = {}\n", field.key, print_value(field, scenario));
        }
    }
    for (std::size_t i = 0; i < scenario.guests.size(); ++i) {
        const GuestSpec& guest = scenario.guests[i];
        if (guest.vcpus == scenario.guest.vcpus &&
            guest.memory_bytes == scenario.guest.memory_bytes &&
            guest.start_ns == scenario.guest.start_ns &&
            guest.trust_group == scenario.guest.trust_group) {
            continue;
        }
        out +=
            fmt::format("guests.{} = {{vcpus = {}, memory = {}, start = {}, trust_group = {}}}\n",
                        i + 1, guest.vcpus, print_number(guest.memory_bytes, ValueKind::bytes),
                        print_number(guest.start_ns, ValueKind::time), guest.trust_group);
    }
    for (const CostSpec::Override& change : scenario.costs.overrides) {
        out += fmt::format("costs.{} = {}\n", change.constant, quoted(change.value));
    }
    return out;
}

std::string scenario_hash(const Scenario& scenario) {
    const std::string text = canonical_text(scenario);
    return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

std::string schema_markdown() {
    Scenario defaults;
    std::string out = "| key | value | default | only for | meaning |\n|---|---|---|---|---|\n";
    for (const Field& field : schema()) {
        const Target target = field.at(defaults);
        std::vector<std::string> only(field.only_for.begin(), field.only_for.end());
        out += fmt::format(
            "| `{}` | {} | {} | {} | {} |\n", field.key, type_text(field, target),
            field.required ? "(required)" : fmt::format("`{}`", print_value(field, defaults)),
            join(only), field.doc);
    }
    return out;
}

}  // namespace xenfs::sim
