#include "model/server/settings.h"

#include "model/policies/charging/policy.h"
#include "model/policies/dedup/policy.h"
#include "model/policies/eviction/registry.h"
#include "model/server/client_set.h"

namespace xenfs::server {

const settings::Table<Config>& server_settings() {
    using namespace settings;
    static const Table<Config> table = {
        // One request may ask for 256 pages, which have to be in the cache together.
        pages("cache", &Config::cache_pages, {mib, 8 * tib}, "The shared cache."),
        policy(
            "eviction", &Config::eviction, [] { return policies::eviction_policies().names(); },
            "Which page the shared cache gives up."),
        policy(
            "dedup", &Config::dedup, [] { return policies::dedup_policies().names(); },
            "Which pages share a frame: none (each guest has its own), name (those of the same "
            "file), content (equal ones, within a trust group, found when they are read or "
            "written), scan and hinted (equal ones, found later by a scanner). Only with name "
            "do guests' mounts outlive a daemon that is killed."),
        policy(
            "charging", &Config::charging, [] { return policies::charging_policies().names(); },
            "Who pays for a page that several guests have pinned."),
        count("workers", &Config::workers, {1, 256}, "Tasks of the server that serve requests."),
        duration("dirty_expire", &Config::dirty_expire, {0, hours},
                 "Age at which the server writes a dirty page to the storage."),
        percent("dirty_limit", &Config::dirty_percent, {0.01, 1},
                "Share of the cache beyond which dirty pages are written at once."),
        duration("ack_timeout", &Config::ack_timeout, {ms, hours},
                 "How long a guest may take to give back what another one needs, before it "
                 "loses it."),
        duration(
            "poll", &Config::poll, {0, ms},
            "How long an idle worker looks for a request of the guest it served last before it "
            "sleeps, at most; 0: never."),
        flag("leases", &Config::leases,
             "A guest that is alone with a file may keep what it writes to itself for a while."),
        count("guests", &Config::max_guests, {1, most_connections},
              "Guests that are served at once, each device of one counted; one more is refused."),
        count("slots", &Config::max_slots, {1, 64},
              "Requests in flight for each guest at most; a power of two.")
            .power_of_two(),
    };
    return table;
}

const settings::Table<Attachment>& attachment_settings() {
    using namespace settings;
    static const Table<Attachment> table = {
        pages("quota", &Attachment::quota_pages, {0, 64 * tib},
              "What a guest may pin without having donated memory of its own."),
        pages("collateral", &Attachment::collateral_pages, {0, 64 * tib},
              "With charging entitlement: memory of each guest that may be taken back at once."),
        count("trust_group", &Attachment::trust_group, {0, 1e9},
              "Equal contents are shared only between guests of one group."),
        count("device", &Attachment::number, {0, 65535},
              "Number of the device in the guest, where it mounts several exports."),
    };
    return table;
}

}  // namespace xenfs::server
