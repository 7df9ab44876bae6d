// Runs what server_kill_test.cpp runs, for longer.
#include "model/conformance/seed.h"
#include "real/tests/kill_load.h"

namespace xenfs::real::tests {
namespace {

TEST(ServerKillLong, NothingAcknowledgedIsLost) {
    kill_under_load(4000, "map");
}
TEST(ServerKillLong, NothingAcknowledgedIsLostByCopy) {
    kill_under_load(1500, "copy");
}

}  // namespace
}  // namespace xenfs::real::tests
