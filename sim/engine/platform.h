#pragma once
#include <string>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// The hosts, links and routes that a simulation's machines stand on. It is either built in code,
/// or read by SimGrid from a platform file of its own format (XML), which then describes
/// everything.
///
/// A transfer takes the sum of its links' latencies, and then its bytes at the rate that the links
/// leave it, shared fairly (max-min) among the transfers under way. No correction for TCP applies:
/// what is written here is what a transfer gets.
struct Platform {
    /// One direction of a wire.
    struct Link {
        std::string name;
        double bytes_per_second = 0;
        Nanoseconds latency = 0;
    };
    /// One direction as well; the way back is a route of its own.
    struct Route {
        std::string from, to;
        std::vector<std::string> links;
    };

    std::string file;  ///< path of a SimGrid platform file; the lists below are empty then
    std::vector<std::string> hosts;
    std::vector<Link> links;
    std::vector<Route> routes;
};

}  // namespace xenfs::sim
