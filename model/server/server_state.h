#pragma once
// All that a server has, for the files of this folder. One file a family of operations; the
// declarations stand here in that order.
//
// Everything runs as tasks of one domain, a monitor: between two yield points (storage, gates,
// flush, notify) a function is alone. What may yield is marked MAY_YIELD. What must hold across a
// yield is guarded by counts: InodeUse keeps the record, ConnectionUse the ring, Inode::io and the
// cache's pins keep slots.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "model/cache/page_cache.h"
#include "model/host/host.h"
#include "model/host/storage.h"
#include "model/pages/frame_pool.h"
#include "model/pages/grant_book.h"
#include "model/pages/ledger.h"
#include "model/policies/charging/policy.h"
#include "model/policies/dedup/policy.h"
#include "model/server/journal.h"
#include "model/server/latency.h"
#include "model/server/lock_requests.h"
#include "model/server/open_files.h"
#include "model/server/operations.h"
#include "model/server/page_fill.h"
#include "model/server/part.h"
#include "model/server/recovery.h"
#include "model/server/request.h"
#include "model/server/room.h"
#include "model/server/scan.h"
#include "model/server/server.h"
#include "model/server/sharing.h"
#include "model/server/write_back.h"

namespace xenfs::server {

class ServerState final : public Answerer {
  public:
    ServerState(host::Host& host, host::Storage& storage, Config config);
    ~ServerState();

    // --- server.cpp
    int attach(const Attachment& attachment);
    int detach(DomainId guest, std::uint32_t number);
    void start();
    /// A task that stop() waits for.
    template <class Body>
    void spawn(const char* name, Body body);
    void stop() MAY_YIELD;
    void check() const;

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
    Request* next_request();
    Request* take_request(Connection& c);
    void take_urgent();
    void serve(Worker& worker, Request& q) MAY_YIELD;
    int dispatch(Request& q) MAY_YIELD;
    /// Publishes the reply and gives the slot back.
    void finish(Request& q, int error, std::size_t result_bytes) MAY_YIELD override;
    void finish(Request& q) MAY_YIELD;
    void answer(Request& q, int error, std::size_t result_bytes) MAY_YIELD override;
    void recheck_lease(Request& q);
    void note_progress(const Request& q);

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

    // --- namespace.cpp
    int lookup(Request& q) MAY_YIELD;
    int make_node(Request& q, host::FileType type, std::uint32_t mode, std::uint32_t rdev,
                  std::string_view name, std::string_view target) MAY_YIELD;
    int mknod(Request& q) MAY_YIELD;
    int mkdir(Request& q) MAY_YIELD;
    int symlink(Request& q) MAY_YIELD;
    int link(Request& q) MAY_YIELD;
    int unlink(Request& q) MAY_YIELD;
    Result<host::Attr> unlinked_before(NodeId node) MAY_YIELD;
    void name_gone(Acks& acks, Connection& by, NodeId parent, std::string_view name,
                   const host::Attr& gone) MAY_YIELD;
    int rmdir(Request& q) MAY_YIELD;
    int rename(Request& q) MAY_YIELD;
    int rename2(Request& q) MAY_YIELD;
    int rename_to(Request& q, const protocol::Rename2In& in) MAY_YIELD;
    int readlink(Request& q) MAY_YIELD;
    int readdir(Request& q) MAY_YIELD;
    int create(Request& q) MAY_YIELD;
    void reply_entry(Request& q, Inode& inode, const host::Attr& attr);
    void entry_changed(Acks& acks, Connection& by, NodeId parent, std::string_view name) MAY_YIELD;

    // --- attributes.cpp
    int getattr(Request& q) MAY_YIELD;
    int setattr(Request& q) MAY_YIELD;
    int statfs(Request& q) MAY_YIELD;
    Result<host::Attr> attributes(Inode& inode) MAY_YIELD;
    void learn(Inode& inode, const host::Attr& from_storage);
    int truncate(Request& q, Inode& inode, std::uint64_t size,
                 std::vector<pages::FrameIndex>* frames) MAY_YIELD;
    int reserve_tails(Request& q, const Inode& inode, std::uint64_t size,
                      std::vector<pages::FrameIndex>& frames);
    int forget(Request& q);
    int batch_forget(Request& q);
    void forget_node(Connection& c, NodeId node);

    // --- open_requests.cpp
    int open(Request& q) MAY_YIELD;
    int opendir(Request& q) MAY_YIELD;
    int open_inode(Request& q, InodeUse& inode, std::uint32_t flags, bool created,
                   protocol::OpenOut& out) MAY_YIELD;
    int prepare_open(Request& q, InodeUse& inode, std::uint32_t flags, bool created,
                     protocol::OpenOut& out) MAY_YIELD;
    int release(Request& q) MAY_YIELD;
    int flush(Request& q) MAY_YIELD;
    int fsync(Request& q) MAY_YIELD;
    int syncfs(Request& q) MAY_YIELD;
    int init(Request& q);
    int destroy(Request& q);
    /// The regular file of a page request: by fh, or by node for the lease's holder. Null: EBADF.
    InodeTable::Index file_for_pages(Request& q, std::uint64_t fh, bool write);

    // --- leases
    /// Recalls the lease of another client for a request, which is parked meanwhile: 0 or `parked`.
    int recall(Request& q, InodeTable::Index index) MAY_YIELD;
    int lease_return(Request& q);

    // --- pages_get.cpp, pages_commit.cpp, flips.cpp
    int pages_get(Request& q) MAY_YIELD;
    std::uint32_t cached_behind(Request& q, Inode& inode, InodeTable::Index index,
                                std::uint64_t first, std::uint32_t most);
    int pages_commit(Request& q) MAY_YIELD;
    int pages_release(Request& q);
    int copy_in_commit(Request& q, Inode& inode, InodeTable::Index index, std::uint32_t first,
                       std::span<const std::uint32_t> refs);
    void end_copied_in(Request& q, std::span<const std::uint32_t> refs);
    void outdate_variants(Inode& inode, const Connection& c, std::uint32_t first,
                          std::uint32_t count);
    void drop_other_variants(Acks& acks, Inode& inode, const Connection& c, std::uint32_t first,
                             std::uint32_t count) MAY_YIELD;
    std::size_t flip_out(Request& q, std::span<const cache::Slot> slots,
                         std::span<const std::uint32_t> accept, Lack& lack);
    std::size_t flip_in_accept(Request& q, std::uint32_t count, Lack& lack);
    int flip_in_commit(Request& q, Inode& inode, InodeTable::Index index, std::uint32_t first,
                       std::span<const std::uint32_t> refs) MAY_YIELD;
    pages::GrantBook::EndResult end_entries(Connection& c, std::span<const GrantRef> refs);
    std::span<const std::uint32_t> given_before(Request& q, std::span<const std::uint32_t> refs);
    /// A request that comes again: entries that its first life gave and the client never saw end.
    void end_unseen(Request& q);

    // --- balloon.cpp
    int donate(Request& q);
    int reclaim(Request& q);
    bool donation_stands(Connection& c);
    void adjust_capacity();

    // --- lock_requests.h
    int getlk(Request& q) { return locks_.get(q); }
    int setlk(Request& q) MAY_YIELD { return locks_.set(q, false); }
    int setlkw(Request& q) MAY_YIELD { return locks_.set(q, true); }
    int interrupt(Request& q) MAY_YIELD { return locks_.interrupt(q); }

    // --- resume.cpp: clients of a predecessor come back
    int come_back(Request& q) MAY_YIELD;
    bool resume_item(Request& q, const protocol::ResumeItem& item, std::uint32_t& stands) MAY_YIELD;
    void not_coming_back(Connection& c) MAY_YIELD;
    /// What a predecessor did for the request; nothing: it was not done before.
    std::optional<Replay> replay(Request& q);
    /// Reports to the journal what a request is about to do, and done() as soon as it is done.
    void intend(Request& q, Change what);
    /// Does so for a change that needs the name to be absent, after a look-up; only then.
    void intend_new(Request& q, std::string_view name, NodeId node = 0) MAY_YIELD;
    void done(Request& q, NodeId node);

    // --- xattr.cpp
    int setxattr(Request& q) MAY_YIELD;
    int getxattr(Request& q) MAY_YIELD;
    int listxattr(Request& q) MAY_YIELD;
    int removexattr(Request& q) MAY_YIELD;

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

    Clients clients_{[this] { control_gate_->wake_one(); }};
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

    std::uint64_t ready_ = 0;       ///< connections whose ring may hold requests
    std::uint32_t next_ready_ = 0;  ///< round robin
    std::uint32_t idle_ = 0, running_ = 0;
    RequestBuffer incoming_;     ///< as it comes off the ring
    Nanoseconds next_look_ = 0;  ///< when parking_task() looks again
    Nanoseconds next_poll_ = 0;  ///< when it raises events again; 0: nobody is waited for
    bool started_ = false, stopping_ = false, look_ = false;

    std::unique_ptr<host::Gate> work_gate_, control_gate_, parking_gate_, stop_gate_;
    std::vector<std::unique_ptr<Worker>> workers_;
    Recovery recovery_{*this};
};

}  // namespace xenfs::server
