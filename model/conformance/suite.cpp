#include "model/conformance/suite.h"

namespace xenfs::conformance {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(HostConformance);

TEST_P(HostConformance, Holds) {
    const auto& [maker, which] = GetParam();
    maker.make()->run(which);
}

std::ostream& operator<<(std::ostream& out, const Case& which) {
    return out << which.name;
}

std::ostream& operator<<(std::ostream& out, const HostMaker& maker) {
    return out << maker.name;
}

}  // namespace xenfs::conformance
