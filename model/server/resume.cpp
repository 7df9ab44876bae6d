// Clients of a server that died come back to this one. Nobody is served before all are back (or the
// grace is over): until then no open file, lease or lock can be taken by somebody else. What a
// client sends again is done once: what the predecessor had done is only answered.
#include <algorithm>
#include <cstring>

#include "model/server/server_state.h"

namespace xenfs::server {

int ServerState::come_back(Request& q) {
    const auto in = q.args.get<protocol::ResumeIn>();
    if (in.count > protocol::max_resume_per_request) return EINVAL;
    const auto items = q.args.get_array<protocol::ResumeItem>(in.count);
    if (!q.args.finished()) return EINVAL;
    if (!q.client.resuming) return ESTALE;
    q.reply.put(protocol::ResumeOut{in.count, 0});
    for (const protocol::ResumeItem& item : items) {
        std::uint32_t stands = 0;
        if (!resume_item(q, item, stands)) return EINVAL;
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
bool ServerState::resume_item(Request& q, const protocol::ResumeItem& item, std::uint32_t& stands) {
    Connection& c = q.client;  // survives yields: serve() uses the client
    InodeUse inode(inodes_, item.node);
    const auto attr = attributes(*inode);
    if (!attr) return true;
    const bool write = (item.flags & protocol::resume_write) != 0 && !c.attachment.read_only;
    if ((item.flags & protocol::resume_open) != 0) {
        const auto place = static_cast<std::uint32_t>(item.fh) - 1;
        if (place >= config_.max_open_files) return false;
        files_.add_opener(*inode, c);
        if (files_.pin_storage(q, *inode) != 0) {
            files_.remove_opener(*inode, c);
            return true;
        }
        // The place is looked up after the yield, in which another request of the client may have
        // taken it, or moved the table.
        if (!files_.restore(c, inode.index(), item.fh, write)) {
            files_.remove_opener(*inode, c);
            return false;
        }
        stands |= protocol::resume_open | (write ? protocol::resume_write : 0u);
    }
    if ((item.flags & protocol::resume_lease) != 0 && coherence_.restore_lease(*inode, c)) {
        stands |= protocol::resume_lease;
    }
    return true;
}

/// From a client of a predecessor nothing more is to be expected.
void ServerState::not_coming_back(Connection& c) {
    c.returning = c.resuming = false;
    ++stats_.not_resumed;
    journal_->drop_client(c.index);
    release_client(c);
}

std::optional<Replay> ServerState::replay(Request& q) {
    if ((q.header.flags & protocol::request_again) == 0) return {};
    for (const Replay& r : q.client.replays) {
        if (r.unique != q.header.unique || r.opcode != q.header.opcode) continue;
        ++stats_.replayed;
        q.intent = r.record;
        return r;
    }
    return {};
}

void ServerState::intend(Request& q, Change what) {
    what.unique = q.header.unique;
    what.opcode = q.header.opcode;
    what.client = q.client.index;
    what.parent = q.header.nodeid;
    q.intent = journal_->begin_change(q.worker->number, what);
}

void ServerState::intend_new(Request& q, std::string_view name, NodeId node) {
    if (!journal_->outlives() || storage_.lookup(q.header.nodeid, name).error() != ENOENT) return;
    intend(q, {.name = name, .node = node});
}

void ServerState::done(Request& q, NodeId node) {
    journal_->complete_change(q.intent, node);
}

}  // namespace xenfs::server
