// Workers take requests and serve them. A worker waits for the storage only: a request that would
// wait for anything else is parked (parked.cpp), so there are as many workers as storage accesses
// shall go on at once. Urgent requests and finished replies come first, then requests whose wait
// has ended, then new ones, connection by connection.
#include <algorithm>
#include <cstring>

#include "model/server/server_state.h"

namespace xenfs::server {

void ServerState::on_ring_event(Connection& c) {
    ready_.insert(c.index);
    const bool blocked = notices_.heard(c);
    acks_came();
    if (blocked) parking_gate_->wake_one();
    wake_worker();
}

/// Takes one request off the ring into its slot's record. Null: there is none, or the connection
/// is over.
Request* ServerState::take_request(Connection& c) {
    std::uint16_t slot = 0;
    const auto took = c.ring.take_request(slot, incoming_.bytes.data());
    if (took == protocol::RingBack::Take::violation) {
        ++stats_.protocol_violations;
        begin_close(c);
    }
    if (took != protocol::RingBack::Take::request) return nullptr;
    auto& record = c.requests[slot];
    if (record == nullptr) record = std::make_unique<Request>(c, slot);
    Request& q = *record;
    q.header = incoming_.header();
    std::memcpy(q.message.bytes.data(), incoming_.bytes.data(), q.header.len);
    q.operation = find_operation(q.header.opcode);
    q.active = true;
    // The client's word counts, also where its notice is already done: room that it asks for so as
    // to give something back must not wait behind those who would take what it gives.
    q.urgent = (q.header.flags & protocol::request_urgent) != 0 && q.operation != nullptr &&
               q.operation->may_be_urgent;
    q.came = host_.clock().now();
    q.counted = q.looked_up = q.released = q.had_room = q.took_lease = false;
    q.opens_tried = 0;
    q.made = 0;
    q.intent = nullptr;
    q.acks.awaited.clear();
    q.acks.deadline = q.deadline = q.came + config_.request_timeout();
    q.wait = Wait::none;
    q.first_parked = 0;
    return &q;
}

/// Takes all requests of clients that have notices to carry out, so that the urgent ones among them
/// wait for nothing.
void ServerState::take_urgent() {
    const ClientSet owing = notices_.owing();
    for (const ConnectionIndex index : owing) {
        Connection* const c = ready_.contains(index) ? clients_.alive(index) : nullptr;
        if (c == nullptr || !notices_.still_owes(*c)) continue;
        do {
            while (Request* const q = take_request(*c)) {
                if (q->urgent) {
                    parking_.make_ready(*q);
                } else {
                    c->pending.push_back(q);
                }
            }
        } while (c->alive() && c->ring.final_check_for_requests());
        if (c->pending.empty()) ready_.erase(index);
    }
}

/// A request was taken. Where a worker is idle, it is to have the next one, however long this one
/// takes: the client raises an event for that only if it is asked to.
void ServerState::look_beyond(Connection& c) {
    if (idle_ == 0 || !c.alive()) return;
    if (c.ring.pending() || c.ring.final_check_for_requests()) {
        wake_worker();
    } else {
        ready_.erase(c.index);
    }
}

/// Null: there is nothing to do.
Request* ServerState::next_request() {
    if (notices_.owing().intersects(ready_)) take_urgent();
    if (Request* const q = parking_.next()) return q;
    for (;;) {
        // The next ready connection after the last one served.
        const ConnectionIndex index = ready_.next(next_ready_);
        if (index == no_connection) return nullptr;
        next_ready_ = static_cast<ConnectionIndex>((index + 1u) % most_connections);
        Connection* const c = clients_.at(index);
        if (c == nullptr || !c->alive()) {
            ready_.erase(index);
            continue;
        }
        if (!c->pending.empty()) {
            Request* const q = c->pending.front();
            c->pending.pop_front();
            if (idle_ != 0 && (!c->pending.empty() || c->ring.pending())) wake_worker();
            return q;
        }
        if (Request* const q = take_request(*c)) {
            look_beyond(*c);
            return q;
        }
        if (!c->alive() || !c->ring.final_check_for_requests()) ready_.erase(index);
    }
}

void ServerState::wake_worker() {
    work_came_.store(true, std::memory_order_relaxed);
    work_gate_->wake_one();
}

void ServerState::work(Worker& worker) {
    while (!stopping_) {
        if (Request* const q = next_request()) {
            if (idle_since_ != 0) poll_.waited(host_.clock().now() - idle_since_);
            idle_since_ = 0;
            last_served_ = {q->client.index, q->client.generation};
            serve(worker, *q);
            continue;
        }
        if (idle_since_ == 0) idle_since_ = host_.clock().now();
        if (look_for_request()) continue;
        ++idle_;
        work_gate_->wait();
        --idle_;
    }
}

/// Looks for the next request of the client that was served last for a while, so that the client
/// need not raise an event. One worker does so at a time. Returns whether there may be work.
bool ServerState::look_for_request() {
    if (polling_ || poll_.window() == 0) return false;
    Connection* const last = clients_.alive(last_served_.index, last_served_.generation);
    if (last == nullptr) return false;
    const ConnectionUse use(clients_, *last);
    Connection& c = *use;
    polling_ = true;
    work_came_.store(false, std::memory_order_relaxed);
    c.ring.expect_no_event();
    const std::uint32_t taken = c.ring.taken();
    const bool came = host_.tasks().poll(
        [this, &c, taken] {
            return c.ring.more_than(taken) || work_came_.load(std::memory_order_relaxed);
        },
        poll_.window());
    polling_ = false;
    if (c.alive() && c.ring.final_check_for_requests()) ready_.insert(c.index);
    // This task was not at the gate when somebody woke a worker meanwhile.
    const bool called = work_came_.load(std::memory_order_relaxed);
    return came || called || stopping_ || !ready_.empty();
}

void ServerState::serve(Worker& worker, Request& q) {
    if (!q.client.alive()) return;  // its connection forgets it
    const ConnectionUse use(clients_, q.client);
    Connection& c = *use;
    if (q.wait == Wait::acks) return finish(q);
    if (recovery_.holds_back(q)) {
        return park(q, Wait::recovery);
    }
    host_.clock().charge(host_.core_costs().request_serve);
    q.args = q.message.args();
    if (q.urgent && !q.counted) ++stats_.urgent;
    if (q.urgent && q.operation->needs_write(q.args)) notices_.note_progress(q);
    q.reply = protocol::Writer(c.ring.slot(q.slot) + sizeof(protocol::OutHeader),
                               protocol::max_message_bytes - sizeof(protocol::OutHeader));
    q.worker = &worker;
    worker.queues = q.operation != nullptr && q.operation->takes_frames && !q.had_room && !q.urgent;
    const int error = q.header.total_extlen != 0 ? EINVAL : dispatch(q);
    if (error == parked) {
        if (q.wait != Wait::none && c.alive()) park(q, q.wait);
    } else {
        const bool fits = q.reply.ok();
        const int answer = error != 0 ? error : fits ? 0 : E2BIG;
        q.error = answer;
        q.reply_bytes = answer == 0 ? q.reply.size() : 0;
        if (error != 0) ++stats_.errors;
        if (!c.alive() || notices_.acknowledged(q.acks)) {
            finish(q);
        } else {
            park(q, Wait::acks);
        }
    }
}

void ServerState::finish(Request& q, int error, std::size_t result_bytes) {
    q.error = error;
    q.reply_bytes = result_bytes;
    finish(q);
}

void ServerState::finish(Request& q) {
    if (q.took_lease) recheck_lease(q);
    const RequestKind kind =
        q.operation == nullptr ? RequestKind::other : q.operation->kind_of(q.message.args());
    latencies_[static_cast<std::size_t>(kind)].add(host_.clock().now() - q.came);
    answer(q, q.error, q.reply_bytes);
}

void ServerState::answer(Request& q, int error, std::size_t result_bytes) {
    const ConnectionUse use(clients_, q.client);
    Connection& c = *use;
    IntentRecord* const intent = q.intent;
    q.intent = nullptr;
    host_.clock().flush();
    if (c.alive()) {
        const protocol::OutHeader out{
            static_cast<std::uint32_t>(sizeof(protocol::OutHeader) + result_bytes), -error,
            q.header.unique};
        std::memcpy(c.ring.slot(q.slot), &out, sizeof out);
        q.active = false;
        q.wait = Wait::none;
        if (c.ring.reply(q.slot)) host_.events().notify(c.port);  // the slot may be used again
    }
    journal_->end_change(intent);
}

/// An open that got the lease was held up until others had forgotten the file; one of them may have
/// asked for it meanwhile.
void ServerState::recheck_lease(Request& q) {
    if (inodes_[q.inode].believers.lease() == q.client.index) return;
    protocol::OpenOut out;
    if (q.error != 0 || q.reply_bytes < sizeof out) return;
    std::byte* const at =
        q.client.ring.slot(q.slot) + sizeof(protocol::OutHeader) + q.reply_bytes - sizeof out;
    std::memcpy(&out, at, sizeof out);
    out.open_flags &= ~std::uint32_t{protocol::fopen_lease_exclusive};
    std::memcpy(at, &out, sizeof out);
}

int ServerState::dispatch(Request& q) {
    const auto opcode = q.header.opcode;
    if (q.counted) {
        // counted when it came
    } else if (opcode < stats_.requests.size()) {
        ++stats_.requests[opcode];
    } else if (opcode - 8192u < stats_.page_requests.size()) {
        ++stats_.page_requests[opcode - 8192u];
    }
    q.counted = true;
    if (!q.client.initialised && opcode != static_cast<std::uint32_t>(protocol::Opcode::init)) {
        return EPROTO;
    }
    if (q.operation == nullptr) return ENOSYS;
    if (q.client.attachment.read_only && q.operation->needs_write(q.args)) return EROFS;
    return q.operation->handler(handlers_, q);
}

}  // namespace xenfs::server
