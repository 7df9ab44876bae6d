#include "model/server/recovery.h"

#include <algorithm>
#include <string>

#include "model/server/takeover.h"

namespace xenfs::server {

namespace {

std::string root_path(const host::Host& host) {
    return "/local/domain/" + std::to_string(host.self()) + "/xenfs/pool-" +
           std::to_string(host.granter());
}

}  // namespace

void Recovery::begin() {
    host::Host& host = server_.host_;
    const Nanoseconds start = host.clock().now();
    const auto frames = host.frames().all();
    const auto entries = host.grants().all();
    if (!frames || !entries) return;  // the host cannot tell: nothing to find, nothing to leave
    std::unique_ptr<Directory> directory;
    const auto root = host.store().read(root_path(host));
    if (root) {
        std::vector<Frame> shared;
        for (const host::OwnedFrame& f : *frames) {
            if (f.shared) shared.push_back(f.frame);
        }
        std::sort(shared.begin(), shared.end());
        const auto frame = static_cast<Frame>(std::strtoul(root->c_str(), nullptr, 10));
        directory = Directory::open(host.memory(), frame, shared);
    }
    const bool fresh = directory == nullptr;
    if (fresh) directory = Directory::make(host.memory());
    if (directory == nullptr) return;
    directory->begin();
    // survives yields: the journal keeps it from here on
    Directory& found = *directory;
    server_.journal_ = std::make_unique<PoolJournal>(
        std::move(directory), server_.inodes_,
        PoolJournal::Sources{
            [this](NodeId node) { return server_.storage_.handle(node); },
            [this](const Inode& inode) { return server_.inodes_.pages_cached(inode) != 0; },
            [this] { return server_.pool_.capacity(); }});
    Takeover(server_, found, *frames, *entries).run();
    if (fresh) (void)host.store().write(root_path(host), std::to_string(found.root()));
    server_.balloon_.adjust_capacity();
    for (const auto& c : server_.clients_.places()) {
        under_way_ = under_way_ || (c != nullptr && c->returning);
    }
    deadline_ = host.clock().now() + server_.config_.resume_grace;
    server_.stats_.recovery_ns = host.clock().now() - start;
}

bool Recovery::holds_back(const Request& q) const {
    // Urgent: sent again by a client that a predecessor had asked for something. It handles no
    // further notice before it has its answer.
    const bool urgent = (q.header.flags & protocol::request_urgent) != 0;
    if (!under_way_ || (telling_ && urgent)) return false;
    const auto when = q.operation == nullptr ? DuringRecovery::waits : q.operation->during_recovery;
    return when == DuringRecovery::waits ||
           (when == DuringRecovery::served_while_resuming && !q.client.resuming);
}

void Recovery::end_if_due() {
    if (!under_way_) return;
    const bool over = server_.host_.clock().now() >= deadline_;
    bool missing = false;
    for (const auto& c : server_.clients_.places()) {
        if (c == nullptr) continue;
        missing = missing || c->returning || (c->resuming && c->alive());
    }
    if (missing && !over) return;
    for (std::size_t i = 0; i < server_.clients_.places().size(); ++i) {
        // survives yields: the control task runs this, and only it removes connections
        Connection* const c = server_.clients_.places()[i].get();
        if (c == nullptr) continue;
        if (c->resuming) server_.begin_close(*c);
        if (!c->returning) continue;
        server_.not_coming_back(*c);
        server_.write_offer(*c);  // its new session tells the client so
    }
    drop_nameless_files();
    tell_changed_while_away();
    server_.locks_.all_are_back();
    under_way_ = false;
    server_.parking_.look(Wait::recovery, [](const Request&) { return true; });
    server_.work_gate_->wake_all();
}

/// Nobody can reach a file any more that has neither a name nor an opener.
void Recovery::drop_nameless_files() {
    std::vector<InodeTable::Index> all;
    server_.inodes_.for_each([&](InodeTable::Index i, Inode& inode) {
        if (inode.attr_valid && inode.attr.links == 0 && inode.openers.empty()) all.push_back(i);
    });
    for (const InodeTable::Index i : all) {
        if (server_.inodes_[i].node == 0) continue;
        InodeUse inode(server_.inodes_, i);
        server_.files_.let_go(*inode);
    }
    server_.storage_.drop_nameless();
}

/// Tells clients of files that others changed while there was no server, before anybody is served:
/// a client that has mapped pages of such a file is not known as its holder, and would not be told
/// of the next change.
void Recovery::tell_changed_while_away() {
    std::vector<NodeId> changed;
    server_.inodes_.for_each([&](InodeTable::Index, Inode& inode) {
        if (inode.untold) changed.push_back(inode.node);
    });
    if (changed.empty()) return;
    telling_ = true;
    server_.parking_.look(Wait::recovery, [this](const Request& q) { return !holds_back(q); });
    Acks acks;
    for (const NodeId node : changed) {
        // A client that came back has dropped its copies and the size that it knew. The second
        // notice makes a kernel above it drop what that has read from the pages.
        const protocol::Notice notices[] = {
            make_notice(protocol::NoticeKind::revoke_pages, node, 0, protocol::max_file_pages),
            make_notice(protocol::NoticeKind::inval_node, node)};
        for (const protocol::Notice& each : notices) {
            for (std::size_t i = 0; i < server_.clients_.places().size(); ++i) {
                Connection* const c = server_.clients_.alive(static_cast<ConnectionIndex>(i));
                if (c != nullptr) server_.notices_.post(acks, *c, each);
            }
        }
    }
    server_.notices_.await(acks);
    telling_ = false;
    for (const NodeId node : changed) {
        InodeUse inode(server_.inodes_, node);
        inode->untold = false;
        server_.journal_->keep_stored(*inode);
    }
}

}  // namespace xenfs::server
