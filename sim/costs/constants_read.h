// Which constants of the cost model a run has looked at: all that its result can depend on. A
// sensitivity analysis varies these and no others.
#pragma once

#include <map>
#include <string>

namespace xenfs::sim {

/// In the dimension's base unit (ns, bytes, bytes/s, …).
struct ConstantRead {
    double value = 0, low = 0, high = 0;
};

/// Every constant read through CostModel's getters in this process so far, by name. One simulation
/// is one process, so in a run's process these are the run's.
const std::map<std::string, ConstantRead>& constants_read();

}  // namespace xenfs::sim
