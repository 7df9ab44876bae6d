#include "model/server/parking.h"

#include <algorithm>

namespace xenfs::server {

void Parking::make_ready(Request& q) {
    // A finished reply goes out before anything new is begun.
    (q.urgent || q.wait == Wait::acks ? urgent_ : ready_).push_back(&q);
    if (q.wait != Wait::acks) q.wait = Wait::none;
    resumed_();
}

void Parking::resume(Request& q) {
    std::erase(queue(q.wait), &q);
    make_ready(q);
}

void Parking::remove(Request& q) {
    std::erase(queue(q.wait), &q);
    q.wait = Wait::none;
}

Request* Parking::next() {
    for (std::deque<Request*>* queue : {&urgent_, &ready_}) {
        if (queue->empty()) continue;
        Request* const q = queue->front();
        queue->pop_front();
        return q;
    }
    return nullptr;
}

void Parking::drop(const Connection& client) {
    const auto its = [&](const Request* q) { return &q->client == &client; };
    for (auto& queue : queues_) std::erase_if(queue, its);
    std::erase_if(urgent_, its);
    std::erase_if(ready_, its);
}

}  // namespace xenfs::server
