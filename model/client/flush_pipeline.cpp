#include "model/client/flush_pipeline.h"

#include <algorithm>

namespace xenfs::client {

/// Moves the run's beginning to a page that is to be sent. Returns false where there is none.
bool Flusher::Pipeline::skip_clean(PageRun& run) const {
    for (; run.count > 0; ++run.first, --run.count) {
        if (flusher_.due(node_, run.first) != kNoSlot) return true;
    }
    return false;
}

/// Returns what is left of a run behind the pages that were sent.
PageRun Flusher::Pipeline::behind(const Sending& sending) const {
    const std::uint32_t done = std::max(sending.good, 1u);
    return {sending.request.first + done, sending.request.count - done};
}

/// Returns whether a request for entries is in flight.
bool Flusher::Pipeline::start_gets() {
    while (!rest_.empty()) {
        PageRun run = rest_.front();
        const bool none = gets_.empty() && commits_.empty();
        const bool due = skip_clean(run);
        if (due && !none &&
            (!flusher_.connection_.slot_to_spare() || pages_ + run.count > most_pages)) {
            break;
        }
        rest_.pop_front();
        if (!due) continue;
        auto sending = std::make_unique<Sending>();
        flusher_.prepare(node_, *sending, run);
        sending->call = std::make_unique<Call>(flusher_.connection_, protocol::Opcode::pages_get,
                                               node_.id, sending->request.urgency);
        if (int error = exchange_.submit_get(*sending->call, node_, sending->request)) {
            failed(error);
            continue;
        }
        pages_ += run.count;
        gets_.push_back(std::move(sending));
    }
    return !gets_.empty();
}

void Flusher::Pipeline::finish_get() {
    auto sending = take(gets_);
    const int error = exchange_.finish_get(*sending->call, sending->request);
    pages_ -= sending->request.count;
    if (error == EBADF || (error == 0 && sending->request.granted == 0)) {
        put_off_.push_back({sending->request.first, sending->request.count});
        return;
    }
    if (error != 0) return failed(error);
    flusher_.deposit(node_, *sending);
    if (PageRun run = behind(*sending); skip_clean(run)) rest_.push_front(run);
    if (!describe(*sending)) return sent(*sending, 0, 0);
    sending->call->begin_next(protocol::Opcode::pages_commit);
    if (int failure = exchange_.submit_commit(*sending->call, node_, sending->commit)) {
        return sent(*sending, failure, 0);
    }
    pages_ += sending->request.count;
    commits_.push_back(std::move(sending));
}

void Flusher::Pipeline::finish_commit() {
    auto sending = take(commits_);
    int sync_error = 0;
    const int error = exchange_.finish_commit(*sending->call, node_, sync_error);
    pages_ -= sending->request.count;
    if (error == EBADF) {
        release_unused(*sending);
        sending->call.reset();
        again_.push_back(std::move(sending));
        return;
    }
    if (PageExchange::refused(error, *sending->call)) {
        exchange_.give_back(sending->commit, sending->call.get());
    }
    sent(*sending, error, sync_error);
}

/// Prepares the commit that goes next. Returns false where there is nothing to commit. The last
/// commit carries the flag, once all earlier ones have been answered.
bool Flusher::Pipeline::describe(Sending& sending) {
    const auto last = [this] {
        return rest_.empty() && gets_.empty() && put_off_.empty() && again_.empty();
    };
    bool sync = false;
    if (sync_flag_ != 0 && last()) {
        while (!commits_.empty()) finish_commit();
        sync = last() && error_ == 0;
    }
    return flusher_.describe(node_, sending, sync ? sync_flag_ : std::uint16_t{0});
}

/// Others may wait for the pages: by the slot in hand, where its request was answered.
void Flusher::Pipeline::release_unused(Sending& sending) {
    if (!sending.waited_for) return;
    sending.waited_for = false;
    const bool slot = sending.call != nullptr && sending.call->answered();
    exchange_.release_at_once(sending.request.urgency, slot ? sending.call.get() : nullptr);
}

void Flusher::Pipeline::sent(Sending& sending, int error, int sync_error) {
    flusher_.conclude(node_, sending, error);
    release_unused(sending);
    if (error == ESTALE && !sending.flip && ++stale_ <= most_stale) {
        put_off_.push_back({sending.request.first, sending.good});
        return;
    }
    synced_ = synced_ || (error == 0 && (sending.commit.flags & sync_flag_) != 0);
    failed(error != 0 ? error : sync_error);
}

void Flusher::Pipeline::send_alone(PageRun run) {
    if (!skip_clean(run)) return;
    Sending sending;
    flusher_.prepare(node_, sending, run);
    if (int error = exchange_.get(node_, sending.request)) return failed(error);
    flusher_.deposit(node_, sending);
    if (PageRun left = behind(sending); skip_clean(left)) put_off_.push_front(left);
    int error = 0, sync_error = 0;
    if (describe(sending)) {
        error = exchange_.commit(node_, sending.commit, sync_error);
    }
    sent(sending, error, sync_error);
}

int Flusher::Pipeline::run() {
    for (;;) {
        // Replies that have come are handled first, so that their slots are in use again when this
        // task waits.
        if (!commits_.empty() && commits_.front()->call->answered()) {
            finish_commit();
        } else if (start_gets()) {
            finish_get();
        } else if (!commits_.empty()) {
            finish_commit();
        } else if (!again_.empty()) {
            auto sending = take(again_);
            int sync_error = 0;
            const int error = exchange_.commit(node_, sending->commit, sync_error);
            sent(*sending, error, sync_error);
        } else if (!put_off_.empty()) {
            const PageRun run = put_off_.front();
            put_off_.pop_front();
            send_alone(run);
        } else {
            return error_;
        }
    }
}

}  // namespace xenfs::client
