#include "model/policies/transfer/policy.h"

namespace xenfs::policies {

#define XENFS_POLICY(name, make) \
    std::unique_ptr<TransferPolicy> make(const host::MechanismCosts&, const host::Capabilities&);
#include "model/policies/transfer/policies.inc"
#undef XENFS_POLICY

TransferRegistry& transfer_policies() {
#define XENFS_POLICY(name, make) {#name, make},
    static TransferRegistry registry("transfer", {
#include "model/policies/transfer/policies.inc"
                                                 });
#undef XENFS_POLICY
    return registry;
}

std::string_view name_of(Mechanism mechanism) {
    switch (mechanism) {
        case Mechanism::copy:
            return "copy";
        case Mechanism::map:
            return "map";
        case Mechanism::flip:
            return "flip";
    }
    return "unknown";
}

std::string_view name_of(TransferReason reason) {
    switch (reason) {
        case TransferReason::only:
            return "only";
        case TransferReason::cheaper_once:
            return "cheaper_once";
        case TransferReason::cheaper_reused:
            return "cheaper_reused";
        case TransferReason::cheaper_batch:
            return "cheaper_batch";
        case TransferReason::cheaper_around:
            return "cheaper_around";
        case TransferReason::must_share:
            return "must_share";
        case TransferReason::entries_short:
            return "entries_short";
        case TransferReason::not_supported:
            return "not_supported";
    }
    return "unknown";
}

}  // namespace xenfs::policies
