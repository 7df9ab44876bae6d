// These are the references, pointers and iterators that must not survive a yield, and some that
// may. The target `yields` passes only if model/host/yields.py finds something in each line that
// says "wrong", and in no other.
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "model/host/tasks.h"

namespace xenfs::host {
namespace {

struct Entry {
    int value = 0;
};

/// A guard: the entry stays where it is while this object holds it.
class YIELD_GUARD EntryUse {
  public:
    explicit EntryUse(Entry& entry) : entry_(entry) {}
    Entry& operator*() const { return entry_; }

  private:
    Entry& entry_;
};

class Table {
  public:
    explicit Table(Gate& gate) : gate_(gate) {}

    void reference() MAY_YIELD {
        auto& entry = entries_[0];  // wrong
        gate_.wait();
        entry.value = 1;
    }
    void iterator() MAY_YIELD {
        const auto found = by_name_.find(1);  // wrong
        if (found == by_name_.end()) return;
        gate_.wait();
        found->second.value = 1;
    }
    void pointer_in_condition(int name) MAY_YIELD {
        if (auto* const entry = &by_name_.at(name)) {  // wrong
            gate_.wait();
            entry->value = 1;
        }
    }
    void next_round() MAY_YIELD {
        auto& entry = entries_.back();  // wrong
        while (entry.value == 0) {
            gate_.wait();
        }
    }
    void left_of_an_assignment() MAY_YIELD {
        auto& entry = entries_.back();  // wrong
        entry.value = ask();
    }
    void loop_over_a_member() MAY_YIELD {
        for (Entry& entry : entries_) {  // wrong
            entry.value = 0;
            gate_.wait();
        }
    }

    void used_before() MAY_YIELD {
        auto& entry = entries_[0];
        entry.value = 1;
        gate_.wait(entry.value);
    }
    void looked_up_again() MAY_YIELD {
        auto found = by_name_.find(1);
        gate_.wait();
        found = by_name_.find(1);
        if (found != by_name_.end()) found->second.value = 1;
    }
    bool leaves_after_the_yield(bool late) MAY_YIELD {
        auto& entry = entries_[0];
        if (late) {
            gate_.wait();
            return false;
        }
        return entry.value == 0;
    }
    void guarded() MAY_YIELD {
        const EntryUse use(entries_[0]);
        auto& entry = *use;
        gate_.wait();
        entry.value = 1;
    }
    void guarded_later() MAY_YIELD {
        auto& entry = entries_[0];
        const EntryUse use(entry);
        gate_.wait();
        entry.value = 1;
    }
    void guarded_too_late() MAY_YIELD {
        auto& entry = entries_[0];  // wrong
        gate_.wait();
        const EntryUse use(entry);
    }
    void explained() MAY_YIELD {
        // survives yields: entries_ has its size from the beginning, and its entries are never
        // erased
        auto& entry = entries_[0];
        gate_.wait();
        entry.value = 1;
    }

  private:
    int ask() MAY_YIELD {
        gate_.wait();
        return 1;
    }

    Gate& gate_;
    std::vector<Entry> entries_{1};
    std::map<int, Entry> by_name_;
};

struct Unmarked {
    explicit Unmarked(Gate& from) : gate(from) {
        gate.wait();  // wrong
    }
    ~Unmarked() {
        gate.wait();  // wrong
    }
    Gate& gate;
};

std::function<void()> erased(Gate& gate) {
    std::function<void()> result = [&]() MAY_YIELD { gate.wait(); };  // wrong
    return result;
}

struct Plain {
    virtual ~Plain() = default;
    virtual void turn(Gate& gate) = 0;
};
struct Marked : Plain {
    void turn(Gate& gate) MAY_YIELD override { gate.wait(); }  // wrong
};

}  // namespace
}  // namespace xenfs::host
