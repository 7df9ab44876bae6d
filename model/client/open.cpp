// Opens. All handles on a file share one open at the server, which is kept after the last close:
// opening a file again costs nothing while nobody changes it.
#include <algorithm>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;

void Client::take_lease(Node& node, const protocol::OpenOut& out, bool doomed) {
    if ((out.open_flags & protocol::fopen_lease_exclusive) == 0) return;
    // A recall that came before this reply has been counted: then there is no lease any more.
    if (doomed || node.lease) return;
    node.lease = true;
    node.changed = false;
    ++stats_.leases_granted;
}

/// The server has as many files open as it can: gives those back that nobody here uses, where
/// need be after what is dirty of them. False: there are none.
bool Client::give_opens_back() {
    constexpr std::uint32_t most = 256;
    std::uint32_t given = 0;
    std::vector<Node*> dirty;
    const std::uint32_t steps = nodes_.records();
    for (std::uint32_t step = 0; step < steps && given < most; ++step) {
        Node* node = nodes_.next_idle();
        if (node == nullptr) break;
        if (node->users > 0 || node->opens > 0 || !node->fh_valid) continue;
        if (!idle(*node)) {
            if (dirty.size() == most) continue;
            ++node->users;  // it must stay until its turn comes
            dirty.push_back(node);
            continue;
        }
        release_fh(*node);
        ++given;
    }
    for (Node* const node : dirty) {
        if (given < most && connection_.usable()) {
            flush(*node);
            if (node->users == 1 && idle(*node) && node->fh_valid) {
                release_fh(*node);
                ++given;
            }
        }
        --node->users;
    }
    // They are on their way: another of the server's workers may take our next request before them.
    if (given != 0) clock_.sleep(1'000'000);
    return given != 0;
}

int Client::open_at_server(Node& node, bool write) {
    protocol::OpenOut out;
    bool doomed = false;
    for (int attempt = 0;; ++attempt) {
        Call call(connection_, Opcode::open, node.id);
        call.put(protocol::OpenIn{write ? protocol::open_read_write : protocol::open_read_only, 0});
        const int error = call.send();
        if (error == ENFILE && attempt < 8) {
            call.finish();
            if (give_opens_back()) continue;
        }
        if (error != 0) return error;
        out = call.get<protocol::OpenOut>();
        if (!call.ok()) return EIO;
        doomed = call.node_doomed();
        // Its slot goes here: who waits for a second slot with one in hand waits for ever when all
        // do so.
        break;
    }
    // There may be one already: read-only, or another task's of this moment.
    const bool replaces = node.fh_valid;
    const std::uint64_t old = node.fh;
    if (!replaces && node.opens == 0) ++open_fhs_;
    node.fh = out.fh;
    node.fh_valid = true;
    node.fh_write = write;
    const bool had_lease = node.lease;
    take_lease(node, out, doomed);
    if (replaces) post_release(node, old, false);
    if (node.lease && !had_lease && (!node.attr_valid || doomed)) return refresh(node);
    return 0;
}

/// Without waiting: nothing depends on when it is gone.
void Client::post_release(Node& node, std::uint64_t fh, bool urgent) {
    NodeUse use(node);
    Call call(connection_, Opcode::release, node.id, urgent);
    call.put(protocol::ReleaseIn{fh, 0, 0, 0});
    call.post();
}

/// Forgets the open at the server, and the pages with it: who has a file neither open nor known is
/// told nothing of its changes. A lease ends with it.
void Client::release_fh(Node& node, bool urgent) {
    if (!node.fh_valid) return;
    node.fh_valid = false;
    if (node.opens == 0) --open_fhs_;
    if (node.lease) {
        node.lease = node.changed = false;
        forget_attributes(node);
    }
    pages_.drop_range(node.file(), 0, UINT32_MAX);
    pages_.drop_range(node.kernel_file(), 0, UINT32_MAX);
    post_release(node, node.fh, urgent);
}

/// Nothing of it is in use or would be lost.
bool Client::idle(const Node& node) const {
    return node.opens == 0 && node.flushes == 0 && pages_.dirty_pages(node.file()) == 0;
}

void Client::discard(Node& node) {
    const std::uint32_t dirty = pages_.dirty_pages(node.file());
    stats_.dirty_pages_dropped += dirty;
    pages_.drop_range(node.file(), 0, UINT32_MAX);
    pages_.drop_range(node.kernel_file(), 0, UINT32_MAX);
    links_.erase(node.id);
    node.lease = false;
    forget_attributes(node);
    release_fh(node);
    const bool loading = pages_.cache().file_pages(node.file()) > 0 ||
                         pages_.cache().file_pages(node.kernel_file()) > 0;
    if (node.users == 0 && node.opens == 0 && !loading) nodes_.remove(node);
}

/// Makes room in the table and among the opens kept at the server.
void Client::limit_nodes() {
    for (int step = 0; step < 64; ++step) {
        const bool crowded = nodes_.size() >= config_.node_limit;
        if (!crowded && open_fhs_ <= config_.open_limit) return;
        Node* node = nodes_.next_idle();
        if (node == nullptr) return;
        if (node->users > 0 || !idle(*node)) continue;
        if (node->lease && !node->fh_valid && !node->unlinked) continue;
        if (!crowded) {
            release_fh(*node);
            continue;
        }
        pages_.drop_range(node->file(), 0, UINT32_MAX, true);
        pages_.drop_range(node->kernel_file(), 0, UINT32_MAX, true);
        links_.erase(node->id);
        release_fh(*node);
        const bool empty = pages_.cache().file_pages(node->file()) == 0 &&
                           pages_.cache().file_pages(node->kernel_file()) == 0;
        if (empty && node->users == 0 && node->used && idle(*node)) nodes_.remove(*node);
    }
}

Result<Opened> Client::create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                              OpenFlags flags) {
    clock_.charge(costs_.syscall + costs_.lookup);
    NodeId there = entries_.find(parent, name);
    // Asks for a new file at first; where the name exists after all, opens what it names.
    for (int attempt = 0;; ++attempt) {
        if (there != EntryCache::unknown && there != EntryCache::negative) {
            if (flags.exclusive) return Errno{EEXIST};
            const auto opened = open(there, flags);
            if (opened) return Opened{there, *opened, false};
            const bool vanished = opened.error() == ENOENT || opened.error() == ESTALE;
            if (!vanished || attempt > 8) return Errno{opened.error()};
            entries_.forget(parent, name);
        }
        limit_nodes();
        Call call(connection_, Opcode::create, parent);
        call.set_owner(who);
        call.concerns_entry(parent, name.hash);
        call.concerns_any_node();
        call.put(protocol::CreateIn{
            protocol::open_create | protocol::open_exclusive | protocol::open_read_write, mode, 0,
            0});
        call.put_name(name.text);
        const int error = call.send();
        if (error == ENFILE && attempt < 8) {
            call.finish();
            if (give_opens_back()) continue;
        }
        if (error == EEXIST && !flags.exclusive && attempt <= 8) {
            call.finish();  // the look-up needs a slot; who keeps one meanwhile waits for itself
            const auto found = lookup(parent, name);
            if (!found && found.error() != ENOENT) return Errno{found.error()};
            there = found ? *found : EntryCache::negative;
            continue;
        }
        if (error != 0) return Errno{error};
        const auto made = entry_reply(call, parent, name);
        if (!made) return Errno{made.error()};
        const auto out = call.get<protocol::OpenOut>();
        if (!call.ok()) return Errno{EIO};
        const bool entry_doomed = call.entry_doomed(), node_doomed = call.node_doomed();
        own_change(parent, name, entry_doomed ? EntryCache::unknown : *made);
        Node& node = *nodes_.find(*made);
        // The file is new: whatever is known under its number belongs to one that is gone.
        pages_.drop_range(node.file(), 0, UINT32_MAX);
        pages_.drop_range(node.kernel_file(), 0, UINT32_MAX);
        NodeUse use(node);
        node.lease = false;
        if (node.fh_valid) release_fh(node);
        node.fh = out.fh;
        node.fh_valid = true;
        node.fh_write = true;
        take_lease(node, out, node_doomed);
        epoch_offset_ = node.attr.mtime - clock_.now();
        return Opened{*made, handles_.add(node, flags), true};
    }
}

Result<Handle> Client::open(NodeId id, OpenFlags flags) {
    clock_.charge(costs_.syscall);
    limit_nodes();
    Node& node = nodes_.find_or_add(id);
    NodeUse use(node);
    // To write, the lease is worth asking for where somebody else had it or nobody.
    const bool enough = node.fh_valid && (!flags.write || (node.fh_write && node.lease));
    if (enough) {
        ++stats_.opens_local;
    } else {
        // A notice may take the new open away again while its attributes are asked for.
        int error = 0;
        for (int attempt = 0; error == 0 && (attempt == 0 || !node.fh_valid) && attempt < 8;
             ++attempt) {
            error = open_at_server(node, flags.write);
        }
        if (error != 0) return Errno{error};
    }
    if (node.opens == 0 && node.fh_valid) --open_fhs_;
    const Handle handle = handles_.add(node, flags);
    if (flags.truncate && flags.write) {
        int error = need_size(node);
        if (error == 0 && node.attr.size > 0) {
            SetAttr change;
            change.valid = SetAttr::size_;
            error = truncate(node, 0);
            if (error == 0) error = send_setattr(node, change);
        }
        if (error != 0) {
            close(handle);
            return Errno{error};
        }
    }
    return handle;
}

int Client::close(Handle handle) {
    clock_.charge(costs_.syscall);
    OpenFile* file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    Node& node = *file->node;
    NodeUse use(node);
    while (!file->lock_owners.empty()) {
        const auto [owner, whole] = file->lock_owners.back();
        file->lock_owners.pop_back();
        FileLock all;
        all.owner = owner;
        all.type = FileLock::Type::unlock;
        all.whole_file = whole;
        set_lock(handle, all, false);
    }
    handles_.remove(handle);
    if (node.opens > 0) return 0;
    if (node.fh_valid) ++open_fhs_;
    if (node.unlinked) {
        discard(node);
    } else if (!node.attr_valid && idle(node)) {
        release_fh(node);  // we would not hear if it went
    }
    return 0;
}

}  // namespace xenfs::client
