#include "sim/sharing/policy.h"

namespace xenfs::sim {

SharingRegistry& sharing_policies() {
    static SharingRegistry registry("sharing", {
                                                   {"none", make_sharing_none},
                                                   {"ksm", make_sharing_ksm},
                                                   {"esx", make_sharing_esx},
                                                   {"xlh", make_sharing_xlh},
                                                   {"satori", make_sharing_satori},
                                                   {"oracle", make_sharing_oracle},
                                               });
    return registry;
}

bool SharingPolicy::join_known(Frame frame, const ContentKey& key) {
    const SharedPages::Group group = shared_.find(key);
    if (group == SharedPages::no_group) return false;
    spend(options_.compare_ns + options_.merge_ns);
    shared_.join(frame, group);
    ++stats_.merged;
    return true;
}

void SharingPolicy::merge(Frame first, Frame second, const ContentKey& key) {
    spend(options_.compare_ns + options_.merge_ns);
    shared_.join(second, shared_.protect(first, key));
    ++stats_.merged;
}

}  // namespace xenfs::sim
