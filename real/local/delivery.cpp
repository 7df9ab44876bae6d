#include "real/local/delivery.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>

#include "real/local/segment.h"

namespace xenfs::real::local {

Delivery::Delivery()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!epoll_ || !stop_) throw LocalError("no descriptors left for a domain's events");
    add(stop_.get(), stop);
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
    event.data.u64 = key;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event);
}

void Delivery::remove(int descriptor) {
    // By name: closing would not do while the peer has the same eventfd open.
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
            ready_(events[i].data.u64);
        }
    }
}

}  // namespace xenfs::real::local
