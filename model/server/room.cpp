#include "model/server/room.h"

#include <algorithm>
#include <cstring>

namespace xenfs::server {

using cache::Slot;

namespace {

constexpr std::uint32_t good_batch = 32;  ///< pages that are worth going on with at once

}  // namespace

pages::FrameIndex RoomQueue::take_frame(Worker& w) {
    if (w.queues && waits_for(Lack::frames)) return pages::no_index;
    if (const auto frame = residency_.take_frame(); frame != pages::no_index) return frame;
    evict_clean(w, 1);
    return residency_.take_frame();
}

std::uint32_t RoomQueue::evict_clean(Worker& w, std::uint32_t frames) {
    // Evicting a page frees no frame where others of the same content show it: on as long as any
    // go.
    const auto free = [&] {
        const std::uint32_t slots =
            cache_.capacity() > cache_.size() ? cache_.capacity() - cache_.size() : 0;
        return std::min(pool_.available(), slots);
    };
    while (free() < frames) {
        w.evicted.clear();
        const std::uint32_t out =
            residency_.evict(std::max(frames - free(), good_batch), &w.evicted);
        for (const cache::PageKey& page : w.evicted) {
            const Inodes::Index owner = inodes_.owner_of(page.file);
            if (owner != Inodes::none && inodes_[owner].refs == 0) inodes_.reap(owner);
        }
        if (out == 0) break;
    }
    return free();
}

int RoomQueue::no_room(Request& q, Lack lack, std::uint32_t pages, protocol::PagesGetOut out,
                       bool may_return) {
    if (may_return && (lack == Lack::credit || (lack == Lack::entries && holds_most(q.client)))) {
        out.flags |= lack == Lack::credit ? protocol::got_credit : protocol::got_release;
        ++(lack == Lack::credit ? stats_.credit_refusals : stats_.release_refusals);
        q.reply.put(out);
        return 0;
    }
    return park(q, lack, pages, out.file_size, may_return);
}

bool RoomQueue::holds_most(const Connection& c) const {
    const std::uint64_t pinned = ledger_.account(c.account).pinned;
    return pinned != 0 &&
           std::none_of(clients_.places().begin(), clients_.places().end(), [&](const auto& o) {
               return o != nullptr && o->alive() && ledger_.account(o->account).pinned > pinned;
           });
}

int RoomQueue::park(Request& q, Lack lack, std::uint32_t pages, std::uint64_t file_size,
                    bool may_return) {
    Waiter waiter;
    waiter.request = &q;
    waiter.again = q.had_room;
    waiter.may_return = may_return;
    waiter.lack = lack;
    waiter.pages = pages;
    waiter.file_size = file_size;
    waiter.parked = host_.clock().now();
    waiter.since = q.first_parked == 0 ? waiter.parked : q.first_parked;
    waiter.seen = made_;
    if (q.urgent) ++q.client.urgent_waiting;
    if (!q.had_room) ++stats_.room_waits;
    // A request that only queues behind others has not found the table full.
    if (lack == Lack::entries && (q.had_room || !waits_for(lack))) table_size_ = book_.entries();
    q.wait = Wait::room;
    ++waiting_[static_cast<std::size_t>(lack)];
    // Behind those of its class; who waited before is in front of them.
    const auto place = std::find_if(queue_.begin(), queue_.end(), [&](const auto& w) {
        if (w.request->urgent != q.urgent) return q.urgent;
        return waiter.again && w.since >= waiter.since;
    });
    queue_.insert(place, waiter);
    gate_->wake_one();
    return parked;
}

RoomQueue::Waiter RoomQueue::take(std::size_t place) {
    const Waiter waiter = queue_[place];
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(place));
    --waiting_[static_cast<std::size_t>(waiter.lack)];
    if (waiter.request->urgent) --waiter.request->client.urgent_waiting;
    return waiter;
}

/// Lets a worker take the request up again.
void RoomQueue::resume(std::size_t place) {
    Request& q = *take(place).request;
    // It was not its client that let the time pass.
    notices_.note_progress(q);
    q.had_room = true;
    parking_.resume(q);
}

/// Ends the wait with an errno, or with 0: the client shall release and ask again.
void RoomQueue::end(std::size_t place, int error) {
    const Waiter waiter = take(place);
    Request& q = *waiter.request;
    parking_.remove(q);
    if (error != 0) {
        ++stats_.errors;
        ++stats_.room_refused;
    } else {
        ++stats_.release_refusals;
    }
    const protocol::PagesGetOut out{waiter.file_size, 0, protocol::got_release, 0};
    std::memcpy(q.client.ring.slot(q.slot) + sizeof(protocol::OutHeader), &out, sizeof out);
    answerer_.finish(q, error, error != 0 ? 0 : sizeof out);
}

void RoomQueue::drop(const Connection& c) {
    for (std::size_t i = queue_.size(); i-- > 0;) {
        if (&queue_[i].request->client == &c) take(i);
    }
}

void RoomQueue::run() {
    const auto own = std::make_unique<Worker>();
    while (!stopping_) {
        if (queue_.empty()) {
            gate_->wait();
            continue;
        }
        const std::uint64_t seen = made_;
        const Nanoseconds rest = serve_waiters(*own);
        if (made_ == seen && !stopping_ && !queue_.empty()) gate_->wait(rest);
    }
}

/// Goes once through those who wait. How long it may be until the next look if nothing happens.
Nanoseconds RoomQueue::serve_waiters(Worker& w) {
    const Nanoseconds poll = std::max<Nanoseconds>(config_.room_timeout / 16, 1);
    Nanoseconds rest = poll;
    std::uint32_t frames_short = 0, entries_short = 0, frames_promised = 0, entries_promised = 0;
    std::vector<std::pair<ConnectionIndex, std::uint32_t>> credit_short;
    for (std::size_t i = 0; i < queue_.size();) {
        Waiter& waiter = queue_[i];
        const Nanoseconds now = host_.clock().now();
        Connection& c = waiter.request->client;
        if (!c.alive()) {
            parking_.remove(*take(i).request);
            continue;
        }
        // A request that found too little after all does not try again before something has
        // changed.
        const bool ready = !waiter.again || waiter.seen != made_ || now - waiter.parked > poll;
        const auto enough = [&](std::uint32_t have, std::uint32_t& promised) {
            const std::uint32_t left = have - std::min(have, promised);
            const bool good = left >= std::min(waiter.pages, good_batch) ||
                              (left != 0 && now - waiter.parked > poll);
            if (good) promised += waiter.pages;
            return good;
        };
        bool go = false;
        if (waiter.lack == Lack::frames) {
            if (frames_short == 0 && ready) {
                go = enough(evict_clean(w, frames_promised + waiter.pages), frames_promised);
            }
            if (!go) frames_short += waiter.pages;
        } else if (waiter.lack == Lack::entries) {
            if (entries_short == 0 && ready) {
                const std::size_t used = book_.entries();
                const auto free =
                    static_cast<std::uint32_t>(table_size_ > used ? table_size_ - used : 0);
                go = enough(free, entries_promised);
            }
            if (!go) entries_short += waiter.pages;
        } else {
            go = ready && ledger_.credit(c.account) != 0;
            if (!go) credit_short.push_back({c.index, waiter.pages});
        }
        if (go) {
            resume(i);
            continue;
        }
        const Nanoseconds limit = std::min(std::max(waiter.since, progress_) + config_.room_timeout,
                                           waiter.request->deadline);
        // A disk that takes its time is no guest that keeps what others need.
        const bool storing = waiter.lack == Lack::frames && write_back_.storing();
        if (now >= limit && !storing) {
            end(i, waiter.lack == Lack::credit ? EDQUOT : ENOMEM);  // may yield
            i = 0;
            frames_short = entries_short = 0;
            credit_short.clear();
            continue;
        }
        rest = std::min(rest, now < limit ? limit - now : poll);
        ++i;
    }
    if (frames_short != 0) {
        write_back_.wake_if_dirty();
        // Others will come: a round of revocations costs a client the same for one page or many.
        ask_for_frames(
            std::max(frames_short, std::min(max_pages_per_request, pool_.capacity() / 8)));
    }
    if (entries_short != 0) ask_largest(entries_short);
    for (const auto& [index, pages] : credit_short) ask(index, {}, pages);
    return rest;
}

}  // namespace xenfs::server
