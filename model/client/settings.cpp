#include "model/client/settings.h"

#include "model/policies/transfer/policy.h"

namespace xenfs::client {

const settings::Table<ClientConfig>& client_settings() {
    using namespace settings;
    static const Table<ClientConfig> table = {
        policy(
            "transfer", &ClientConfig::transfer,
            [] { return policies::transfer_policies().names(); }, "How pages travel."),
        pages("donation", &ClientConfig::donate, {0, tib},
              "Memory that a guest balloons out for the shared cache when it mounts."),
        choice("mmap", &ClientConfig::mmap, {"share", "private_copy"},
               "share: a guest's mmaps show the shared frames. private_copy: its kernel keeps a "
               "copy, as FUSE on a stock kernel does."),
        pages("mapping_budget", &ClientConfig::mapping_budget, {64 * kib, tib},
              "Shared frames that a client keeps mapped."),
        pages("map_range", &ClientConfig::map_range, {4 * kib, mib},
              "With transfer map_window: the aligned range that is mapped at once; the window is "
              "mapping_budget."),
        pages("own_frames", &ClientConfig::own_budget, {64 * kib, tib},
              "Frames of its own that a client fills with file data."),
        count("read_ahead", &ClientConfig::readahead, {0, 1024},
              "Largest read-ahead window in pages; 0: none."),
        duration("write_behind", &ClientConfig::write_behind, {0, 24 * hours},
                 "Age at which a leased dirty page goes to the server."),
        count("slots", &ClientConfig::slots, {1, 64},
              "Requests in flight for a guest; a power of two.")
            .power_of_two(),
        duration("server_timeout", &ClientConfig::server_timeout, {seconds, 24 * hours},
                 "How long an operation waits for a server that is away before it fails "
                 "with EIO."),
        duration("poll", &ClientConfig::poll, {0, ms},
                 "How long a task looks for a reply itself before it sleeps, at most; 0: never."),
        count("device", &ClientConfig::device, {0, 65535}, "Which device of this guest."),
    };
    return table;
}

}  // namespace xenfs::client
