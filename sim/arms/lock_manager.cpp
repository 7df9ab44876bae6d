#include "sim/arms/lock_manager.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {

LockManager::LockManager(Machine& machine)
    : network_(machine),
      message_ns_(machine.costs().time("cluster.message")),
      message_bytes_(machine.costs().count("cluster.message_bytes")) {}

std::size_t LockManager::join(Domain& guest, LockHolder& holder) {
    members_.push_back(std::make_unique<Member>());
    Member& member = *members_.back();
    member.domain = &guest;
    member.holder = &holder;
    member.changed = guest.host().tasks().make_gate();
    member.arrived = guest.host().tasks().make_gate();
    guest.spawn(
        "dlm", [this, &member] { serve(member); }, true);
    return members_.size() - 1;
}

void LockManager::serve(Member& member) {
    for (;;) {
        while (member.inbox.empty()) member.arrived->wait();
        const auto handle = std::move(member.inbox.front());
        member.inbox.pop_front();
        member.domain->host().clock().charge(network_.side_ns(message_bytes_) + message_ns_);
        handle();
    }
}

/// In a task of `from`; what `to` does with it, its dlm thread does. To itself: at once.
void LockManager::send(std::size_t from, std::size_t to, std::function<void()> handle) {
    if (from == to) return handle();
    Member& sender = *members_[from];
    Member& receiver = *members_[to];
    ++sender.stats.messages;
    sender.domain->host().clock().charge(network_.side_ns(message_bytes_) + message_ns_);
    // Nobody waits here for the message to leave. Two tasks of one sender have charges of their
    // own, and one connection all the same: what is sent later is never received first.
    auto& connection = sender.sent[to];
    connection.push_back(std::make_shared<Message>(Message{std::move(handle)}));
    network_.post(message_bytes_, [&receiver, &connection, message = connection.back()] {
        message->arrived = true;
        for (; !connection.empty() && connection.front()->arrived; connection.pop_front()) {
            receiver.inbox.push_back(std::move(connection.front()->handle));
            receiver.arrived->wake_one();
        }
    });
}

bool LockManager::holds(std::size_t member, NodeId node, LockMode mode) const {
    const auto found = members_[member]->locks.find(node);
    return found != members_[member]->locks.end() && !found->second.demoting &&
           found->second.mode >= mode;
}

void LockManager::acquire(std::size_t number, NodeId node, LockMode mode) {
    Member& member = *members_[number];
    for (;;) {
        Local& local = member.locks[node];
        if (!local.demoting && local.mode >= mode) {
            ++local.users;
            return;
        }
        if (local.demoting || local.asked) {
            member.changed->wait();
            continue;
        }
        // Whoever asks has one use at least, so that two guests that want the same both get on.
        local.asked = true;
        ++member.stats.requests;
        const std::size_t master = master_of(node);
        send(number, master, [this, node, number, mode] { requested(node, {number, mode}); });
        while (member.locks[node].asked) member.changed->wait();
        return;
    }
}

void LockManager::release(std::size_t number, NodeId node) {
    Member& member = *members_[number];
    Local& local = member.locks[node];
    assert(local.users > 0 && "a lock released more often than acquired");
    if (--local.users == 0) member.changed->wake_all();
}

void LockManager::round_trip(std::size_t number, NodeId node) {
    const std::size_t master = master_of(node);
    if (master == number) return;
    Member& member = *members_[number];
    const auto done = std::make_shared<bool>(false);
    send(number, master, [this, number, master, done] {
        send(master, number, [this, number, done] {
            *done = true;
            members_[number]->changed->wake_all();
        });
    });
    while (!*done) member.changed->wait();
}

void LockManager::requested(NodeId node, Waiter waiter) {
    resources_[node].waiting.push_back(waiter);
    pump(node);
}

/// At the master: grants what can be, and asks for what is in the way of the first that waits.
void LockManager::pump(NodeId node) {
    Resource& of = resources_[node];
    of.granted.resize(members_.size());
    of.told.resize(members_.size());
    const std::size_t master = master_of(node);
    while (!of.waiting.empty()) {
        const Waiter first = of.waiting.front();
        bool free = true;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            if (i == first.member) continue;
            const bool conflict =
                of.granted[i] == LockMode::exclusive ||
                (of.granted[i] == LockMode::shared && first.mode == LockMode::exclusive);
            if (!conflict) continue;
            free = false;
            if (of.told[i]) continue;
            of.told[i] = true;
            const LockMode to =
                first.mode == LockMode::exclusive ? LockMode::none : LockMode::shared;
            send(master, i, [this, i, node, to] { wanted_back(i, node, to); });
        }
        if (!free) return;
        of.waiting.pop_front();
        of.granted[first.member] = std::max(of.granted[first.member], first.mode);
        send(master, first.member,
             [this, first, node] { granted(first.member, node, first.mode); });
    }
}

void LockManager::granted(std::size_t number, NodeId node, LockMode mode) {
    Member& member = *members_[number];
    Local& local = member.locks[node];
    local.mode = std::max(local.mode, mode);
    local.asked = false;
    ++local.users;
    member.changed->wake_all();
}

/// At a holder. A task of its own, since it waits for users and for the disk.
void LockManager::wanted_back(std::size_t number, NodeId node, LockMode to) {
    Member& member = *members_[number];
    ++member.stats.callbacks;
    member.domain->spawn("glock", [this, number, node, to, &member] {
        for (;;) {
            Local& local = member.locks[node];
            local.demoting = true;
            if (local.users == 0) break;
            member.changed->wait();
        }
        const LockMode from = member.locks[node].mode;
        if (from > to) {
            ++member.stats.demotions;
            member.holder->demote(node, from, to);
        }
        Local& local = member.locks[node];
        local.mode = std::min(local.mode, to);
        local.demoting = false;
        member.changed->wake_all();
        send(number, master_of(node), [this, number, node, to] { given_up(number, node, to); });
    });
}

void LockManager::given_up(std::size_t number, NodeId node, LockMode mode) {
    Resource& of = resources_[node];
    of.granted[number] = std::min(of.granted[number], mode);
    of.told[number] = false;
    pump(node);
}

}  // namespace xenfs::sim
