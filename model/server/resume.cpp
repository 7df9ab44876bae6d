// Clients of a server that died come back to this one. Nobody is served before all are back (or the
// grace is over): until then no open file, lease or lock can be taken by somebody else. What a
// client sends again is done once: what the predecessor had done is only answered.
#include <algorithm>
#include <cstring>

#include "model/server/server_state.h"

namespace xenfs::server {

bool ServerState::waits_for_recovery(const Connection& c, const RequestBuffer& message) const {
    if (!recovering_) return false;
    if (telling_ && message.urgent()) return false;
    const Operation* const operation = find_operation(message.header().opcode);
    const auto when = operation == nullptr ? DuringRecovery::waits : operation->during_recovery;
    return when == DuringRecovery::waits ||
           (when == DuringRecovery::served_while_resuming && !c.resuming);
}

int ServerState::come_back(Request& q) {
    const auto in = q.args.get<protocol::ResumeIn>();
    if (in.count > protocol::max_resume_per_request) return EINVAL;
    const auto items = q.args.get_array<protocol::ResumeItem>(in.count);
    if (!q.args.finished()) return EINVAL;
    if (!q.client.resuming) return ESTALE;
    q.reply.put(protocol::ResumeOut{in.count, 0});
    for (const protocol::ResumeItem& item : items) {
        std::uint32_t stands = 0;
        if (!resume_item(q.client, item, stands)) return EINVAL;
        q.reply.put(stands);
    }
    if ((in.flags & protocol::resume_last) != 0) {
        q.client.resuming = false;
        ++stats_.resumed;
        look_ = true;
        control_gate_->wake_one();
    }
    return 0;
}

/// False: it cannot have been so.
bool ServerState::resume_item(Connection& c, const protocol::ResumeItem& item,
                              std::uint32_t& stands) {
    InodeUse inode(*this, item.node);
    const auto attr = attributes(*inode);
    if (!attr) return true;
    const bool write = (item.flags & protocol::resume_write) != 0 && !c.attachment.read_only;
    if ((item.flags & protocol::resume_open) != 0) {
        const auto place = static_cast<std::uint32_t>(item.fh) - 1;
        if (place >= config_.max_open_files) return false;
        while (c.files.size() <= place) {
            c.free_files.push_back(static_cast<std::uint32_t>(c.files.size()));
            c.files.emplace_back();
        }
        OpenFile& file = c.files[place];
        if (file.inode != InodeTable::none) return false;
        if (pin_storage(*inode, c) != 0) return true;
        std::erase(c.free_files, place);
        file.inode = inode.index();
        file.generation = static_cast<std::uint32_t>(item.fh >> 32);
        file.read = true;
        file.write = write;
        add_opener(*inode, c);
        stands |= protocol::resume_open | (write ? protocol::resume_write : 0u);
    }
    const bool lease = (item.flags & protocol::resume_lease) != 0;
    if (lease && inode->lease == no_connection && (inode->openers & ~bit(c.index)) == 0 &&
        attr->type == host::FileType::regular) {
        inode->lease = c.index;
        stands |= protocol::resume_lease;
    }
    return true;
}

/// From a client of a predecessor nothing more is to be expected.
void ServerState::not_coming_back(Connection& c) {
    c.returning = c.resuming = false;
    ++stats_.not_resumed;
    if (directory_) directory_->drop_client(c.index);
    release_client(c);
}

void ServerState::end_recovery_if_due() {
    if (!recovering_) return;
    const bool over = host_.clock().now() >= recovery_deadline_;
    bool missing = false;
    for (const auto& c : connections_) {
        if (c == nullptr) continue;
        missing = missing || c->returning || (c->resuming && c->alive());
    }
    if (missing && !over) return;
    for (const auto& c : connections_) {
        if (c == nullptr) continue;
        if (c->resuming) doom(*c);
        if (!c->returning) continue;
        not_coming_back(*c);
        write_offer(*c);  // of another session, which tells it
    }
    // Cached pages of files that have neither a name nor anybody at them are nobody's.
    std::vector<InodeTable::Index> all;
    inodes_.for_each([&](InodeTable::Index i, Inode& inode) {
        if (inode.attr_valid && inode.attr.links == 0 && inode.openers == 0) all.push_back(i);
    });
    for (const InodeTable::Index i : all) {
        if (inodes_[i].node == 0) continue;
        InodeUse inode(*this, i);
        lost_name(*inode, 0);
    }
    storage_.drop_nameless();
    tell_changed_while_away();
    recovering_ = false;
    for (const auto& c : connections_) {
        if (c != nullptr && c->alive() && !c->parked.empty()) ready_ |= bit(c->index);
    }
    work_gate_->wake_all();
}

const Replay* ServerState::replay(const Request& q) {
    if ((q.header.flags & protocol::request_again) == 0) return nullptr;
    for (const Replay& r : q.client.replays) {
        if (r.unique != q.header.unique || r.opcode != q.header.opcode) continue;
        ++stats_.replayed;
        q.worker.intent = r.record;
        return &r;
    }
    return nullptr;
}

void ServerState::intend(Request& q, const Names& what) {
    if (!directory_) return;
    // Others' records may stand at its number: of changes that a predecessor made, whose requests
    // have not come again yet.
    IntentRecord* record = nullptr;
    std::uint32_t at = q.worker.number;
    do {
        record = directory_->intent(at++);
        if (record == nullptr) return;
    } while (record->state != IntentRecord::none);
    record->unique = q.header.unique;
    record->parent = q.header.nodeid;
    record->new_parent = what.new_parent;
    record->node = what.node;
    record->replaced = what.replaced;
    record->size = what.size;
    record->opcode = q.header.opcode;
    record->flags = what.flags;
    record->client = q.client.index;
    const auto put = [](char* to, std::string_view name) {
        std::copy(name.begin(), name.end(), to);
        to[name.size()] = 0;
    };
    put(record->name, what.name);
    put(record->new_name, what.new_name);
    publish(record->state, std::uint32_t{IntentRecord::started});
    q.worker.intent = record;
}

void ServerState::intend_new(Request& q, std::string_view name, NodeId node) {
    if (!directory_ || storage_.lookup(q.header.nodeid, name).error() != ENOENT) return;
    intend(q, {.name = name, .node = node});
}

void ServerState::done(Request& q, NodeId node) {
    if (!directory_ || q.worker.intent == nullptr) return;
    q.worker.intent->node = node;
    publish(q.worker.intent->state, std::uint32_t{IntentRecord::done});
}

}  // namespace xenfs::server
