#include "model/policies/transfer/policy.h"

namespace xenfs::policies {

TransferRegistry& transfer_policies() {
    static TransferRegistry registry("transfer", {{"copy", make_transfer_copy},
                                                  {"map", make_transfer_map},
                                                  {"flip", make_transfer_flip},
                                                  {"adaptive", make_transfer_adaptive}});
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
        case TransferReason::must_share:
            return "must_share";
        case TransferReason::not_supported:
            return "not_supported";
    }
    return "unknown";
}

}  // namespace xenfs::policies
