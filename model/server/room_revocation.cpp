// Clients are asked to give pages back, where frames are mapped or the grant table is full.
#include <algorithm>
#include <map>

#include "model/server/room.h"

namespace xenfs::server {

using cache::Slot;

namespace {

constexpr std::uint32_t most_ranges = 8;      ///< revocations in flight to one client
constexpr std::uint32_t deaf = 2;             ///< fruitless revocations after which none is sent
constexpr std::uint32_t look_at_most = 1024;  ///< mapped pages considered in one go

}  // namespace

bool RoomQueue::revocation_open(Connection& c) {
    return c.revoke_sequence != 0 && !c.ring.notice_done(c.revoke_sequence) &&
           host_.clock().now() < c.revoke_sent + config_.ack_timeout;
}

/// Asks for what keeps frames from being evicted: the pages that came due first, from everybody who
/// has them mapped. Where that is of no use, the client that holds most.
void RoomQueue::ask_for_frames(std::uint32_t frames) {
    std::vector<ConnectionIndex> by_account;
    for (const auto& c : clients_.places()) {
        if (c == nullptr || !c->alive()) continue;
        if (by_account.size() <= c->account) by_account.resize(c->account + 1, no_connection);
        by_account[c->account] = c->index;
    }
    std::vector<Slot> due;
    cache_.held(look_at_most, due);
    std::map<ConnectionIndex, std::vector<cache::PageKey>> wanted;
    std::uint32_t found = 0;
    for (const Slot slot : due) {
        if (found >= frames) break;
        const pages::PoolFrame& frame = pool_[cache_.frame(slot)];
        if (cache_.state(slot) == cache::PageState::loading || frame.grants == 0) continue;
        residency_.pass_over(slot);
        ClientSet holders;
        bool hopeless = (cache_.flags(slot) & page_flux) != 0;
        book_.for_each_of_frame(cache_.frame(slot), [&](const pages::GrantRecord& record) {
            const ConnectionIndex index = record.orphaned || record.account >= by_account.size()
                                              ? no_connection
                                              : by_account[record.account];
            Connection* c = index == no_connection ? nullptr : clients_.at(index);
            if (c == nullptr || c->fruitless != 0 || revocation_open(*c)) {
                hopeless = true;
            } else {
                holders.insert(index);
            }
        });
        if (hopeless || holders.empty()) continue;
        ++found;
        for (const ConnectionIndex i : holders) wanted[i].push_back(cache_.key(slot));
    }
    if (found == 0) return ask_largest(frames);
    for (const auto& [index, pages] : wanted) ask(index, pages, 0);
}

/// The client that pins most of what could be had, and has not been asked in vain.
void RoomQueue::ask_largest(std::uint32_t pages) {
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
void RoomQueue::ask(ConnectionIndex index, std::vector<cache::PageKey> wanted,
                    std::uint32_t pages) {
    Connection* c = clients_.at(index);
    if (c == nullptr || !c->alive() || c->fruitless >= deaf || revocation_open(*c)) return;
    if (c->urgent_waiting != 0) {
        for (std::size_t i = 0; i < queue_.size(); ++i) {
            const Waiter& waiter = queue_[i];
            if (waiter.request->urgent && waiter.may_return && &waiter.request->client == c) {
                return end(i, 0);
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
        const Inodes::Index owner = inodes_.owner_of(wanted[at].file);
        if (owner != Inodes::none) {
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
