#pragma once
// What tests of the server's parts use instead of a host: a clock that stands still until it is
// moved, gates that nobody wakes, and clients whose ring lies in this program's memory.

#include <memory>
#include <span>
#include <vector>

#include "model/protocol/ring.h"
#include "model/server/clients.h"

namespace xenfs::server::tests {

class TestClock final : public host::Clock {
  public:
    Nanoseconds now() const override { return time; }
    void charge(Nanoseconds cpu) override { time += cpu; }
    void flush() MAY_YIELD override {}
    void sleep(Nanoseconds duration) MAY_YIELD override { time += duration; }
    Nanoseconds time = 1;
};

/// A wait lasts until its timeout; without one it would last for ever, which a test must not do.
class TestGate final : public host::Gate {
  public:
    explicit TestGate(TestClock& clock) : clock_(clock) {}
    bool wait(Nanoseconds timeout) MAY_YIELD override {
        assert(timeout != host::forever);
        clock_.time += timeout;
        return false;
    }
    void wake_one() override { ++wakes; }
    void wake_all() override { ++wakes; }
    int wakes = 0;

  private:
    TestClock& clock_;
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

/// The client's end of a connection that is established at once.
class TestClient {
  public:
    explicit TestClient(Clients& clients) : connection(*clients.add()) {
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

}  // namespace xenfs::server::tests
