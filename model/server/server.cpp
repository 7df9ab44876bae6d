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
                  [this] { room_.made(); }, [this] { fill_.settled(); }},
                 policies::make_eviction_policy(config_.eviction), config_.cache_pages,
                 by_content_ ? 8 : 1),
      notices_({host.clock(), host.events(), host.tasks().make_gate(), clients_, config_, stats_,
                [this] { parking_gate_->wake_one(); }}),
      coherence_({host.clock(), clients_, notices_, config_, stats_, [this] { leases_settled(); }}),
      parking_([this] { wake_worker(); }),
      shared_{host_,    storage_, config_,    stats_,   journal_, residency_,  inodes_,
              clients_, notices_, coherence_, parking_, by_name_, by_content_, stopping_},
      io_(host.tasks().make_gate()),
      write_back_(shared_, io_,
                  {[this] {
                       room_.note_progress();
                       room_.made();
                   },
                   [this] { return room_.waits_for(Lack::frames); },
                   [this](Inode& inode) MAY_YIELD { return files_.let_go_early(inode); }}),
      room_(shared_, ledger_, write_back_, *this),
      sharing_(shared_, room_, scanner_.get()),
      fill_(shared_, io_, room_, sharing_),
      scan_(shared_, sharing_, scanner_.get()),
      files_(shared_, io_, fill_, [this] { return recovery_.under_way(); }),
      locks_(shared_, files_, [this] { return recovery_.under_way(); }),
      changes_(shared_),
      attributes_(shared_, io_, write_back_, room_, sharing_, fill_, changes_),
      outside_(shared_, io_, files_, fill_, attributes_, [this] { return recovery_.under_way(); }),
      opens_(shared_, write_back_, files_, locks_, attributes_),
      names_(shared_, files_, changes_, attributes_, opens_),
      balloon_(shared_, ledger_, [this](Connection& c) { begin_close(c); }),
      page_requests_(shared_, {io_, write_back_, room_, sharing_, fill_, changes_, attributes_,
                               opens_, balloon_, [this] { control_gate_->wake_one(); }}),
      ranges_(shared_, {io_, write_back_, fill_, changes_, attributes_, opens_}),
      xattrs_(shared_, write_back_),
      returns_(shared_, files_, attributes_, [this] {
          look_ = true;
          control_gate_->wake_one();
      }) {
    if (config_.recovery && (!by_name_ || by_content_)) {
        throw std::invalid_argument("recovery after a crash needs the dedup policy 'name', not '" +
                                    config_.dedup + "'");
    }
    work_gate_ = host_.tasks().make_gate();
    control_gate_ = host_.tasks().make_gate();
    parking_gate_ = host_.tasks().make_gate();
    stop_gate_ = host_.tasks().make_gate();
}

ServerState::~ServerState() = default;

int ServerState::attach(const Attachment& attachment) {
    if (Connection* const c = clients_.find(attachment.guest, attachment.number)) {
        if (!c->withdrawn || c->next) return EEXIST;
        c->next = attachment;  // a domain that came back before its old one was gone
        return 0;
    }
    if (stopping_) return ESHUTDOWN;
    Connection* const made = clients_.add({attachment.guest, host_.self(), attachment.number});
    if (made == nullptr) return EUSERS;
    made->attachment = attachment;
    made->looked_at = true;
    look_ = true;
    if (started_) control_gate_->wake_one();
    return 0;
}

int ServerState::detach(DomainId guest, std::uint32_t number) {
    Connection* const c = clients_.find(guest, number);
    if (c == nullptr || (c->withdrawn && !c->next)) return ENOENT;
    c->withdrawn = true;
    c->next.reset();
    look_ = true;
    if (started_) control_gate_->wake_one();
    return 0;
}

template <class Body>
void ServerState::spawn(const char* name, Body body) {
    host_.tasks().spawn(
        name,
        [this, body]() MAY_YIELD {
            ++running_;
            body();
            --running_;
            stop_gate_->wake_all();
        },
        true);
}

void ServerState::start() {
    started_ = true;
    host_.tasks().spawn(
        "xenfs-control", [this]() MAY_YIELD { control(); }, true);
    spawn("xenfs-writeback", [this]() MAY_YIELD { write_back_.run(); });
    spawn("xenfs-nameless", [this]() MAY_YIELD { files_.run(); });
    spawn("xenfs-room", [this]() MAY_YIELD { room_.run(); });
    spawn("xenfs-outside", [this]() MAY_YIELD { outside_.run(); });
    spawn("xenfs-parking", [this]() MAY_YIELD { parking_task(); });
    if (scanner_ != nullptr && config_.scan_pages != 0) {
        spawn("xenfs-scan", [this]() MAY_YIELD { scan_.run(); });
    }
    for (unsigned i = 0; i < std::max(config_.workers, 1u); ++i) {
        workers_.push_back(std::make_unique<Worker>());
        Worker* worker = workers_.back().get();
        worker->number = i;
        spawn("xenfs-worker", [this, worker]() MAY_YIELD { work(*worker); });
    }
}

/// What clients keep to themselves under leases is asked for, while requests are still served.
void ServerState::recall_leases() {
    coherence_.give_no_more();
    for (;;) {
        std::vector<InodeTable::Index> leased;
        inodes_.for_each([&](InodeTable::Index i, const Inode& inode) {
            if (inode.believers.lease() != no_connection) leased.push_back(i);
        });
        if (leased.empty()) return;
        for (const InodeTable::Index i : leased) {
            InodeUse inode(inodes_, i);
            coherence_.begin_recall(*inode);
        }
        // A client that is silent loses its lease with time alone.
        stop_gate_->wait(config_.ack_timeout / 64);
    }
}

void ServerState::stop() {
    (void)write_back_.write_all();  // whatever a guest may do to put off the end of its leases
    recall_leases();
    files_.let_all_go();
    (void)write_back_.write_all();
    stopping_ = true;
    notices_.stop();
    while (running_ != 0) {
        work_came_.store(true, std::memory_order_relaxed);
        work_gate_->wake_all();
        io_.wake();
        control_gate_->wake_all();
        write_back_.wake();
        files_.wake();
        room_.wake();
        parking_gate_->wake_all();
        scan_.wake();
        outside_.wake();
        stop_gate_->wait();
    }
    // Commits that were under way as the rest was written.
    (void)write_back_.write_all();
    for (std::size_t i = 0; i < clients_.places().size(); ++i) {
        // survives yields: nobody but the control task, which has ended, removes connections
        Connection* const c = clients_.places()[i].get();
        if (c == nullptr || c->watch == 0) continue;
        host_.store().unwatch(c->watch);
        // What the control task had no time to take down; nobody else knows of it any more.
        if (c->withdrawn) host_.store().remove(protocol::backend_path(c->device));
    }
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
bool Server::outside_changes_settled() const {
    return state_->outside_.settled();
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
    const Connection* const c = state_->clients_.find(guest, number);
    if (c == nullptr) return {};
    const LockRequests::Account& locks = state_->locks_.account(*c);
    return {c->alive(), state_->files_.count(*c), state_->coherence_.held(*c), locks.locks,
            locks.waits};
}

Server::Charges Server::charges(DomainId guest, std::uint32_t number) const {
    const Connection* const c = state_->clients_.find(guest, number);
    if (c == nullptr || !c->alive()) return {};
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

}  // namespace xenfs::server
