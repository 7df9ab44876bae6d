#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/commands.h"
#include "sim/costs/cost_model.h"
#include "sim/run/table.h"
#include "sim/scenario/schema.h"

namespace xenfs::sim::cli {
namespace {

void print_costs() {
    Table table{"costs", {"constant", "value", "low", "high", "known", "source"}, {}};
    for (const Constant* c : CostModel::defaults().list()) {
        table.add({c->name, format(c->value, c->dimension), format(c->low, c->dimension),
                   format(c->high, c->dimension), c->known, c->source});
    }
    std::fputs(to_aligned_text(table).c_str(), stdout);
}

void print_json() {
    nlohmann::ordered_json out;
    for (const auto& [kind, names] : choices()) out[kind] = names;
    for (const Constant* c : CostModel::defaults().list()) {
        out["costs"][c->name] = {{"value", c->value}, {"low", c->low},
                                 {"high", c->high},   {"unit", base_unit(c->dimension)},
                                 {"known", c->known}, {"source", c->source}};
    }
    std::fputs((out.dump(1) + "\n").c_str(), stdout);
}

}  // namespace

void add_list(CLI::App& program) {
    CLI::App* list = program.add_subcommand(
        "list", "the arms, policies and workloads that exist, and the cost model's constants");
    auto json = std::make_shared<bool>(false);
    list->add_flag("--json", *json, "as JSON");
    list->callback([json] {
        if (*json) return print_json();
        for (const auto& [kind, names] : choices()) {
            std::fputs(fmt::format("{:<10} {}\n", kind, settings::join(names)).c_str(), stdout);
        }
        std::fputs("\n", stdout);
        print_costs();
    });
    CLI::App* schema = program.add_subcommand("schema", "the keys of a scenario file, as Markdown");
    schema->callback([] { std::fputs(schema_markdown().c_str(), stdout); });
}

}  // namespace xenfs::sim::cli
