// Tasks that take requests off the rings. Ordinary workers serve all connections in turn. Each
// connection has a reserve worker besides, which moves only while somebody waits for this client
// to handle a notice: what the client must send before it can answer (urgent requests) then never
// queues behind the waiters. Ordinary requests that it meets on the way are parked for the others,
// who may all be waiting; reads among them are then served by the relief worker, since a kernel
// that is told to drop a page waits for the read that fills it, and with it the notice.
#include <algorithm>
#include <bit>
#include <cstring>

#include "model/server/server_state.h"

namespace xenfs::server {
namespace {

using protocol::Opcode;

/// A request that a read(2) may consist of: pages, and the file's size first.
bool only_reads(const RequestBuffer& message) {
    const protocol::InHeader header = message.header();
    const Operation* const operation = find_operation(header.opcode);
    if (operation == nullptr) return false;
    return operation->opcode == Opcode::getattr ||
           (operation->takes_frames && !operation->needs_write(message.args()));
}

}  // namespace

void ServerState::on_ring_event(Connection& c) {
    ready_ |= bit(c.index);
    if (c.unresponsive && c.ring.notice_done(c.ring.last_notice())) c.unresponsive = false;
    if (c.acks_awaited != 0) ack_gate_->wake_all();
    if (answers(c)) c.reserve_gate->wake_one();
    work_gate_->wake_one();
}

/// With a request that a reserve worker took off the ring, or that waited for room.
void ServerState::go_on(Worker& worker, Connection& c, Connection::Parked parked) {
    worker.request = *parked.message;
    parked.message.reset();
    serve(worker, c, parked.slot, {parked.again, parked.waiting});
}

void ServerState::work(Worker& worker) {
    ++running_;
    while (!stopping_) {
        if (ready_ == 0) {
            ++idle_;
            work_gate_->wait();
            --idle_;
            continue;
        }
        // The next ready connection after the last one served.
        const std::uint64_t turned = std::rotr(ready_, static_cast<int>(next_ready_));
        const auto index = static_cast<ConnectionIndex>(
            (next_ready_ + static_cast<unsigned>(std::countr_zero(turned))) % 64);
        next_ready_ = (index + 1u) % 64;
        Connection* c = connection(index);
        if (c == nullptr || !c->alive()) {
            ready_ &= ~bit(index);
            continue;
        }
        if (!c->parked.empty() && !recovery_.under_way()) {
            Connection::Parked parked = std::move(c->parked.front());
            c->parked.pop_front();
            go_on(worker, *c, std::move(parked));
            continue;
        }
        std::uint16_t slot = 0;
        switch (c->ring.take_request(slot, worker.request.bytes.data())) {
            case protocol::RingBack::Take::none:
                if (!c->ring.final_check_for_requests()) ready_ &= ~bit(index);
                break;
            case protocol::RingBack::Take::violation:
                ++stats_.protocol_violations;
                doom(*c);
                break;
            case protocol::RingBack::Take::request:
                if (idle_ != 0 && c->ring.pending()) work_gate_->wake_one();
                if (recovery_.holds_back(*c, worker.request)) {
                    // Urgent: sent again by a client that a predecessor had asked for something. It
                    // handles no further notice before it has its answer.
                    c->parked.push_back({slot, worker.request.urgent(), false, 0,
                                         std::make_unique<RequestBuffer>(worker.request)});
                    break;
                }
                serve(worker, *c, slot);
                break;
        }
    }
    --running_;
    stop_gate_->wake_all();
}

void ServerState::work_reserve(ConnectionIndex index, std::uint32_t generation) {
    const auto own = std::make_unique<Worker>();
    Worker& worker = *own;
    worker.number = std::max(config_.workers, 1u) + index;
    for (;;) {
        Connection* c = connection(index);
        if (stopping_ || c == nullptr || c->generation != generation || !c->alive()) return;
        const bool needed = answers(*c);
        if (needed) {
            const auto urgent = std::find_if(c->parked.begin(), c->parked.end(),
                                             [](const auto& parked) { return parked.urgent; });
            if (urgent != c->parked.end()) {
                Connection::Parked parked = std::move(*urgent);
                c->parked.erase(urgent);
                ++stats_.urgent;
                go_on(worker, *c, std::move(parked));
                continue;
            }
        }
        std::uint16_t slot = 0;
        const auto took = needed ? c->ring.take_request(slot, worker.request.bytes.data())
                                 : protocol::RingBack::Take::none;
        if (took == protocol::RingBack::Take::violation) {
            ++stats_.protocol_violations;
            doom(*c);
        } else if (took == protocol::RingBack::Take::none) {
            if (needed && c->ring.final_check_for_requests()) continue;
            // The gate is the connection's: it must not go while we stand at it.
            ++c->active;
            c->reserve_gate->wait();
            --c->active;
            if (!c->alive()) control_gate_->wake_one();
        } else {
            if (worker.request.urgent()) {
                ++stats_.urgent;
                serve(worker, *c, slot);
            } else {
                c->parked.push_back(
                    {slot, false, false, 0, std::make_unique<RequestBuffer>(worker.request)});
                ready_ |= bit(index);
                work_gate_->wake_one();
                if (idle_ == 0 && only_reads(*c->parked.back().message)) relief_gate_->wake_one();
            }
        }
    }
}

void ServerState::work_relief() {
    ++running_;
    const auto own = std::make_unique<Worker>();
    while (!stopping_) {
        bool served = false;
        for (ConnectionIndex index = 0; index < connections_.size(); ++index) {
            if (idle_ != 0 || recovery_.under_way() || stopping_) break;
            Connection* c = connection(index);
            if (c == nullptr || !c->alive() || c->acks_awaited == 0) continue;
            const auto read =
                std::find_if(c->parked.begin(), c->parked.end(),
                             [](const auto& parked) { return only_reads(*parked.message); });
            if (read == c->parked.end()) continue;
            Connection::Parked parked = std::move(*read);
            c->parked.erase(read);
            ++stats_.relieved;
            go_on(*own, *c, std::move(parked));
            served = true;
        }
        if (!served && !stopping_) relief_gate_->wait();
    }
    --running_;
    stop_gate_->wake_all();
}

/// The request is in worker.request.
void ServerState::serve(Worker& worker, Connection& c, std::uint16_t slot, Earlier earlier) {
    RequestBuffer& message = worker.request;
    host_.clock().charge(host_.core_costs().request_serve);
    const protocol::InHeader header = message.header();
    if ((header.flags & protocol::request_urgent) != 0) c.last_urgent = host_.clock().now();
    ++c.active;
    const Nanoseconds taken = host_.clock().now();
    worker.intent = nullptr;
    Request q{c,
              worker,
              header,
              slot,
              find_operation(header.opcode),
              message.args(),
              protocol::Writer(c.ring.slot(slot) + sizeof(protocol::OutHeader),
                               protocol::max_message_bytes - sizeof(protocol::OutHeader)),
              earlier.again,
              earlier.waiting};
    worker.queues = q.operation != nullptr && q.operation->takes_frames && !earlier.again &&
                    (header.flags & protocol::request_urgent) == 0;
    const int error = header.total_extlen != 0 ? EINVAL : dispatch(q);
    if (error != reply_later) {
        const RequestKind kind = q.operation == nullptr ? RequestKind::other : q.operation->kind;
        latencies_[static_cast<std::size_t>(kind)].add(host_.clock().now() - taken);
        if (error != 0) ++stats_.errors;
        const bool fits = q.reply.ok();
        answer(c, slot, header.unique,
               error != 0 ? error
               : fits     ? 0
                          : E2BIG,
               error == 0 && fits ? q.reply.size() : 0);
    }
    journal_->end_change(worker.intent);
    leave(c);
}

void ServerState::answer(Connection& c, std::uint16_t slot, std::uint64_t unique, int error,
                         std::size_t result_bytes) {
    if (!c.alive()) return;
    ++c.active;
    host_.clock().flush();
    if (c.alive()) {
        const protocol::OutHeader out{
            static_cast<std::uint32_t>(sizeof(protocol::OutHeader) + result_bytes), -error, unique};
        std::memcpy(c.ring.slot(slot), &out, sizeof out);
        if (c.ring.reply(slot)) host_.events().notify(c.port);
    }
    leave(c);
}

int ServerState::dispatch(Request& q) {
    const auto opcode = q.header.opcode;
    if (q.again) {
        // counted when it came
    } else if (opcode < stats_.requests.size()) {
        ++stats_.requests[opcode];
    } else if (opcode - 8192u < stats_.page_requests.size()) {
        ++stats_.page_requests[opcode - 8192u];
    }
    if (!q.client.initialised && static_cast<Opcode>(opcode) != Opcode::init) return EPROTO;
    if (q.operation == nullptr) return ENOSYS;
    if (q.client.attachment.read_only && q.operation->needs_write(q.args)) return EROFS;
    return (this->*q.operation->handler)(q);
}

}  // namespace xenfs::server
