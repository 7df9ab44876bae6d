#pragma once
// The server, put together from its parts, and what runs them: the control task, the workers, and
// what ends the waits of parked requests.
//
// Everything runs as tasks of one domain, a monitor: between two yield points (storage, gates,
// flush, notify) a function is alone. What may yield is marked MAY_YIELD. What must hold across a
// yield is guarded by counts: InodeUse keeps the record, ConnectionUse the ring, FileIo and the
// cache's pins keep slots.

#include <atomic>
#include <memory>
#include <vector>

#include "model/host/poll_window.h"
#include "model/policies/charging/policy.h"
#include "model/server/latency.h"
#include "model/server/operations.h"
#include "model/server/outside_changes.h"
#include "model/server/recovery.h"
#include "model/server/scan.h"
#include "model/server/server.h"

namespace xenfs::server {

class ServerState final : private Answerer {
  public:
    ServerState(host::Host& host, host::Storage& storage, Config config);
    ~ServerState();

    int attach(const Attachment& attachment);
    int detach(DomainId guest, std::uint32_t number);
    void start();
    void stop() MAY_YIELD;
    void check() const;
    const pages::Ledger& ledger() const { return ledger_; }
    const pages::GrantBook& book() const { return book_; }

  private:
    friend class Server;
    friend class Recovery;
    friend class Takeover;

    void recall_leases() MAY_YIELD;
    /// A task that stop() waits for.
    template <class Body>
    void spawn(const char* name, Body body);

    // --- connections.cpp: the control task
    void control() MAY_YIELD;
    void look_at(Connection& c) MAY_YIELD;
    void write_offer(Connection& c);
    void withdraw(Connection& c) MAY_YIELD;
    void connect(Connection& c) MAY_YIELD;
    void disconnect(Connection& c) MAY_YIELD;
    void release_client(Connection& c) MAY_YIELD;
    void begin_close(Connection& c);
    void on_ring_event(Connection& c);

    // --- workers.cpp
    void work(Worker& worker) MAY_YIELD;
    bool look_for_request() MAY_YIELD;
    void wake_worker();
    Request* next_request();
    Request* take_request(Connection& c);
    void look_beyond(Connection& c);
    void take_urgent();
    void serve(Worker& worker, Request& q) MAY_YIELD;
    int dispatch(Request& q) MAY_YIELD;
    /// Publishes the reply and gives the slot back.
    void finish(Request& q, int error, std::size_t result_bytes) MAY_YIELD override;
    void finish(Request& q) MAY_YIELD;
    void answer(Request& q, int error, std::size_t result_bytes) MAY_YIELD override;
    void recheck_lease(Request& q);

    // --- parked.cpp: what ends the waits of parked requests
    void park(Request& q, Wait wait);
    void parking_task() MAY_YIELD;
    Nanoseconds look_at_parked() MAY_YIELD;
    void send_overdue(Connection& c) MAY_YIELD;
    void drop_requests(Connection& c);
    /// A lease is over, or may be.
    void leases_settled();
    /// A client has carried out notices, or is gone.
    void acks_came();

    void not_coming_back(Connection& c) MAY_YIELD;

    host::Host& host_;
    host::Storage& storage_;
    Config config_;
    Stats stats_;
    Latencies latencies_;
    std::unique_ptr<policies::DedupPolicy> dedup_;
    std::unique_ptr<policies::DedupScanner> scanner_;  ///< null: none, or found at I/O time
    std::unique_ptr<policies::ChargingPolicy> charging_;
    const bool by_name_, by_content_;
    pages::Ledger ledger_;
    std::unique_ptr<Journal> journal_ = std::make_unique<Journal>();
    Residency residency_;
    // Views of it, for what only reads.
    const cache::PageCache& cache_ = residency_.pages();
    const pages::FramePool& pool_ = residency_.pool();
    const pages::GrantBook& book_ = residency_.book();
    Inodes inodes_{cache_, journal_};

    Clients clients_{config_.max_guests, [this] { control_gate_->wake_one(); }};
    Notices notices_;
    Coherence coherence_;
    Parking parking_;
    const Shared shared_;
    FileIo io_;
    WriteBack write_back_;
    RoomQueue room_;
    Sharing sharing_;
    PageFill fill_;
    Scanner scan_;
    OpenFiles files_;
    LockRequests locks_;

    Changes changes_;
    Attributes attributes_;
    OutsideChanges outside_;
    OpenRequests opens_;
    Names names_;
    Balloon balloon_;
    PageRequests page_requests_;
    RangeRequests ranges_;
    Xattrs xattrs_;
    Returns returns_;
    Texts texts_;
    Handlers handlers_{names_,  attributes_, opens_, page_requests_, ranges_,
                       xattrs_, balloon_,    locks_, returns_,       texts_};

    ClientSet ready_;                 ///< connections whose ring may hold requests
    ConnectionIndex next_ready_ = 0;  ///< round robin
    std::uint32_t idle_ = 0, running_ = 0;
    host::PollWindow poll_{config_.poll};
    Nanoseconds idle_since_ = 0;  ///< when a worker last found nothing to do; 0: since then one did
    struct {
        ConnectionIndex index = no_connection;
        std::uint32_t generation = 0;
    } last_served_;
    bool polling_ = false;                 ///< a worker looks at the ring of last_served_
    std::atomic<bool> work_came_ = false;  ///< it may stop looking
    RequestBuffer incoming_;               ///< as it comes off the ring
    Nanoseconds next_look_ = 0;            ///< when parking_task() looks again
    Nanoseconds next_poll_ = 0;            ///< when it raises events again; 0: nobody is waited for
    bool started_ = false, stopping_ = false, look_ = false;

    std::unique_ptr<host::Gate> work_gate_, control_gate_, parking_gate_, stop_gate_;
    std::vector<std::unique_ptr<Worker>> workers_;
    Recovery recovery_{*this};
};

}  // namespace xenfs::server
