#include "real/local/delivery.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "real/local/segment.h"

namespace xenfs::real::local {

Delivery::Delivery()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      interruption_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!epoll_ || !stop_ || !interruption_) {
        throw LocalError("no descriptors left for a domain's events");
    }
    add(stop_.get(), stop);
    add(interruption_.get(), interruption);
}

void Delivery::start(std::function<void(Key)> ready) {
    ready_ = std::move(ready);
    thread_ = std::thread([this] { run(); });
}

void Delivery::finish() {
    if (!thread_.joinable()) return;
    eventfd_write(stop_.get(), 1);
    thread_.join();
}

void Delivery::add(int descriptor, Key key, bool only_its_end) {
    epoll_event event{};
    event.events = only_its_end ? 0u : std::uint32_t{EPOLLIN};  // EPOLLHUP comes in any case
    // A port is edge-triggered, so that one event wakes one thread only. The others stay raised
    // until they are served, whichever thread saw them first.
    if (key < interruption) event.events |= std::uint32_t{EPOLLET};
    event.data.u64 = key;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event);
}

void Delivery::remove(int descriptor) {
    // It is removed by name: closing it would not do while the peer has the same eventfd open.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void Delivery::run() {
    pthread_setname_np(pthread_self(), "xenfs-events");
    for (;;) {
        epoll_event events[16];
        const int count = epoll_wait(epoll_.get(), events, 16, -1);
        if (count < 0 && errno != EINTR) return;
        for (int i = 0; i < count; ++i) {
            if (events[i].data.u64 == stop) return;
            if (events[i].data.u64 == interruption) {
                std::this_thread::yield();  // the port is a task's, which will see it at once
            } else {
                ready_(events[i].data.u64);
            }
        }
    }
}

bool Delivery::serve_event(Nanoseconds timeout) {
    constexpr Nanoseconds millisecond = 1'000'000, longest = 3'600'000 * millisecond;
    const auto wait_ms = static_cast<int>(std::min(timeout, longest) / millisecond + 1);
    epoll_event event;
    if (epoll_wait(epoll_.get(), &event, 1, wait_ms) != 1) return false;
    if (event.data.u64 == interruption) return false;
    // Only the thread serves keys that are no ports, and it is also woken for those.
    if (event.data.u64 < interruption) ready_(event.data.u64);
    return true;
}

void Delivery::interrupt() {
    eventfd_write(interruption_.get(), 1);
}

void Delivery::end_interrupt() {
    eventfd_t count = 0;
    eventfd_read(interruption_.get(), &count);
}

}  // namespace xenfs::real::local
