#pragma once
// A small machine with one arm, for tests and benchmarks.

#include <memory>
#include <string>
#include <vector>

#include "sim/arms/registry.h"
#include "sim/storage/tree_builder.h"

namespace xenfs::sim {

/// dom0 with an arm, and guests that mount it in tasks of their own.
struct ArmRig {
    struct Options {
        std::string arm = {};
        unsigned guests = 1;
        std::size_t guest_pages = 65536;
        std::uint64_t volume_blocks = 1 << 18;
        ArmSettings settings = {};
        std::function<void(TreeBuilder&)> fill = {};  ///< the tree at the start
        std::uint64_t seed = 1;
    };

    explicit ArmRig(Options options)
        : simulation({.seed = options.seed}),
          machine(simulation, {.memory_pages = std::size_t{1} << 22}),
          dom0(machine.create_domain(
              {.name = "dom0", .vcpus = 4, .memory_pages = 1 << 20, .user_space = true})) {
        Volume tree(options.volume_blocks);
        TreeBuilder builder(tree);
        if (options.fill) options.fill(builder);
        ArmSite site;
        site.image = Volume::freeze(std::move(tree));
        arm = arm_registry().make(options.arm, machine, dom0, site, options.settings);
        for (unsigned i = 0; i < options.guests; ++i) {
            guests.push_back(&machine.create_domain({.name = "guest" + std::to_string(i + 1),
                                                     .vcpus = 2,
                                                     .memory_pages = options.guest_pages}));
        }
    }

    /// A task of guest i that mounts and then works.
    void in_guest(std::size_t i, std::function<void(files::FileSystem&)> work) {
        Domain& guest = *guests[i];
        guest.spawn("program",
                    [this, &guest, work = std::move(work)] { work(arm->attach(guest)); });
    }

    std::uint64_t counter(std::string_view name, const Counters& counters) const {
        for (const auto& [key, value] : counters) {
            if (key == name) return value;
        }
        return ~std::uint64_t{0};
    }
    std::uint64_t guest_counter(std::size_t i, std::string_view name) const {
        return counter(name, arm->guest_counters(guests[i]->id()));
    }
    std::uint64_t counter(std::string_view name) const { return counter(name, arm->counters()); }

    Simulation simulation;
    Machine machine;
    Domain& dom0;
    std::unique_ptr<Arm> arm;
    std::vector<Domain*> guests;
};

}  // namespace xenfs::sim
