#pragma once
// What tests of the server's parts use instead of a host: a clock that stands still until it is
// moved, gates at which a test says what other tasks do meanwhile, a storage that fails when it is
// told to, and clients whose ring lies in this program's memory.

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/policies/charging/policy.h"
#include "model/policies/eviction/registry.h"
#include "model/protocol/ring.h"
#include "model/server/lock_requests.h"

namespace xenfs::server::tests {

class TestClock final : public host::Clock {
  public:
    Nanoseconds now() const override { return time; }
    WorldTime world() const override { return epoch.after(time); }
    void charge(Nanoseconds cpu) override { time += cpu; }
    void flush() MAY_YIELD override {}
    void sleep(Nanoseconds duration) MAY_YIELD override { time += duration; }
    static constexpr WorldTime epoch{1'000'000'000, 0};
    Nanoseconds time = 1;
};

/// What other tasks do while this one waits at a gate: one entry at each wait. When there is none,
/// the wait lasts until its timeout; without one it would last for ever, which a test must not do.
using OtherTasks = std::deque<std::function<void()>>;

class TestGate final : public host::Gate {
  public:
    TestGate(TestClock& clock, OtherTasks& others) : clock_(clock), others_(others) {}
    bool wait(Nanoseconds timeout) MAY_YIELD override {
        if (!others_.empty()) {
            const auto other = std::move(others_.front());
            others_.pop_front();
            other();
            return true;
        }
        assert(timeout != host::forever);
        clock_.time += timeout;
        return false;
    }
    void wake_one() override {}
    void wake_all() override {}

  private:
    TestClock& clock_;
    OtherTasks& others_;
};

class TestTasks final : public host::Tasks {
  public:
    TestTasks(TestClock& clock, OtherTasks& others) : clock_(clock), others_(others) {}
    void spawn(std::string, std::function<void()>, bool) override {}
    std::unique_ptr<host::Gate> make_gate() override {
        return std::make_unique<TestGate>(clock_, others_);
    }

  private:
    TestClock& clock_;
    OtherTasks& others_;
};

/// A page's content is one number.
class TestMemory final : public host::Memory {
  public:
    void load(std::span<const host::Piece>, host::Buffer) override {}
    void store(std::span<const host::Piece>, host::Buffer) override {}
    void zero(host::Page page, std::uint16_t, std::uint16_t) override { at(page) = 0; }
    void copy(host::Page from, host::Page to) override { at(to) = at(from); }
    void hash(std::span<const host::Page> pages, std::span<Fingerprint> out) override {
        for (std::size_t i = 0; i < pages.size(); ++i) out[i] = at(pages[i]);
    }
    bool equal(host::Page a, host::Page b) override { return at(a) == at(b); }
    std::byte* bytes(host::Page) override { return nullptr; }
    Result<Frame> allocate_shared() override { return Errno{ENOMEM}; }
    void release_shared(Frame) override {}
    Fingerprint& at(host::Page page) { return content_[page.id]; }

  private:
    std::map<Frame, Fingerprint> content_;
};

/// One level of files by node. `yield`: what other tasks do while the storage is busy.
class TestStorage final : public host::Storage {
  public:
    explicit TestStorage(TestMemory& memory) : memory_(memory) {}
    Result<host::Attr> lookup(NodeId, std::string_view) MAY_YIELD override { return none(); }
    Result<host::Attr> getattr(NodeId node) MAY_YIELD override { return attr(node); }
    Result<host::Attr> setattr(NodeId node, const host::SetAttr& change) MAY_YIELD override {
        if (error != 0) return Errno{error};
        sizes[node] = change.value.size;
        return attr(node);
    }
    Result<host::Attr> create(NodeId, std::string_view, host::FileType, std::uint32_t, host::Owner,
                              std::string_view, std::uint32_t) MAY_YIELD override {
        return none();
    }
    Result<host::Attr> link(NodeId, NodeId, std::string_view) MAY_YIELD override { return none(); }
    Result<host::Attr> unlink(NodeId, std::string_view) MAY_YIELD override { return none(); }
    Result<NodeId> rmdir(NodeId, std::string_view) MAY_YIELD override { return Errno{ENOSYS}; }
    Result<NodeId> rename(NodeId, std::string_view, NodeId, std::string_view,
                          std::uint32_t) MAY_YIELD override {
        return Errno{ENOSYS};
    }
    Result<std::string> readlink(NodeId) MAY_YIELD override { return Errno{ENOSYS}; }
    Result<std::vector<host::DirEntry>> readdir(NodeId, std::uint64_t,
                                                std::size_t) MAY_YIELD override {
        return Errno{ENOSYS};
    }
    Result<host::StatFs> statfs() MAY_YIELD override { return Errno{ENOSYS}; }
    Result<std::string> getxattr(NodeId, std::string_view) MAY_YIELD override {
        return Errno{ENOSYS};
    }
    int setxattr(NodeId, std::string_view, std::string_view, int) MAY_YIELD override {
        return ENOSYS;
    }
    Result<std::vector<std::string>> listxattr(NodeId) MAY_YIELD override { return Errno{ENOSYS}; }
    int removexattr(NodeId, std::string_view) MAY_YIELD override { return ENOSYS; }
    int open_node(NodeId node) MAY_YIELD override {
        if (full > 0) return --full, ENFILE;
        if (node == gone) return ESTALE;
        ++pins[node];
        return 0;
    }
    void close_node(NodeId node) MAY_YIELD override {
        if (closing) closing();
        if (--pins.at(node) == 0) pins.erase(node);
    }
    int read_pages(NodeId node, std::uint64_t first,
                   std::span<const host::Page> to) MAY_YIELD override {
        if (yield) yield();
        for (std::size_t i = 0; error == 0 && i < to.size(); ++i) {
            memory_.at(to[i]) = pages[{node, first + i}];
        }
        return error;
    }
    int write_pages(NodeId node, std::uint64_t first, std::span<const host::Page> from,
                    std::uint64_t) MAY_YIELD override {
        writes.push_back({node, first, from.size()});
        for (std::size_t i = 0; error == 0 && i < from.size(); ++i) {
            pages[{node, first + i}] = memory_.at(from[i]);
        }
        if (yield) yield();
        return error;
    }
    int sync(NodeId, bool) MAY_YIELD override { return error; }
    int sync_all() MAY_YIELD override { return error; }

    struct Write {
        NodeId node;
        std::uint64_t first;
        std::size_t count;
        friend bool operator==(const Write&, const Write&) = default;
    };
    std::map<std::pair<NodeId, std::uint64_t>, Fingerprint> pages;
    std::map<NodeId, std::uint64_t> sizes;
    std::map<NodeId, int> pins;
    int full = 0;  ///< so many more opens are refused
    NodeId gone = 0;
    std::function<void()> closing;  ///< what is seen while a node is let go
    std::vector<Write> writes;
    std::function<void()> yield;
    int error = 0;

  private:
    static Result<host::Attr> none() { return Errno{ENOSYS}; }
    Result<host::Attr> attr(NodeId node) {
        host::Attr made;
        made.node = node;
        made.size = sizes[node];
        return made;
    }
    TestMemory& memory_;
};

class TestEvents final : public host::Events {
  public:
    Result<Port> allocate_unbound(DomainId) override { return Errno{ENOSYS}; }
    Result<Port> bind(DomainId, Port) override { return Errno{ENOSYS}; }
    void close(Port) override {}
    void on_event(Port, std::function<void()>) override {}
    void notify(Port port) MAY_YIELD override { raised.push_back(port); }
    std::vector<Port> raised;
};

class TestFrames final : public host::Frames {
  public:
    std::size_t allocate(std::span<Frame> out) override {
        std::size_t n = 0;
        while (n < out.size() && out_.size() < most) out_.insert(out[n++] = next_++);
        return n;
    }
    void release(std::span<const Frame> frames) override {
        for (const Frame f : frames) EXPECT_EQ(out_.erase(f), 1u) << "released twice";
    }
    std::size_t donate(std::size_t) override { return 0; }
    std::size_t reclaim(std::size_t) override { return 0; }
    std::size_t donated_by(DomainId) const override { return 0; }
    std::size_t owned() const override { return out_.size(); }
    std::size_t limit() const override { return most; }
    void set_limit(std::size_t) override {}
    std::size_t most = 48;

  private:
    Frame next_ = 1000;
    std::set<Frame> out_;
};

/// Entries of which some are kept mapped for a while.
class TestGrants final : public host::Grants {
  public:
    std::size_t grant(DomainId, std::span<const Frame>, Access, std::span<GrantRef> out) override {
        std::size_t n = 0;
        for (GrantRef r = 0; r < used_.size() && n < out.size(); ++r) {
            if (!used_[r]) used_[out[n++] = r] = true;
        }
        return n;
    }
    std::size_t accept_transfer(DomainId to, std::span<GrantRef> out) override {
        return grant(to, {}, Access::read, out);
    }
    void revoke(std::span<const GrantRef> refs, std::span<GrantStatus> status) override {
        for (std::size_t i = 0; i < refs.size(); ++i) {
            status[i] = mapped.contains(refs[i]) ? GrantStatus::busy : GrantStatus::okay;
            if (status[i] == GrantStatus::okay) used_[refs[i]] = false;
        }
    }
    Frame take_transferred(GrantRef) override { return no_frame; }
    std::size_t granted() const override { return 0; }
    std::size_t grant_capacity() const override { return used_.size(); }
    void map(DomainId, std::span<const GrantRef>, Access, std::span<MapHandle>,
             std::span<GrantStatus>) override {}
    void unmap(std::span<const MapHandle>) override {}
    void copy(std::span<host::CopyOperation>) override {}
    void transfer(std::span<host::TransferOperation>) override {}
    std::set<GrantRef> mapped;

  private:
    std::array<bool, 96> used_{};
};

/// The client's end of a connection that is established at once.
class TestClient {
  public:
    explicit TestClient(Clients& clients)
        : connection(*clients.add({.guest = static_cast<DomainId>(10 + clients.places().size())})) {
        std::byte* const slot = pages_[1].bytes;
        front = protocol::RingFront(pages_[0].bytes, std::span(&slot, 1));
        connection.ring = protocol::RingBack(pages_[0].bytes, std::span(&slot, 1));
        connection.port = connection.index;
        connection.state = Connection::State::connected;
    }
    /// Takes the next notice; `carry_out`: and says that it is done. Kind 0: there is none.
    protocol::Notice take(bool carry_out = true) {
        protocol::Notice notice{};
        if (front.take_notice(notice) && carry_out) front.finish_notice();
        return notice;
    }

    Connection& connection;
    protocol::RingFront front;

  private:
    struct alignas(page_size) Page {
        std::byte bytes[page_size];
    };
    std::unique_ptr<Page[]> pages_ = std::make_unique<Page[]>(2);
};

class TestStore final : public host::Store {
  public:
    Result<std::string> read(std::string_view) override { return Errno{ENOENT}; }
    int write(std::string_view, std::string_view) override { return 0; }
    int remove(std::string_view) override { return 0; }
    Result<std::vector<std::string>> list(std::string_view) override { return Errno{ENOENT}; }
    int allow(std::string_view, DomainId) override { return 0; }
    std::uint64_t watch(std::string_view, std::function<void()>) override { return 1; }
    void unwatch(std::uint64_t) override {}
};

class TestHost final : public host::Host {
  public:
    DomainId self() const override { return 0; }
    DomainId granter() const override { return 1; }
    const host::Capabilities& capabilities() const override { return capabilities_; }
    const host::CoreCosts& core_costs() const override { return costs_; }
    const host::MechanismCosts& mechanism_costs() const override { return mechanisms_; }
    TestFrames& frames() override { return frames_; }
    TestGrants& grants() override { return grants_; }
    TestEvents& events() override { return events_; }
    TestMemory& memory() override { return memory_; }
    TestStore& store() override { return store_; }
    TestTasks& tasks() override { return tasks_; }
    TestClock& clock() override { return clock_; }
    OtherTasks others;

  private:
    host::Capabilities capabilities_;
    host::CoreCosts costs_;
    host::MechanismCosts mechanisms_;
    TestClock clock_;
    TestFrames frames_;
    TestGrants grants_;
    TestEvents events_;
    TestMemory memory_;
    TestStore store_;
    TestTasks tasks_{clock_, others};
};

/// All parts, put together as the server does it, over a host in memory.
struct Bench : Answerer {
    virtual ~Bench() = default;
    explicit Bench(std::uint32_t frames = 16) : frames_in_all(frames) {
        config.ack_timeout = 1000;
        config.room_timeout = 16000;
        config.dirty_expire = 5000;
    }
    TestClient& add_client() {
        clients.push_back(std::make_unique<TestClient>(table));
        Connection& c = clients.back()->connection;
        c.account = ledger.open(static_cast<DomainId>(10 + c.index), 64);
        return *clients.back();
    }
    /// A request of a client in service, as serve() would have it.
    Request& request(Connection& c, std::uint16_t slot, bool urgent = false) {
        auto& q = c.requests[slot];
        if (q == nullptr) q = std::make_unique<Request>(c, slot);
        q->urgent = urgent;
        q->worker = &worker;
        q->deadline = host::forever;
        return *q;
    }
    void answer(Request& q, int error, std::size_t) MAY_YIELD override {
        finished.push_back({&q, error});
    }
    void finish(Request& q, int error, std::size_t) MAY_YIELD override {
        finished.push_back({&q, error});
    }

    std::uint32_t frames_in_all;
    TestHost host;
    TestStorage storage{host.memory()};
    Config config;
    Stats stats;
    bool stopping = false, recovering = false;
    int resumed = 0, lease_ended = 0, ring_full = 0, idle = 0;
    std::vector<std::pair<Request*, int>> finished;
    std::vector<std::unique_ptr<TestClient>> clients;
    Worker worker;

    std::unique_ptr<policies::ChargingPolicy> charging = policies::charging_policies().make("each");
    pages::Ledger ledger{charging->rebate()};
    std::unique_ptr<Journal> journal = std::make_unique<Journal>();
    Residency residency{{host.frames(), host.grants(), ledger, *charging, journal, stats,
                         [this] { room.made(); }, [this] { fill.settled(); }},
                        policies::make_eviction_policy("lru"),
                        frames_in_all,
                        1};
    Inodes inodes{residency.pages(), journal};
    Clients table{config.max_guests, [this] { ++idle; }};
    Notices notices{{host.clock(), host.events(), host.tasks().make_gate(), table, config, stats,
                     [this] { ++ring_full; }}};
    Coherence coherence{{host.clock(), table, notices, config, stats, [this] { ++lease_ended; }}};
    Parking parking{[this] { ++resumed; }};
    Shared shared{host,  storage, config,    stats,   journal, residency, inodes,
                  table, notices, coherence, parking, true,    false,     stopping};
    FileIo io{host.tasks().make_gate()};
    WriteBack write_back{shared,
                         io,
                         {[this] {
                              room.note_progress();
                              room.made();
                          },
                          [this] { return room.waits_for(Lack::frames); },
                          [this](Inode& inode) MAY_YIELD { return files.let_go_early(inode); }}};
    RoomQueue room{shared, ledger, write_back, *this};
    Sharing sharing{shared, room, nullptr};
    PageFill fill{shared, io, room, sharing};
    OpenFiles files{shared, io, fill, [] { return false; }};
    LockRequests locks{shared, files, [this] { return recovering; }};
};

}  // namespace xenfs::server::tests
