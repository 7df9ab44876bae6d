#include "model/client/balloon.h"

#include <algorithm>

#include "model/client/call.h"

namespace xenfs::client {

std::size_t Balloon::donate(std::size_t pages) {
    const std::size_t went = host_.frames().donate(pages);
    donated_ += went;
    stats_.pages_donated += went;
    Call call(connection_, protocol::Opcode::donate, 0);
    call.put(protocol::BalloonIn{went});
    if (call.send() != 0) return 0;
    const auto out = call.get<protocol::BalloonOut>();
    return call.ok() ? out.donated : 0;
}

bool Balloon::donate_step() {
    if (donated_ >= config_.donate_limit) return false;
    return donate(std::min(config_.donate_step, config_.donate_limit - donated_)) > 0;
}

std::size_t Balloon::reclaim(std::size_t pages) {
    Call call(connection_, protocol::Opcode::reclaim, 0);
    call.put(protocol::BalloonIn{pages});
    if (call.send() != 0) return 0;
    const auto out = call.get<protocol::BalloonOut>();
    if (!call.ok()) return 0;
    const std::size_t came = host_.frames().reclaim(std::min<std::size_t>(out.pages, pages));
    donated_ -= std::min<std::uint64_t>(donated_, came);
    return came;
}

void Balloon::reclaim_all() {
    if (donated_ > 0) host_.frames().reclaim(donated_);
    donated_ = 0;
}

}  // namespace xenfs::client
