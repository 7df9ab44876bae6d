#pragma once
// Requests that no worker holds: parked until what they wait for may have ended, or ready to be
// taken up again.
//
// Invariant: a request is in at most one queue, the one that Request::wait names (none: the ready
// queue, or it is being served). Requests of one kind keep the order in which they were parked.
// Nothing here yields, so event handlers may call it.

#include <array>
#include <deque>
#include <functional>
#include <vector>

#include "model/server/request.h"

namespace xenfs::server {

class Parking {
  public:
    /// `resumed` is called whenever a request becomes ready.
    explicit Parking(std::function<void()> resumed) : resumed_(std::move(resumed)) {}

    void park(Request& q, Wait wait, Nanoseconds now) {
        q.wait = wait;
        if (q.first_parked == 0) q.first_parked = now;
        queue(wait).push_back(&q);
    }
    /// Resumes those of one kind for which `ended` says that their wait may be over.
    template <class Ended>
    void look(Wait wait, Ended&& ended) {
        std::vector<Request*>& waiting = queue(wait);
        std::size_t kept = 0;
        for (std::size_t i = 0; i < waiting.size(); ++i) {
            Request* const q = waiting[i];
            if (ended(*q)) {
                make_ready(*q);
            } else {
                waiting[kept++] = q;
            }
        }
        waiting.resize(kept);
    }
    template <class Each>
    void for_each(Wait wait, Each&& each) const {
        for (const Request* q : queues_[static_cast<std::size_t>(wait)]) each(*q);
    }
    std::size_t waiting(Wait wait) const { return queues_[static_cast<std::size_t>(wait)].size(); }
    void resume(Request& q);
    /// Takes a parked request out; it is not resumed.
    void remove(Request& q);
    /// The next request to be taken up, urgent ones first; null: none is ready.
    Request* next();
    bool urgent_ready() const { return !urgent_.empty(); }
    void make_ready(Request& q);
    /// Forgets all requests of a connection, parked and ready.
    void drop(const Connection& client);

  private:
    std::vector<Request*>& queue(Wait wait) { return queues_[static_cast<std::size_t>(wait)]; }

    std::function<void()> resumed_;
    std::array<std::vector<Request*>, wait_kinds> queues_;
    std::deque<Request*> urgent_, ready_;
};

}  // namespace xenfs::server
