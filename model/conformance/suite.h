#pragma once
// The suite as a parametrised GoogleTest. A host's test program has
//
//     INSTANTIATE_TEST_SUITE_P(Local, HostConformance, all_cases({"local", make_local_fixture}),
//                              case_name);
//
// and links xenfs_conformance. The library has the TEST_P itself.

#include <gtest/gtest.h>

#include <memory>

#include "model/conformance/side.h"

namespace xenfs::conformance {

/// A host under test: a server view and guests, made anew for each case.
class HostFixture {
  public:
    virtual ~HostFixture() = default;
    /// Makes the domains, runs the case's bodies as a task of each domain, returns when all have
    /// ended (that of a destroyed guest ends with it). Failures are GoogleTest's; exceptions that
    /// leave a body must arrive as failures.
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
