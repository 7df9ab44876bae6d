#include "model/client/client.h"

#include <algorithm>

namespace xenfs::client {
namespace {

constexpr std::size_t flip_headroom = std::size_t{4} * protocol::max_pages_per_request;

}  // namespace

Client::Client(host::Host& host, ClientConfig config)
    : host_(host),
      clock_(host.clock()),
      memory_(host.memory()),
      config_(std::move(config)),
      costs_(host.core_costs()),
      connection_(host, config_, stats_),
      entries_(config_.entry_limit),
      pages_(host, config_, stats_),
      transfer_(policies::transfer_policies().make(config_.transfer, host.mechanism_costs(),
                                                   host.capabilities())),
      page_gate_(host.tasks().make_gate()),
      dirty_gate_(host.tasks().make_gate()),
      exit_gate_(host.tasks().make_gate()) {}

Client::~Client() = default;

int Client::mount() {
    if (mounted_) return EBUSY;
    if (int error = connection_.open()) return error;
    mounted_ = true;
    stopping_ = false;
    const auto start = [this](const char* name, void (Client::*body)()) {
        ++tasks_;
        host_.tasks().spawn(
            name,
            [this, body] {
                (this->*body)();
                --tasks_;
                exit_gate_->wake_all();
            },
            true);
    };
    start("xenfs-notices", &Client::serve_notices);
    start("xenfs-write-behind", &Client::write_behind);
    if (connection_.recoverable()) start("xenfs-follow-server", &Client::follow_server);
    if (config_.donate > 0) donate(config_.donate);
    // A frame flipped to a domain at its limit is lost: there is room for those under way.
    if (host_.capabilities().transfer) {
        host_.frames().set_limit(host_.frames().limit() + flip_headroom);
    }
    return 0;
}

int Client::unmount() {
    if (!mounted_) return EINVAL;
    int error = sync();
    drop_caches();
    for (std::uint32_t i = 0; i < nodes_.records(); ++i) {
        Node& node = nodes_.at(i);
        if (!node.used) continue;
        pages_.drop_range(node.file(), 0, UINT32_MAX);
        pages_.drop_range(node.kernel_file(), 0, UINT32_MAX);
    }
    pages_.settle();
    while (pages_.released() > 0 && connection_.usable()) send_released(false);
    pages_.give_frames_back();
    stopping_ = true;
    connection_.close();
    dirty_gate_->wake_all();
    connection_.notice_gate().wake_all();
    while (tasks_ > 0) exit_gate_->wait(config_.mount_timeout);
    if (donated_ > 0) host_.frames().reclaim(donated_);
    if (host_.capabilities().transfer) {
        host_.frames().set_limit(host_.frames().limit() - flip_headroom);
    }
    donated_ = 0;
    mounted_ = false;
    return error;
}

std::size_t Client::donate(std::size_t pages) {
    const std::size_t went = host_.frames().donate(pages);
    donated_ += went;
    stats_.pages_donated += went;
    Call call(connection_, protocol::Opcode::donate, 0);
    call.put(protocol::BalloonIn{went});
    if (call.send() != 0) return 0;
    const auto out = call.get<protocol::BalloonOut>();
    return call.ok() ? out.donated : 0;
}

std::size_t Client::reclaim(std::size_t pages) {
    Call call(connection_, protocol::Opcode::reclaim, 0);
    call.put(protocol::BalloonIn{pages});
    if (call.send() != 0) return 0;
    const auto out = call.get<protocol::BalloonOut>();
    if (!call.ok()) return 0;
    const std::size_t came = host_.frames().reclaim(std::min<std::size_t>(out.pages, pages));
    donated_ -= std::min<std::uint64_t>(donated_, came);
    return came;
}

void Client::drop_caches() {
    for (std::uint32_t i = 0; i < nodes_.records(); ++i) {
        Node& node = nodes_.at(i);
        if (!node.used) continue;
        pages_.drop_clean(node.file());
        pages_.drop_clean(node.kernel_file());
        node.uses = {};
        if (node.opens == 0 && node.fh_valid && idle(node)) release_fh(node);
        if (!node.lease) forget_attributes(node);
    }
    entries_.clear();
    links_.clear();
    pages_.settle();
    while (pages_.released() >= protocol::max_release_per_request / 2 && connection_.usable()) {
        send_released(false);
    }
    pages_.give_frames_back();
}

std::size_t Client::memory_bytes() const {
    return pages_.memory_bytes() + entries_.memory_bytes();
}

}  // namespace xenfs::client
