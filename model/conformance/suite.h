#pragma once
// The suite is a parametrised GoogleTest. A host's test program has
//
//     INSTANTIATE_TEST_SUITE_P(Local, HostConformance, all_cases({"local", make_local_fixture}),
//                              case_name);
//
// and links xenfs_conformance. The library has the TEST_P itself.

#include <gtest/gtest.h>

#include <memory>

#include "model/conformance/side.h"

namespace xenfs::conformance {

/// A host under test, with a server's view and guests, which are made anew for each case.
class HostFixture {
  public:
    virtual ~HostFixture() = default;
    /// Makes the domains, runs the case's bodies as a task of each domain, and returns when all
    /// have ended (a destroyed guest's body ends with the guest). Failures are GoogleTest's; an
    /// exception that leaves a body must arrive as a failure.
    virtual void run(const Case& which) = 0;
};

struct HostMaker {
    const char* name;
    std::unique_ptr<HostFixture> (*make)();
};
using Parameter = std::tuple<HostMaker, Case>;

class HostConformance : public testing::TestWithParam<Parameter> {};

inline auto all_cases(HostMaker maker) {
    const auto all = cases();
    return testing::Combine(testing::Values(maker), testing::ValuesIn(all.begin(), all.end()));
}

inline std::string case_name(const testing::TestParamInfo<Parameter>& info) {
    return std::get<1>(info.param).name;
}

std::ostream& operator<<(std::ostream& out, const Case& which);
std::ostream& operator<<(std::ostream& out, const HostMaker& maker);

}  // namespace xenfs::conformance
