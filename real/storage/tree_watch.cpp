#include "real/storage/tree_watch.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <utility>

namespace xenfs::real::storage {

TreeWatch::TreeWatch(Monitor& monitor, NodeTable& nodes)
    : monitor_(monitor), nodes_(nodes), stop_(eventfd(0, EFD_CLOEXEC)) {}

TreeWatch::~TreeWatch() {
    stop();
}

void TreeWatch::tell(Tell tell) {
    std::lock_guard hold(mutex_);
    tell_ = std::move(tell);
}

void TreeWatch::start(int descriptor) {
    thread_ = std::thread([this, descriptor] { run(descriptor); });
}

void TreeWatch::stop() {
    if (!thread_.joinable()) return;
    eventfd_write(stop_.get(), 1);
    thread_.join();
}

void TreeWatch::add(Changes& changes, What what, NodeId node, std::string_view name) {
    const bool again = !changes.empty() && changes.back().what == what &&
                       changes.back().node == node && changes.back().name == name;
    if (!again) changes.push_back({what, node, std::string(name)});
}

void TreeWatch::run(int descriptor) {
    Changes changes;
    int patience_ms = -1;
    for (;;) {
        pollfd waits[2] = {{descriptor, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        if (poll(waits, 2, patience_ms) < 0) continue;
        if (waits[1].revents != 0) return;
        patience_ms = read(changes);
        if (changes.empty()) continue;
        {
            Monitor::Entry entry(monitor_);
            std::lock_guard hold(mutex_);
            for (const host::OutsideChange& change : changes) {
                if (tell_) tell_(change);
            }
        }
        changes.clear();
    }
}

}  // namespace xenfs::real::storage
