// Every equal page is shared at the instant at which it is equal, for nothing: the upper bound.
#include "sim/sharing/policy.h"

namespace xenfs::sim {
namespace {

class Oracle final : public SharingPolicy {
  public:
    using SharingPolicy::SharingPolicy;

    void written(Frame frame) override {
        if (!pages_.mergeable(frame) || shared_.group_of(frame) != SharedPages::no_group) return;
        const ContentKey key = pages_.key(frame);
        const SharedPages::Group group = shared_.find(key);
        if (group == SharedPages::no_group) {
            shared_.protect(frame, key);
        } else {
            shared_.join(frame, group);
            ++stats_.merged;
        }
    }
    bool ideal() const override { return true; }
};

}  // namespace

std::unique_ptr<SharingPolicy> make_sharing_oracle(GuestPages& pages, SharedPages& shared,
                                                   SharingStats& stats,
                                                   const SharingOptions& options) {
    return std::make_unique<Oracle>(pages, shared, stats, options);
}

}  // namespace xenfs::sim
