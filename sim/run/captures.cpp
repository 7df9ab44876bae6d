#include "sim/run/captures.h"

#include <map>

#include "sim/run/populate.h"
#include "workloads/capture/io.h"

namespace xenfs::sim {

PreparedCapture::PreparedCapture(workloads::Capture from)
    : capture(std::move(from)),
      plan(capture),
      written_directories(sim::written_directories(capture)) {}

std::shared_ptr<const PreparedCapture> shared_capture(const std::string& file) {
    static std::map<std::string, std::weak_ptr<const PreparedCapture>> known;
    std::weak_ptr<const PreparedCapture>& place = known[file];
    if (auto capture = place.lock()) return capture;
    auto capture = std::make_shared<const PreparedCapture>(workloads::load_capture(file));
    place = capture;
    return capture;
}

}  // namespace xenfs::sim
