// Nothing is merged; the host only counts what could be.
#include "sim/sharing/policy.h"

namespace xenfs::sim {

std::unique_ptr<SharingPolicy> make_sharing_none(GuestPages& pages, SharedPages& shared,
                                                 SharingStats& stats,
                                                 const SharingOptions& options) {
    return std::make_unique<SharingPolicy>(pages, shared, stats, options);
}

}  // namespace xenfs::sim
