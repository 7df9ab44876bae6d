// Entries that the clients of a predecessor hold, and changes that it was making for them.
#include "model/server/takeover.h"

namespace xenfs::server {

void Takeover::recover_entries() {
    for (const host::FoundEntry& entry : entries_) {
        const auto given = directory_.entry(entry.reference);
        Connection* client = nullptr;
        for (const auto& c : server_.clients_.places()) {
            if (c == nullptr || !c->returning || c->device.guest != entry.domain) continue;
            if (client == nullptr || c->index == given.client) client = c.get();
        }
        const auto end = [&] {
            GrantStatus status = GrantStatus::okay;
            server_.host_.grants().revoke({&entry.reference, 1}, {&status, 1});
            if (status == GrantStatus::okay) directory_.drop_entry(entry.reference);
            return status == GrantStatus::okay;
        };
        if (entry.accepts) {
            const bool kept =
                client != nullptr && given.known &&
                server_.residency_.adopt_entry(client->account, entry.reference, pages::no_index,
                                               pages::no_tag, pages::EntryKind::accept, false);
            if (kept) {
                ++server_.stats_.recovered_entries;
            } else if (!end()) {  // a frame came that nobody owns now
                const Frame came = server_.host_.grants().take_transferred(entry.reference);
                if (came != no_frame) (void)server_.residency_.restore_frame(came);
            }
            continue;
        }
        const auto frame = index_.find(entry.frame);
        if (frame == index_.end()) {
            end();
            continue;
        }
        const auto kind =
            entry.access == Access::read ? pages::EntryKind::read : pages::EntryKind::write;
        // The client was never told of this entry.
        if ((client == nullptr || !given.known) && !entry.revoked && end()) continue;
        const auto slot = entry.revoked ? slot_.end() : slot_.find(entry.frame);
        const std::uint32_t tag = slot == slot_.end() ? pages::no_tag : slot->second;
        if (client == nullptr ||
            !server_.residency_.adopt_entry(client->account, entry.reference, frame->second, tag,
                                            kind, entry.revoked)) {
            server_.residency_.adopt_orphan(entry.domain, entry.reference, frame->second, kind);
            continue;
        }
        ++server_.stats_.recovered_entries;
    }
}

void Takeover::recover_changes() {
    for (std::uint32_t i = 0; i < directory_.intents.records(); ++i) {
        IntentRecord& intent = *directory_.intent(i);
        if (intent.state == IntentRecord::none) continue;
        // survives yields: the control task runs this, and only it removes connections
        Connection* const c = intent.client < most_connections
                                  ? server_.clients_.at(static_cast<ConnectionIndex>(intent.client))
                                  : nullptr;
        Replay replay{intent.unique, intent.opcode, intent.node, intent.replaced, nullptr};
        if (c != nullptr && c->returning &&
            (intent.state == IntentRecord::done || took_effect(intent, replay))) {
            // After another kill a second successor may not be able to tell any more.
            intent.node = replay.node;
            publish(intent.state, std::uint32_t{IntentRecord::done});
            replay.record = &intent;
            c->replays.push_back(replay);
        } else {
            publish(intent.state, std::uint32_t{IntentRecord::none});
        }
    }
}

/// Whether a change that was begun happened. Nobody else has changed anything since.
bool Takeover::took_effect(const IntentRecord& intent, Replay& replay) {
    const auto at = [&](NodeId parent, const char* name) MAY_YIELD {
        const auto found = server_.storage_.lookup(parent, name);
        return found ? found->node : 0;
    };
    const NodeId there = at(intent.parent, intent.name);
    switch (outcome_of(intent)) {
        case Outcome::makes_name:
            replay.node = there;
            return there != 0;
        case Outcome::links:
            return there == intent.node;
        case Outcome::removes_name:
            return there != intent.node;
        case Outcome::moves: {
            constexpr std::uint32_t exchange = 2;
            const bool moved = at(intent.new_parent, intent.new_name) == intent.node;
            return moved && ((intent.flags & exchange) != 0 ? there == intent.replaced
                                                            : there != intent.node);
        }
        case Outcome::resizes: {
            InodeUse inode(server_.inodes_, intent.node);
            const auto attr = server_.attributes_.attributes(*inode);
            return attr && attr->size == intent.size;
        }
        case Outcome::repeatable:
        case Outcome::recorded:
            break;
    }
    return false;
}

}  // namespace xenfs::server
