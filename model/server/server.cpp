#include "model/server/server.h"

#include <algorithm>
#include <stdexcept>

#include "model/policies/eviction/registry.h"
#include "model/server/server_state.h"

namespace xenfs::server {
ServerState::ServerState(host::Host& host, host::Storage& storage, Config config)
    : host_(host),
      storage_(storage),
      config_(std::move(config)),
      dedup_(policies::dedup_policies().make(config_.dedup)),
      scanner_(
          dedup_->make_scanner({config_.scan_pages, config_.scan_hints, config_.scan_hint_share})),
      charging_(policies::charging_policies().make(config_.charging)),
      by_name_(dedup_->shares_by_name()),
      by_content_(dedup_->shares_by_content()),
      ledger_(charging_->rebate()),
      residency_({host.frames(), host.grants(), ledger_, *charging_, journal_, stats_,
                  [this] { room_made(); }, [this] { io_settled(); }},
                 policies::make_eviction_policy(config_.eviction), config_.cache_pages,
                 by_content_ ? 8 : 1),
      notices_({host.clock(), host.events(), host.tasks().make_gate(), clients_, config_, stats_,
                [this] { parking_gate_->wake_one(); }}),
      coherence_({host.clock(), clients_, notices_, config_, stats_, [this] { leases_settled(); }}),
      parking_([this] { work_gate_->wake_one(); }) {
    if (config_.recovery && (!by_name_ || by_content_)) {
        throw std::invalid_argument("recovery after a crash needs the dedup policy 'name', not '" +
                                    config_.dedup + "'");
    }
    work_gate_ = host_.tasks().make_gate();
    io_gate_ = host_.tasks().make_gate();
    control_gate_ = host_.tasks().make_gate();
    flush_gate_ = host_.tasks().make_gate();
    room_gate_ = host_.tasks().make_gate();
    parking_gate_ = host_.tasks().make_gate();
    scan_gate_ = host_.tasks().make_gate();
    stop_gate_ = host_.tasks().make_gate();
}

ServerState::~ServerState() = default;

int ServerState::attach(const Attachment& attachment) {
    for (const auto& c : clients_.places()) {
        if (c == nullptr || c->attachment.guest != attachment.guest ||
            c->attachment.number != attachment.number) {
            continue;
        }
        if (!c->withdrawn || c->next) return EEXIST;
        c->next = attachment;  // a domain that came back before its old one was gone
        return 0;
    }
    Connection* const made = clients_.add();
    if (made == nullptr) return ENOSPC;
    made->attachment = attachment;
    made->device = {attachment.guest, host_.self(), attachment.number};
    made->looked_at = true;
    look_ = true;
    if (started_) control_gate_->wake_one();
    return 0;
}

int ServerState::detach(DomainId guest, std::uint32_t number) {
    for (auto& c : clients_.places()) {
        if (c == nullptr || c->device.guest != guest || c->device.number != number) continue;
        if (c->withdrawn && !c->next) return ENOENT;
        c->withdrawn = true;
        c->next.reset();
        look_ = true;
        if (started_) control_gate_->wake_one();
        return 0;
    }
    return ENOENT;
}

void ServerState::start() {
    started_ = true;
    host_.tasks().spawn(
        "xenfs-control", [this]() MAY_YIELD { control(); }, true);
    host_.tasks().spawn(
        "xenfs-writeback", [this]() MAY_YIELD { write_back_task(); }, true);
    host_.tasks().spawn(
        "xenfs-room", [this]() MAY_YIELD { room_task(); }, true);
    host_.tasks().spawn(
        "xenfs-parking", [this]() MAY_YIELD { parking_task(); }, true);
    if (scanner_ != nullptr && config_.scan_pages != 0) {
        host_.tasks().spawn(
            "xenfs-scan", [this]() MAY_YIELD { scan_task(); }, true);
    }
    for (unsigned i = 0; i < std::max(config_.workers, 1u); ++i) {
        workers_.push_back(std::make_unique<Worker>());
        Worker* worker = workers_.back().get();
        worker->number = i;
        host_.tasks().spawn(
            "xenfs-worker", [this, worker]() MAY_YIELD { work(*worker); }, true);
    }
}

void ServerState::stop() {
    std::vector<InodeTable::Index> all;
    inodes_.for_each([&](InodeTable::Index i, Inode&) { all.push_back(i); });
    for (const InodeTable::Index i : all) {
        if (inodes_[i].node == 0) continue;
        InodeUse inode(*this, i);
        write_back(*inode);
    }
    stopping_ = true;
    notices_.stop();
    while (running_ != 0) {
        work_gate_->wake_all();
        io_gate_->wake_all();
        control_gate_->wake_all();
        flush_gate_->wake_all();
        room_gate_->wake_all();
        parking_gate_->wake_all();
        scan_gate_->wake_all();
        stop_gate_->wait();
    }
    for (auto& c : clients_.places()) {
        if (c == nullptr || c->watch == 0) continue;
        host_.store().unwatch(c->watch);
        // What the control task had no time to take down; nobody else knows of it any more.
        if (c->withdrawn) host_.store().remove(protocol::backend_path(c->device));
    }
}

void ServerState::reap(InodeTable::Index index) {
    Inode& inode = inodes_[index];
    if (inode.node == 0 || inode.refs != 0 || inode.io != 0 || inode.believers.holders() != 0 ||
        inode.openers != 0 || inode.believers.lease() != no_connection || inode.storage_open ||
        inode.dirty_listed || inode.untold || (inode.locks && !inode.locks->empty()) ||
        pages_cached(inode) != 0) {
        return;
    }
    journal_->drop_node(inode);
    inodes_.erase(index);
}

std::uint64_t ServerState::pages_cached(const Inode& inode) const {
    std::uint64_t pages = inode.file == no_file ? 0 : cache_.file_pages(inode.file);
    for (const std::uint32_t file : inode.files) {
        if (file != no_file) pages += cache_.file_pages(file);
    }
    return pages;
}

InodeUse::InodeUse(ServerState& server, NodeId node)
    : InodeUse(server, server.inodes_.find_or_make(node)) {}
InodeUse::InodeUse(ServerState& server, InodeTable::Index index)
    : server_(server), index_(index), inode_(server.inodes_[index]) {
    ++inode_.refs;
}
InodeUse::~InodeUse() {
    --inode_.refs;
    server_.reap(index_);
}

void ServerState::check() const {
    ledger_.check_all();
    residency_.check();
}

Server::Server(host::Host& host, host::Storage& storage, Config config)
    : state_(std::make_unique<ServerState>(host, storage, std::move(config))) {}
Server::~Server() = default;
int Server::attach(const Attachment& attachment) {
    return state_->attach(attachment);
}
int Server::detach(DomainId guest, std::uint32_t number) {
    return state_->detach(guest, number);
}
void Server::start() {
    state_->start();
}
void Server::stop() {
    state_->stop();
}
void Server::abandon() {
    state_->journal_ = std::make_unique<Journal>();
    state_->residency_.abandon();
}
const Stats& Server::stats() const {
    return state_->stats_;
}
std::uint32_t Server::cached_pages() const {
    return state_->cache_.size();
}
std::uint32_t Server::dirty_pages() const {
    return state_->cache_.dirty_count();
}
Server::Pool Server::pool() const {
    const pages::FramePool& pool = state_->pool_;
    return {pool.owned(), pool.free(), pool.most_owned()};
}
FrameAccount Server::frames() const {
    return state_->residency_.frames();
}
void Server::check() const {
    state_->check();
}

std::uint32_t Server::connected() const {
    return static_cast<std::uint32_t>(
        std::count_if(state_->clients_.places().begin(), state_->clients_.places().end(),
                      [](const auto& c) { return c != nullptr && c->alive(); }));
}

Server::Sharing Server::sharing() const {
    const pages::GrantBook& book = state_->book_;
    return {book.shared_frames(), book.extra_entries(), state_->host_.grants().granted(),
            state_->host_.grants().grant_capacity()};
}

const Latencies& Server::latencies() const {
    return state_->latencies_;
}

Server::Client Server::client(DomainId guest, std::uint32_t number) const {
    for (const auto& c : state_->clients_.places()) {
        if (c == nullptr || c->device.guest != guest || c->device.number != number) continue;
        return {c->alive(), c->open_files, state_->coherence_.held(*c)};
    }
    return {};
}

Server::Charges Server::charges(DomainId guest, std::uint32_t number) const {
    for (const auto& c : state_->clients_.places()) {
        if (c == nullptr || !c->alive() || c->device.guest != guest || c->device.number != number) {
            continue;
        }
        const auto& account = state_->ledger_.account(c->account);
        Charges charges;
        charges.pinned = account.pinned;
        charges.donated = account.donated;
        charges.quota = account.quota;
        charges.held = state_->book_.held(c->account);
        charges.rebate = account.rebate / pages::Ledger::rebate_unit;
        charges.owed = account.owed;
        charges.seized = account.seized;
        return charges;
    }
    return {};
}

}  // namespace xenfs::server
