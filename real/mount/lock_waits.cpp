#include "real/mount/lock_waits.h"

#include <algorithm>

namespace xenfs::real::mount {

void LockWaits::took(NodeId node, const files::FileLock& lock) {
    if (!lock.whole_file && lock.type != files::FileLock::Type::unlock) {
        owners_.emplace(node, lock.owner);
    }
}

void LockWaits::wait(fuse_req_t request, NodeId node, files::Handle handle,
                     const files::FileLock& lock) {
    if (!thread_.joinable()) thread_ = std::thread([this] { serve_interrupts(); });
    const auto place = waiting_.insert(waiting_.end(), Waiting{*this, request});
    Waiting& waiting = *place;
    fuse_req_interrupt_func(request, on_interrupt, &waiting);
    client::LockTicket ticket = 0;
    try {
        ticket = client_.set_lock(handle, lock, [this, &waiting, node, lock](int error) {
            waiting.settled = true;
            took(node, lock);  // or may have: a server that was silent for long may grant it yet
            answer(waiting, error);
            if (waiting.ticket == 0) return;  // wait() still uses the record
            waiting_.remove_if([&](const Waiting& one) { return &one == &waiting; });
        });
    } catch (...) {
        if (take(waiting) == nullptr) return;
        throw;  // whoever called wait() answers
    }
    if (waiting.settled) {
        waiting_.erase(place);
        return;
    }
    waiting.ticket = ticket;
    if (waiting.interrupted) client_.cancel_lock(ticket);
}

void LockWaits::on_interrupt(fuse_req_t, void* waiting) {
    auto* const one = static_cast<Waiting*>(waiting);
    LockWaits& all = one->all;
    const std::lock_guard lock(all.mutex_);
    all.interrupted_.push_back(one);
    all.changed_.notify_one();
}

fuse_req_t LockWaits::take(Waiting& waiting) {
    if (waiting.request == nullptr) return nullptr;
    fuse_req_interrupt_func(waiting.request, nullptr, nullptr);  // waits until on_interrupt returns
    const std::lock_guard lock(mutex_);
    std::erase(interrupted_, &waiting);
    return std::exchange(waiting.request, nullptr);
}

void LockWaits::answer(Waiting& waiting, int error) {
    if (const fuse_req_t request = take(waiting)) fuse_reply_err(request, error);
}

void LockWaits::answer_all(int error) {
    for (Waiting& waiting : waiting_) answer(waiting, error);
}

void LockWaits::serve_interrupts() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        if (interrupted_.empty()) {
            changed_.wait(lock);
            continue;
        }
        lock.unlock();
        {
            Monitor::Entry entry(monitor_);
            try {
                cancel_interrupted();
            } catch (const DomainEnded&) {
                answer_all(ENOTCONN);  // the host is gone, and with it whoever could grant a lock
            }
        }
        lock.lock();
    }
}

void LockWaits::cancel_interrupted() {
    while (Waiting* const waiting = next_interrupted()) {
        if (waiting->ticket == 0) {
            waiting->interrupted = true;
        } else {
            client_.cancel_lock(waiting->ticket);
        }
    }
}

LockWaits::Waiting* LockWaits::next_interrupted() {
    const std::lock_guard lock(mutex_);
    if (interrupted_.empty()) return nullptr;
    Waiting* const waiting = interrupted_.back();
    interrupted_.pop_back();
    return waiting;
}

void LockWaits::end_thread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
}

void LockWaits::stop() {
    end_thread();
    Monitor::Entry entry(monitor_);
    answer_all(EINTR);
}

}  // namespace xenfs::real::mount
