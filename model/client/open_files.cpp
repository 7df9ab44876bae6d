#include "model/client/open_files.h"

namespace xenfs::client {

using protocol::Opcode;

namespace {

/// While it lives, a notice does not give back the open that the task is about to use.
class Opening {
  public:
    explicit Opening(Node& node) : use_(node) { ++use_->openings; }
    ~Opening() { --use_->openings; }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;

  private:
    NodeUse use_;
};

}  // namespace

/// A lease that comes with the open needs the size with which it begins.
int OpenFiles::open_at_server(Node& node, bool write) {
    bool lease_came = false;
    if (int error = opens_.open(node, write, lease_came)) return error;
    return lease_came && node.state.leased() && !node.state.valid() ? attributes_.refresh(node) : 0;
}

bool OpenFiles::reopen(Node& node, std::uint64_t fh) {
    if (node.open.valid() && node.open.fh() != fh) return true;
    if (stats_.reconnects == 0) return false;
    // The successor of a server could not restore the open, or the lease under which pages became
    // dirty while the file was not open.
    bool write = node.open.writes() || pages_.dirty_pages(node.file()) > 0;
    handles_.for_each(
        [&](const OpenFile& file) { write = write || (file.node == &node && file.write); });
    const Opening opening(node);
    return open_at_server(node, write) == 0;
}

Handle OpenFiles::add(Node& node, OpenFlags flags) {
    opens_.handle_opened(node);
    return handles_.add(node, flags);
}

int OpenFiles::create_new(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                          OpenFlags flags, Opened& made) {
    Call call(connection_, Opcode::create, parent);
    call.set_owner(who);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put(protocol::CreateIn{
        protocol::open_create | protocol::open_exclusive | protocol::open_read_write, mode,
        who.umask, 0});
    call.put_name(name.text);
    if (int error = call.send()) return names_.absent_in(parent, error);
    const auto entry = call.get<protocol::EntryOut>();
    const auto out = call.get<protocol::OpenOut>();
    // The file is new: whatever is known under its number belongs to one that is gone.
    if (Node* const old = nodes_.find(entry.nodeid); old != nullptr && call.ok()) {
        opens_.forget_file(*old);
    }
    const auto learned = names_.learn(call, parent, name, entry);
    if (!learned) return learned.error();
    const bool entry_outdated = call.entry_outdated(), node_outdated = call.node_outdated();
    names_.changed(parent, name, entry_outdated ? EntryCache::unknown : *learned);
    const NodeUse node(*nodes_.find(*learned));
    const Opening opening(*node);
    opens_.adopt(*node, out, node_outdated);
    made = {*learned, add(*node, flags), true};
    return 0;
}

/// Asks for a new file at first; where the name exists after all, opens the file that it names.
Result<Opened> OpenFiles::create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                                 OpenFlags flags) {
    clock_.charge(costs_.syscall + costs_.lookup);
    constexpr int most_attempts = 8;
    NodeId there = names_.find(parent, name);
    for (int attempt = 0;; ++attempt) {
        if (there != EntryCache::unknown && there != EntryCache::negative) {
            if (flags.exclusive) return Errno{EEXIST};
            const auto opened = open(there, flags);
            if (opened) return Opened{there, *opened, false};
            const bool vanished = opened.error() == ENOENT || opened.error() == ESTALE;
            if (!vanished || attempt > most_attempts) return Errno{opened.error()};
            names_.forget(parent, name);
        }
        opens_.make_room();
        Opened made;
        const int error = create_new(parent, name, mode, who, flags, made);
        if (error == 0) return made;
        if (error == ENFILE && attempt < most_attempts && opens_.give_back()) continue;
        if (error != EEXIST || flags.exclusive || attempt > most_attempts) return Errno{error};
        const auto found = names_.lookup(parent, name);
        if (!found && found.error() != ENOENT) return Errno{found.error()};
        there = found ? *found : EntryCache::negative;
    }
}

/// To the client it is a file of which it has removed the last name.
Result<Opened> OpenFiles::create_nameless(NodeId directory, std::uint32_t mode, Owner who,
                                          OpenFlags flags) {
    clock_.charge(costs_.syscall);
    constexpr int most_attempts = 8;
    for (int attempt = 0;; ++attempt) {
        opens_.make_room();
        Call call(connection_, Opcode::tmpfile, directory);
        call.set_owner(who);
        call.concerns_any_node();
        call.put(protocol::CreateIn{protocol::open_read_write, mode, who.umask, 0});
        const int error = call.send();
        if (error == ENFILE && attempt < most_attempts) {
            call.finish();
            if (opens_.give_back()) continue;
        }
        if (error == ENOSYS) return Errno{EOPNOTSUPP};
        if (error != 0) return Errno{names_.absent_in(directory, error)};
        const auto entry = call.get<protocol::EntryOut>();
        const auto out = call.get<protocol::OpenOut>();
        if (!call.ok() || entry.nodeid == 0 || entry.attr.ino != entry.nodeid) return Errno{EIO};
        if (Node* const old = nodes_.find(entry.nodeid)) opens_.forget_file(*old);
        const bool outdated = call.node_outdated();
        const NodeUse node(attributes_.learn(entry.attr, outdated || entry.attr_valid == 0));
        const Opening opening(*node);
        node->unlinked = true;
        node->wanted = node->forgotten = false;
        opens_.adopt(*node, out, outdated);
        return Opened{entry.nodeid, add(*node, flags), true};
    }
}

Result<Handle> OpenFiles::open(NodeId id, OpenFlags flags) {
    clock_.charge(costs_.syscall);
    if (opens_.discarded(id)) return Errno{ESTALE};
    opens_.make_room();
    const NodeUse use(nodes_.find_or_add(id));
    Node& node = *use;
    // For writing, the lease is worth asking for where another guest had it or nobody.
    const bool writes = node.open.writes() && node.state.leased();
    if (node.open.valid() && (!flags.write || writes)) {
        ++stats_.opens_local;
    } else {
        int error = 0;
        {
            const Opening opening(node);
            error = open_at_server(node, flags.write);
        }
        if (error != 0) {
            // The file lost its last name meanwhile, and was left to this task.
            if (node.unlinked) opens_.discard_if_unused(node);
            return Errno{error};
        }
    }
    const Handle handle = add(node, flags);
    if (flags.truncate && flags.write) {
        SetAttr change;
        change.valid = SetAttr::size_;
        // There is nothing to cut, but an empty file's times move too.
        if (node.state.leased() && node.state.size_known() && node.state.size() == 0) {
            change.valid = SetAttr::mtime_;
            change.value.mtime = clock_.world();
        }
        if (const int error = attributes_.change(node, change)) {
            close(handle);
            return Errno{error};
        }
    }
    return handle;
}

int OpenFiles::close(Handle handle) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    const NodeUse use(*file->node);
    Node& node = *use;
    locks_.release_all(handle);
    if (handles_.find(handle) == nullptr) return EBADF;
    handles_.remove(handle);
    if (node.handles > 0 || node.openings > 0) return 0;
    opens_.handle_closed(node);
    if (node.unlinked) {
        opens_.discard_if_unused(node);
    } else if (!node.state.valid()) {
        opens_.release_idle(node);  // nobody would tell us of its deletion
    }
    return 0;
}

}  // namespace xenfs::client
