#include "sim/machine/fiber.h"

#include <cxxabi.h>

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cassert>
#include <cstring>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace xenfs::sim {

namespace context = boost::context;

namespace {

/// The C++ runtime's record of exceptions that a thread handles: the ABI gives its address and its
/// layout (a pointer and a count), but no type for it.
struct Exceptions {
    static constexpr std::size_t size = sizeof(void*) + sizeof(unsigned);
    static void* of_thread() { return abi::__cxa_get_globals(); }
    alignas(void*) unsigned char bytes[size] = {};
};

}  // namespace

/// The handle of a suspended context is passed to the fiber that is resumed after it, which stores
/// it in the fiber to which it belongs (`resumed_by`).
struct Fiber::State {
    void arrive() {
#if defined(__SANITIZE_ADDRESS__)
        const void* bottom = nullptr;
        std::size_t size = 0;
        __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
        resumed_by->stack_bottom = bottom;
        resumed_by->stack_size = size;
#endif
    }
    void leave_for([[maybe_unused]] State& to, [[maybe_unused]] bool for_good) {
        to.resumed_by = this;
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack, to.stack_bottom,
                                       to.stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
        __tsan_switch_to_fiber(to.tsan, 0);
#endif
    }

    context::fiber suspended;  ///< empty while it runs, and once it has ended
    State* resumed_by = nullptr;
    std::function<void()> body;
    bool own_stack = false, started = false;
#if defined(__SANITIZE_ADDRESS__)
    void* fake_stack = nullptr;
    /// where it is a thread's own stack, known when it is first left
    const void* stack_bottom = nullptr;
    std::size_t stack_size = 0;
#endif
#if defined(__SANITIZE_THREAD__)
    void* tsan = nullptr;
#endif
};

namespace {

/// Boost's allocator, which also tells where the stack lies.
template <class State>
struct GuardedStack {
    context::stack_context allocate() {
        const context::stack_context stack = from.allocate();
#if defined(__SANITIZE_ADDRESS__)
        state->stack_bottom = static_cast<char*>(stack.sp) - stack.size;
        state->stack_size = stack.size;
#endif
        return stack;
    }
    void deallocate(context::stack_context& stack) {
        from.deallocate(stack);
    }
    context::protected_fixedsize_stack from;
    State* state;
};

}  // namespace

Fiber::Fiber() : state_(std::make_unique<State>()) {
#if defined(__SANITIZE_THREAD__)
    state_->tsan = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(std::size_t stack_bytes, std::function<void()> body, Fiber& next)
    : state_(std::make_unique<State>()) {
    State& own = *state_;
    own.body = std::move(body);
    own.own_stack = true;
#if defined(__SANITIZE_THREAD__)
    own.tsan = __tsan_create_fiber(0);
#endif
    GuardedStack<State> stack{context::protected_fixedsize_stack(stack_bytes), state_.get()};
    own.suspended = context::fiber(std::allocator_arg, std::move(stack),
                                   [&own, &after = *next.state_](context::fiber&& previous) {
                                       own.arrive();
                                       own.resumed_by->suspended = std::move(previous);
                                       std::exchange(own.body, nullptr)();
                                       own.leave_for(after, true);
                                       return std::move(after.suspended);
                                   });
}

Fiber::~Fiber() {
    assert(!state_->own_stack || !state_->started || !state_->suspended);
#if defined(__SANITIZE_THREAD__)
    if (state_->own_stack) __tsan_destroy_fiber(state_->tsan);
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
    State& own = *from.state_;
    State& other = *to.state_;
    void* const handled = Exceptions::of_thread();
    Exceptions kept;
    std::memcpy(kept.bytes, handled, Exceptions::size);
    std::memset(handled, 0, Exceptions::size);  // a new fiber starts without any
    other.started = true;
    own.leave_for(other, false);
    context::fiber previous = std::move(other.suspended).resume();
    own.arrive();
    // A fiber that has ended leaves no handle.
    own.resumed_by->suspended = std::move(previous);
    std::memcpy(handled, kept.bytes, Exceptions::size);
}

}  // namespace xenfs::sim
