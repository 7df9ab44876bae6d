// Room for pages: frames of the pool, entries of its grant table, a client's credit.
//
// A request that finds none is parked here and occupies no worker. One task makes room for those
// that wait: clean pages are evicted, dirty ones written back (by the write-back
// task), and where frames are mapped or the table is full, clients are asked to give pages back.
// Who waits goes on in the order of arrival, urgent requests first, and newcomers that would need
// what is waited for queue behind. What cannot be had within room_timeout ends with an error, but
// not while the storage has pages to write: that is waited for.
#include <algorithm>
#include <bit>
#include <cstring>

#include "model/server/server_state.h"

namespace xenfs::server {

using cache::Slot;

namespace {

constexpr std::uint32_t good_batch = 32;      ///< pages that are worth going on with at once
constexpr std::uint32_t most_ranges = 8;      ///< revocations in flight to one client
constexpr std::uint32_t deaf = 2;             ///< fruitless revocations after which none is sent
constexpr std::uint32_t look_at_most = 1024;  ///< mapped pages considered in one go

}  // namespace

bool ServerState::revocation_open(Connection& c) {
    return c.revoke_sequence != 0 && !c.ring.notice_done(c.revoke_sequence) &&
           host_.clock().now() < c.revoke_sent + config_.ack_timeout;
}

/// What to do about a request for which there was nothing. Where its client itself holds what is
/// wanted, the reply says so, unless it said that it has nothing left to release.
int ServerState::no_room(Request& q, Lack lack, std::uint32_t pages, protocol::PagesGetOut out,
                         bool may_return) {
    if (may_return && (lack == Lack::credit || (lack == Lack::entries && holds_most(q.client)))) {
        out.flags |= lack == Lack::credit ? protocol::got_credit : protocol::got_release;
        ++(lack == Lack::credit ? stats_.credit_refusals : stats_.release_refusals);
        q.reply.put(out);
        return 0;
    }
    return park_for_room(q, lack, pages, out.file_size, may_return);
}

bool ServerState::holds_most(const Connection& c) const {
    const std::uint64_t pinned = ledger_.account(c.account).pinned;
    return pinned != 0 &&
           std::none_of(clients_.places().begin(), clients_.places().end(), [&](const auto& o) {
               return o != nullptr && o->alive() && ledger_.account(o->account).pinned > pinned;
           });
}

/// Puts the request into the queue for room. It is resumed, or answered, by the room task.
int ServerState::park_for_room(Request& q, Lack lack, std::uint32_t pages, std::uint64_t file_size,
                               bool may_return) {
    RoomWaiter waiter;
    waiter.request = &q;
    waiter.again = q.had_room;
    waiter.may_return = may_return;
    waiter.lack = lack;
    waiter.pages = pages;
    waiter.file_size = file_size;
    waiter.parked = host_.clock().now();
    waiter.since = q.first_parked == 0 ? waiter.parked : q.first_parked;
    waiter.seen = room_made_;
    if (q.urgent) ++q.client.urgent_waiting;
    if (!q.had_room) ++stats_.room_waits;
    // A request that only queues behind others has not found the table full.
    if (lack == Lack::entries && (q.had_room || !waits_for(lack))) table_size_ = book_.entries();
    q.wait = Wait::room;
    ++room_waiters_[static_cast<std::size_t>(lack)];
    // Behind those of its class; who waited before is in front of them.
    const auto place = std::find_if(room_queue_.begin(), room_queue_.end(), [&](const auto& w) {
        if (w.request->urgent != q.urgent) return q.urgent;
        return waiter.again && w.since >= waiter.since;
    });
    room_queue_.insert(place, waiter);
    room_gate_->wake_one();
    return parked;
}

RoomWaiter ServerState::leave_room_queue(std::size_t place) {
    const RoomWaiter waiter = room_queue_[place];
    room_queue_.erase(room_queue_.begin() + static_cast<std::ptrdiff_t>(place));
    --room_waiters_[static_cast<std::size_t>(waiter.lack)];
    if (waiter.request->urgent) --waiter.request->client.urgent_waiting;
    return waiter;
}

/// Lets a worker take the request up again.
void ServerState::resume_with_room(std::size_t place) {
    Request& q = *leave_room_queue(place).request;
    note_progress(q);  // it was not its client that let the time pass
    q.had_room = true;
    parking_.resume(q);
}

/// Ends the wait with an errno, or with 0: the client shall release and ask again.
void ServerState::end_wait(std::size_t place, int error) {
    const RoomWaiter waiter = leave_room_queue(place);
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
    finish(q, error, error != 0 ? 0 : sizeof out);
}

/// Takes clean pages out of the cache until so many frames are free; how many are.
std::uint32_t ServerState::evict_clean(Worker& w, std::uint32_t frames) {
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
            const InodeTable::Index owner = inodes_.owner_of(page.file);
            if (owner != InodeTable::none && inodes_[owner].refs == 0) reap(owner);
        }
        if (out == 0) break;
    }
    return free();
}

void ServerState::room_task() {
    ++running_;
    const auto own = std::make_unique<Worker>();
    while (!stopping_) {
        if (room_queue_.empty()) {
            room_gate_->wait();
            continue;
        }
        const std::uint64_t seen = room_made_;
        const Nanoseconds rest = tend_room_queue(*own);
        if (room_made_ == seen && !stopping_ && !room_queue_.empty()) room_gate_->wait(rest);
    }
    --running_;
    stop_gate_->wake_all();
}

/// Goes once through those who wait. How long it may be until the next look if nothing happens.
Nanoseconds ServerState::tend_room_queue(Worker& w) {
    const Nanoseconds poll = std::max<Nanoseconds>(config_.room_timeout / 16, 1);
    Nanoseconds rest = poll;
    std::uint32_t frames_short = 0, entries_short = 0, frames_promised = 0, entries_promised = 0;
    std::vector<std::pair<ConnectionIndex, std::uint32_t>> credit_short;
    for (std::size_t i = 0; i < room_queue_.size();) {
        RoomWaiter& waiter = room_queue_[i];
        const Nanoseconds now = host_.clock().now();
        Connection& c = waiter.request->client;
        if (!c.alive()) {
            parking_.remove(*leave_room_queue(i).request);
            continue;
        }
        // A request that found too little after all does not try again before something has
        // changed.
        const bool ready = !waiter.again || waiter.seen != room_made_ || now - waiter.parked > poll;
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
            resume_with_room(i);
            continue;
        }
        const Nanoseconds limit = std::max(waiter.since, room_progress_) + config_.room_timeout;
        // A disk that takes its time is no guest that keeps what others need.
        const bool storing = waiter.lack == Lack::frames && storing_ != 0;
        if (now >= limit && !storing) {
            end_wait(i, waiter.lack == Lack::credit ? EDQUOT : ENOMEM);  // may yield
            i = 0;
            frames_short = entries_short = 0;
            credit_short.clear();
            continue;
        }
        rest = std::min(rest, now < limit ? limit - now : poll);
        ++i;
    }
    if (frames_short != 0) {
        if (cache_.dirty_count() != 0) flush_gate_->wake_one();
        // Others will come: a round of revocations costs a client the same for one page or many.
        ask_for_frames(
            std::max(frames_short, std::min(max_pages_per_request, pool_.capacity() / 8)));
    }
    if (entries_short != 0) ask_largest(entries_short);
    for (const auto& [index, pages] : credit_short) ask(index, {}, pages);
    return rest;
}

/// Asks for what keeps frames from being evicted: the pages that came due first, from everybody who
/// has them mapped. Where that is of no use, the client that holds most.
void ServerState::ask_for_frames(std::uint32_t frames) {
    std::vector<ConnectionIndex> by_account;
    for (const auto& c : clients_.places()) {
        if (c == nullptr || !c->alive()) continue;
        if (by_account.size() <= c->account) by_account.resize(c->account + 1, no_connection);
        by_account[c->account] = c->index;
    }
    std::vector<Slot> due;
    cache_.held(look_at_most, due);
    std::array<std::vector<cache::PageKey>, 64> wanted;
    std::uint32_t found = 0;
    for (const Slot slot : due) {
        if (found >= frames) break;
        const pages::PoolFrame& frame = pool_[cache_.frame(slot)];
        if (cache_.state(slot) == cache::PageState::loading || frame.grants == 0) continue;
        residency_.pass_over(slot);
        std::uint64_t holders = 0;
        bool hopeless = (cache_.flags(slot) & page_flux) != 0;
        book_.for_each_of_frame(cache_.frame(slot), [&](const pages::GrantRecord& record) {
            const ConnectionIndex index = record.orphaned || record.account >= by_account.size()
                                              ? no_connection
                                              : by_account[record.account];
            Connection* c = index == no_connection ? nullptr : clients_.at(index);
            if (c == nullptr || c->fruitless != 0 || revocation_open(*c)) {
                hopeless = true;
            } else {
                holders |= bit(index);
            }
        });
        if (hopeless || holders == 0) continue;
        ++found;
        for (std::uint64_t left = holders; left != 0; left &= left - 1) {
            wanted[static_cast<std::size_t>(std::countr_zero(left))].push_back(cache_.key(slot));
        }
    }
    if (found == 0) return ask_largest(frames);
    for (ConnectionIndex i = 0; i < 64; ++i) {
        if (!wanted[i].empty()) ask(i, wanted[i], 0);
    }
}

/// The client that pins most of what could be had, and has not been asked in vain.
void ServerState::ask_largest(std::uint32_t pages) {
    Connection* most = nullptr;
    for (const auto& c : clients_.places()) {
        if (c == nullptr || !c->alive() || c->fruitless >= deaf || revocation_open(*c)) continue;
        const std::uint64_t pinned = ledger_.account(c->account).pinned;
        if (pinned != 0 && (most == nullptr || pinned > ledger_.account(most->account).pinned)) {
            most = c.get();
        }
    }
    if (most != nullptr) ask(most->index, {}, pages);
}

/// Asks one client for `wanted`, or for any `pages` where that is empty. One that has an urgent
/// request waiting here may be busy with a notice and not come to this one: it is asked by the
/// reply to that request. May yield.
void ServerState::ask(ConnectionIndex index, std::vector<cache::PageKey> wanted,
                      std::uint32_t pages) {
    Connection* c = clients_.at(index);
    if (c == nullptr || !c->alive() || c->fruitless >= deaf || revocation_open(*c)) return;
    if (c->urgent_waiting != 0) {
        for (std::size_t i = 0; i < room_queue_.size(); ++i) {
            const RoomWaiter& waiter = room_queue_[i];
            if (waiter.request->urgent && waiter.may_return && &waiter.request->client == c) {
                return end_wait(i, 0);
            }
        }
    }
    if (notices_.in_flight(*c) != 0) return;  // it has enough to do: later
    if (c->revoke_sequence != 0) c->fruitless = c->gave_back ? 0 : c->fruitless + 1;
    if (c->fruitless >= deaf) return;
    std::vector<protocol::Notice> notices;
    std::sort(wanted.begin(), wanted.end(), [](cache::PageKey a, cache::PageKey b) {
        return a.file != b.file ? a.file < b.file : a.page < b.page;
    });
    for (std::size_t at = 0; at < wanted.size() && notices.size() < most_ranges;) {
        std::size_t end = at + 1;
        while (end < wanted.size() && wanted[end].file == wanted[at].file &&
               wanted[end].page == wanted[end - 1].page + 1) {
            ++end;
        }
        const InodeTable::Index owner = inodes_.owner_of(wanted[at].file);
        if (owner != InodeTable::none) {
            notices.push_back(make_notice(protocol::NoticeKind::revoke_pages, inodes_[owner].node,
                                          wanted[at].page, end - at));
        }
        at = end;
    }
    if (wanted.empty() || c->fruitless != 0) {
        notices.assign(1, make_notice(protocol::NoticeKind::revoke_pages, 0, 0,
                                      std::max(pages, max_pages_per_request)));
    }
    stats_.revocations += notices.size();
    for (const protocol::Notice& one : notices) notices_.queue(*c, one);
    c->revoke_sequence = notices_.next(*c) - 1;
    c->revoke_sent = host_.clock().now();
    c->gave_back = false;
    notices_.send(*c);
}

}  // namespace xenfs::server
