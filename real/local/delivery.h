#pragma once
#include <cstdint>
#include <functional>
#include <thread>

#include "real/common/monitor.h"
#include "real/local/wire.h"

namespace xenfs::real::local {

/// Each domain has one such thread. It waits for the domain's event channels, its watches and the
/// end of its link, and calls back for each; the callback enters the monitor where it needs to. A
/// task may listen to event channels too (EventSource): where several threads wait at an epoll, the
/// kernel wakes the last that came.
class Delivery final : public EventSource {
  public:
    using Key = std::uint64_t;
    /// All other keys are ports.
    static constexpr Key link = ~Key{0}, store = link - 1, stop = link - 2, interruption = link - 3;

    Delivery();
    ~Delivery() override { finish(); }
    void start(std::function<void(Key)> ready);
    void finish();  ///< joins the thread
    void add(int descriptor, Key key, bool only_its_end = false);
    void remove(int descriptor);

    bool serve_event(Nanoseconds timeout) override;
    void interrupt() override;
    void end_interrupt() override;

  private:
    void run();
    std::function<void(Key)> ready_;
    Descriptor epoll_, stop_, interruption_;
    std::thread thread_;
};

}  // namespace xenfs::real::local
