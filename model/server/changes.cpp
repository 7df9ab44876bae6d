#include "model/server/changes.h"

namespace xenfs::server {

std::optional<Replay> Changes::replay(Request& q) {
    if ((q.header.flags & protocol::request_again) == 0) return {};
    for (const Replay& r : q.client.replays) {
        if (r.unique != q.header.unique || r.opcode != q.header.opcode) continue;
        ++stats_.replayed;
        q.intent = r.record;
        return r;
    }
    return {};
}

void Changes::intend(Request& q, Change what) {
    what.unique = q.header.unique;
    what.opcode = q.header.opcode;
    what.client = q.client.index;
    what.parent = q.header.nodeid;
    q.intent = journal_->begin_change(q.worker->number, what);
}

void Changes::intend_new(Request& q, std::string_view name, NodeId node) {
    if (!journal_->outlives() || storage_.lookup(q.header.nodeid, name).error() != ENOENT) return;
    intend(q, {.name = name, .node = node});
}

void Changes::done(Request& q, NodeId node) {
    journal_->complete_change(q.intent, node);
}

}  // namespace xenfs::server
