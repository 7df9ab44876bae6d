#include "model/server/balloon.h"

#include <algorithm>

namespace xenfs::server {

int Balloon::donate(Request& q) {
    q.args.get<protocol::BalloonIn>();  // what it says it gave does not matter
    if (!q.args.finished()) return EINVAL;
    const pages::AccountId id = q.client.account;
    const std::uint64_t before = ledger_.account(id).donated;
    const std::uint64_t seen = host_.frames().donated_by(q.client.device.guest);
    if (seen > before) {
        ledger_.set_donated(id, seen);
        adjust_capacity();
    }
    const auto& account = ledger_.account(id);
    q.reply.put(protocol::BalloonOut{account.donated - before, account.donated, account.quota,
                                     account.pinned});
    return 0;
}

bool Balloon::donation_stands(Connection& c) {
    const std::uint64_t counted = ledger_.account(c.account).donated;
    if (counted == 0) return true;
    const std::uint64_t seen = host_.frames().donated_by(c.device.guest);
    if (seen >= counted) return true;
    if (ledger_.set_donated(c.account, seen)) {
        adjust_capacity();
        return true;
    }
    ++stats_.protocol_violations;
    close_(c);
    return false;
}

int Balloon::reclaim(Request& q) {
    const auto in = q.args.get<protocol::BalloonIn>();
    if (!q.args.finished()) return EINVAL;
    const pages::AccountId id = q.client.account;
    if (!donation_stands(q.client)) return EPERM;
    const std::uint64_t before = ledger_.account(id).donated;
    const std::uint64_t back = std::min({in.pages, before, ledger_.credit(id)});
    if (back == 0 && in.pages != 0) return EAGAIN;
    ledger_.set_donated(id, before - back);
    adjust_capacity();
    const auto& account = ledger_.account(id);
    q.reply.put(protocol::BalloonOut{back, account.donated, account.quota, account.pinned});
    return 0;
}

void Balloon::adjust_capacity() {
    residency_.set_capacity(config_.cache_pages + ledger_.total_donated());
}

}  // namespace xenfs::server
