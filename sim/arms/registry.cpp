#include "sim/arms/registry.h"

#include "sim/arms/cluster_arm.h"

namespace xenfs::sim {
namespace {

/// A factory of an arm whose settings are one member of ArmSettings.
template <class Settings>
ArmFactory arm(std::unique_ptr<Arm> (*make)(Machine&, Domain&, const ArmSite&, const Settings&),
               Settings ArmSettings::*member) {
    return [=](Machine& machine, Domain& dom0, const ArmSite& site, const ArmSettings& all) {
        return make(machine, dom0, site, all.*member);
    };
}

}  // namespace

ArmRegistry& arm_registry() {
    using A = ArmSettings;
    static ArmRegistry registry(
        "file system (arm)",
        {{"9p", arm(make_p9_arm, &A::p9)},
         {"cluster", [](Machine& machine, Domain& dom0, const ArmSite& site,
                        const ArmSettings&) { return make_cluster_arm(machine, dom0, site); }},
         {"nfs", arm(make_nfs_arm, &A::nfs)},
         {"private", arm(make_private_arm, &A::private_volumes)},
         {"virtiofs", arm(make_virtiofs_arm, &A::virtiofs)},
         {"xenfs", arm(make_xenfs_arm, &A::xenfs)}});
    return registry;
}

std::size_t ArmSettings::cache_pages() const {
    if (name == "9p") return p9.cache_pages;
    if (name == "virtiofs") return virtiofs.cache_pages;
    if (name == "nfs") return nfs.cache_pages;
    return xenfs.server.cache_pages;
}

const settings::Table<ArmSettings>& arm_settings() {
    using A = ArmSettings;
    static const settings::Table<A> table = [] {
        settings::Table<A> rows = {settings::policy(
            "name", &A::name, [] { return arm_registry().names(); }, "What serves the files.")};
        const auto add = [&](const char* name, auto member, const auto& own) {
            for (settings::Setting<A> row : settings::part(member, own)) {
                rows.add(std::move(row).only({name}));
            }
        };
        add("xenfs", &A::xenfs, xenfs_settings());
        add("9p", &A::p9, p9_settings());
        add("virtiofs", &A::virtiofs, virtiofs_settings());
        add("nfs", &A::nfs, nfs_settings());
        add("private", &A::private_volumes, private_settings());
        return rows;
    }();
    return table;
}

}  // namespace xenfs::sim
