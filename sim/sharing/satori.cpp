// Satori (Milos et al., USENIX ATC 2009): a sharing-aware block device looks each page up by its
// content when it is read from the disk, so that sharing exists from the page's first moment. A
// page that was read is write-protected, shared or not, so that the table never names a page that
// has changed. What programs write is not seen until it is read from a disk again.
#include "sim/sharing/policy.h"

namespace xenfs::sim {
namespace {

class Satori final : public SharingPolicy {
  public:
    using SharingPolicy::SharingPolicy;

    void filled(Frame frame) override {
        if (!pages_.mergeable(frame) || shared_.group_of(frame) != SharedPages::no_group) return;
        const ContentKey key = pages_.key(frame);
        spend(options_.hash_ns);
        if (!join_known(frame, key)) shared_.protect(frame, key);
    }
};

}  // namespace

std::unique_ptr<SharingPolicy> make_sharing_satori(GuestPages& pages, SharedPages& shared,
                                                   SharingStats& stats,
                                                   const SharingOptions& options) {
    return std::make_unique<Satori>(pages, shared, stats, options);
}

}  // namespace xenfs::sim
