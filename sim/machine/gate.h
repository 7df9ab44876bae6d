#pragma once
#include "model/host/tasks.h"
#include "sim/machine/task.h"

namespace xenfs::sim {

/// Tasks of one machine wait here for each other; first come, first served.
class SimGate final : public host::Gate {
  public:
    SimGate(Scheduler& scheduler, unsigned number) : scheduler_(scheduler), number_(number) {}
    ~SimGate() override;
    bool wait(Nanoseconds timeout) override;
    void wake_one() override;
    void wake_all() override;
    unsigned number() const { return number_; }

  private:
    friend class Scheduler;
    void enter(Task& task);
    void leave(Task& task);
    Scheduler& scheduler_;
    Task *first_ = nullptr, *last_ = nullptr;
    unsigned number_;
};

}  // namespace xenfs::sim
