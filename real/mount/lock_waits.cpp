#include "real/mount/lock_waits.h"

#include <algorithm>

namespace xenfs::real::mount {
namespace {

constexpr Nanoseconds first_pause = 1'000'000, longest_pause = 20'000'000;

}  // namespace

LockWaits::LockWaits(client::Client& client, host::Host& host)
    : client_(client), host_(host), gate_(host.tasks().make_gate()) {}

void LockWaits::wait(fuse_req_t request, NodeId node, files::Handle handle,
                     const files::FileLock& lock) {
    waiting_.push_back({request, node, handle, lock});
    pause_ = first_pause;
    if (running_) {
        gate_->wake_all();
        return;
    }
    running_ = true;
    host_.tasks().spawn(
        "xenfs-locks", [this] { serve(); }, true);
}

void LockWaits::took(NodeId node, const files::FileLock& lock) {
    if (!lock.whole_file && lock.type != files::FileLock::Type::unlock) {
        owners_.emplace(node, lock.owner);
    }
}

void LockWaits::unlocked() {
    if (waiting_.empty()) return;
    pause_ = first_pause;
    gate_->wake_all();
}

void LockWaits::stop() {
    stopping_ = true;
    gate_->wake_all();
}

void LockWaits::serve() {
    while (!waiting_.empty()) {
        // Requests may be appended while one is being sent; only this task removes any.
        for (auto each = waiting_.begin(); each != waiting_.end();) {
            int error = EINTR;
            if (!stopping_ && fuse_req_interrupted(each->request) == 0) {
                error = client_.set_lock(each->handle, each->lock, false);
            }
            if (error == EAGAIN) {
                ++each;
                continue;
            }
            if (error == 0) took(each->node, each->lock);
            fuse_reply_err(each->request, error);
            each = waiting_.erase(each);
        }
        if (waiting_.empty()) break;
        gate_->wait(pause_);
        pause_ = std::min(2 * pause_, longest_pause);
    }
    running_ = false;
}

}  // namespace xenfs::real::mount
