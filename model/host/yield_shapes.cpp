// These are the shapes of a function that yields, each right and wrong. The target `yields`
// compiles this file with clang's -verify, which passes only if each wrong shape is reported where
// it is marked, and nothing else is.
#include <functional>

#include "model/host/tasks.h"

namespace xenfs::host {
namespace {

int read_disk(Gate& gate) MAY_YIELD;
int read_disk(Gate& gate) {
    return gate.wait() ? 0 : 1;
}

int forgotten(Gate& gate) {
    return read_disk(gate);  // expected-error {{requires holding mark 'may_yield'}}
}

int forgotten_on_one_path(Gate& gate, bool task) {
    if (task) begin_task();
    return read_disk(gate);  // expected-error {{requires holding mark 'may_yield'}}
}

// Virtual functions
struct Cache {
    virtual ~Cache() = default;
    virtual int fill(Gate& gate) MAY_YIELD = 0;
    virtual int evict(Gate& gate) const MAY_YIELD = 0;
};
struct MarkedCache : Cache {
    int fill(Gate& gate) MAY_YIELD override { return read_disk(gate); }
    int evict(Gate& gate) const MAY_YIELD override { return read_disk(gate); }
};
struct UnmarkedCache : Cache {
    int fill(Gate& gate) override {
        return read_disk(gate);  // expected-error {{requires holding mark 'may_yield'}}
    }
    int evict(Gate&) const override { return 0; }  // does not yield, so it needs no mark
};
int call_virtual(Cache& cache, Gate& gate) {
    return cache.fill(gate);  // expected-error {{requires holding mark 'may_yield'}}
}

// Lambdas and templates
int marked_lambda(Gate& gate) MAY_YIELD {
    const auto fill = [&](int times) MAY_YIELD -> int { return read_disk(gate) + times; };
    return fill(1);
}
int unmarked_lambda(Gate& gate) MAY_YIELD {
    const auto fill = [&] {
        return read_disk(gate);  // expected-error {{requires holding mark 'may_yield'}}
    };
    return fill();
}
int call_lambda(Gate& gate) {
    const auto fill = [&]() MAY_YIELD { return read_disk(gate); };
    return fill();  // expected-error {{requires holding mark 'may_yield'}}
}
template <class Each>
void for_each(Each&& each) MAY_YIELD {
    each(1);
}
template <class Each>
void for_each_unmarked(Each&& each) {
    each(1);  // expected-error {{requires holding mark 'may_yield'}}
}
void call_templates(Gate& gate) MAY_YIELD {
    for_each([&](int) MAY_YIELD { read_disk(gate); });
    for_each_unmarked([](int) {});
    for_each_unmarked(  // expected-note {{in instantiation of function template}}
        [&](int) MAY_YIELD { read_disk(gate); });
}

// Where tasks begin
void spawn_task(Tasks& tasks, Gate& gate) {
    tasks.spawn(
        "reader", [&]() MAY_YIELD { read_disk(gate); }, true);
}
int enter_from_outside(Gate& gate) {
    begin_task();
    return read_disk(gate);
}
std::function<void()> handler(Gate& gate) {
    return [&] {
        gate.wake_all();
        gate.wait(0);  // expected-error {{requires holding mark 'may_yield'}}
    };
}

// Constructors and destructors: their own callers are checked, their bodies are not
struct Loan {
    explicit Loan(Gate& from) MAY_YIELD : gate(from) { gate.wait(); }
    ~Loan() MAY_YIELD { gate.wait(); }
    Gate& gate;
};
void borrow(Gate& gate) MAY_YIELD {
    Loan loan(gate);
}
void borrow_unmarked(Gate& gate) {
    Loan loan(gate);  // expected-error {{requires holding mark 'may_yield'}}
}  // expected-error {{function '~Loan' requires holding mark 'may_yield'}}

}  // namespace
}  // namespace xenfs::host
