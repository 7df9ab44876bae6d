#include "sim/sharing/settings.h"

#include "sim/sharing/policy.h"

namespace xenfs::sim {
namespace {

using namespace settings;

const Table<SharingOptions>& scanner_settings() {
    using S = SharingOptions;
    static const Table<S> table = {
        count("pages_per_wake", &S::pages_per_wake, {0, 1e9},
              "Pages that a scanner (arm.dedup scan, hinted too) looks at before it sleeps; 0: "
              "none."),
        duration("sleep", &S::sleep_ns, {us, hours}, "A scanner's sleep."),
        flag("volatile_check", &S::volatile_check,
             "ksm: merge only pages whose checksum held for a pass."),
        flag("zero_pages", &S::zero_pages,
             "ksm: pages of zeros become the host's own, without a partner."),
        count("hint_queue", &S::hint_queue, {1, 1e9},
              "xlh, arm.dedup hinted: hints that are kept; the oldest go."),
        fraction("hint_share", &S::hint_share, {0, 1},
                 "xlh, arm.dedup hinted: share of a wake-up's pages that come from hints, at "
                 "most."),
    };
    return table;
}

}  // namespace

const Table<GuestMemoryOptions>& memory_settings() {
    using M = GuestMemoryOptions;
    static const Table<M> table = {
        pages("zero", &M::zero_pages, {0, tib}, "Memory of each guest that holds zeros."),
        pages("image", &M::image_pages, {0, tib},
              "Memory with its kernel and programs, read from a base image."),
        fraction("image_changed", &M::image_changed, {0, 1},
                 "Share of the image's pages that each guest has changed."),
        duration("storm", &M::storm_ns, {0, 1000 * hours},
                 "When each guest writes to all pages of its image; 0: never."),
        pages("repeated", &M::repeated_pages, {0, tib},
              "Memory with pages that the guest itself holds several times."),
        count("repeats", &M::repeats, {1, 65536}, "How often it holds each of them."),
        pages("anonymous", &M::anonymous_pages, {0, tib},
              "Anonymous memory alive at any time; a page that dies makes room for a new one."),
        duration("lifetime", &M::lifetime_ns, {0, 1000 * hours},
                 "Mean life of an anonymous page; 0: for ever."),
        choice("lifetime_shape", &M::shape, {"fixed", "exponential", "pareto"},
               "How lifetimes are distributed (pareto: with exponent 1.5)."),
        fraction("anonymous_zero", &M::anonymous_zero, {0, 1},
                 "Share of the anonymous pages that hold zeros."),
        fraction("anonymous_common", &M::anonymous_common, {0, 1},
                 "Share of the anonymous pages that other guests hold too, at the same time."),
    };
    return table;
}

const Table<HostSharing::Config>& sharing_settings() {
    using S = HostSharing::Config;
    static const Table<S> table = [] {
        Table<S> rows = {policy(
            "policy", &S::policy, [] { return sharing_policies().names(); },
            "How the hypervisor finds equal pages in guests' memory.")};
        rows.add(part(&S::options, scanner_settings()));
        rows.add(choice("surplus", &S::surplus, {"keep", "repay", "spend"},
                        "What becomes of memory saved: keep: free; repay: the guests', taken back "
                        "at once; spend: given away."));
        return rows.add(flag("idle_memory", &S::idle_memory,
                             "Scanners also read memory that guests have and do not use."));
    }();
    return table;
}

}  // namespace xenfs::sim
