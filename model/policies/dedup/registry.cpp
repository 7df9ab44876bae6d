#include "model/policies/dedup/policy.h"

namespace xenfs::policies {

DedupRegistry& dedup_policies() {
    static DedupRegistry registry(
        "dedup",
        {{"none", make_dedup_none}, {"name", make_dedup_name}, {"content", make_dedup_content}});
    return registry;
}

}  // namespace xenfs::policies
