// Names: looked up, made, moved and removed; directories read.
#include <algorithm>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;

/// A walk along cached names costs a look-up each; it is a system call when it ends here.
Result<NodeId> Client::lookup(NodeId parent, const Name& name) {
    clock_.charge(costs_.lookup);
    const NodeId known = entries_.find(parent, name);
    if (known == EntryCache::negative) {
        ++stats_.negative_hits;
        clock_.charge(costs_.syscall);
        return Errno{ENOENT};
    }
    if (known != EntryCache::unknown) {
        ++stats_.lookup_hits;
        return known;
    }
    ++stats_.lookup_misses;
    Call call(connection_, Opcode::lookup, parent);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put_name(name.text);
    if (int error = call.send()) return Errno{error};
    return entry_reply(call, parent, name);
}

Result<NodeId> Client::entry_reply(Call& call, NodeId parent, const Name& name) {
    const auto out = call.get<protocol::EntryOut>();
    if (!call.ok()) return Errno{EIO};
    const bool keep = !call.entry_doomed() && out.entry_valid != 0;
    if (call.entry_doomed()) ++stats_.doomed_replies;
    if (out.nodeid == 0) {
        if (keep) entries_.put(parent, name, EntryCache::negative);
        return Errno{ENOENT};
    }
    if (out.attr.ino != out.nodeid) return Errno{EIO};
    learn(out.attr, call.node_doomed() || out.attr_valid == 0);
    if (keep) entries_.put(parent, name, out.nodeid);
    return out.nodeid;
}

/// This client changed a name: requests of other tasks that are in flight may hold the old answer,
/// and the directory has new times.
void Client::own_change(NodeId parent, const Name& name, NodeId now) {
    connection_.doom_entry(parent, name.hash);
    connection_.doom_node(parent);
    if (now == EntryCache::unknown) {
        entries_.forget(parent, name);
    } else {
        entries_.put(parent, name, now);
    }
    if (Node* directory = nodes_.find(parent)) forget_attributes(*directory);
}

Result<NodeId> Client::mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::mkdir, parent);
    call.set_owner(who);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put(protocol::MkdirIn{mode, 0});
    call.put_name(name.text);
    if (int error = call.send()) return Errno{error};
    const auto made = entry_reply(call, parent, name);
    if (made) {
        // An old directory of that number may have left names behind.
        entries_.forget_directory(*made);
        own_change(parent, name, call.entry_doomed() ? EntryCache::unknown : *made);
    }
    return made;
}

Result<NodeId> Client::symlink(NodeId parent, const Name& name, std::string_view target,
                               Owner who) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::symlink, parent);
    call.set_owner(who);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put_name(name.text);
    call.put_name(target);
    if (int error = call.send()) return Errno{error};
    const auto made = entry_reply(call, parent, name);
    if (made) own_change(parent, name, call.entry_doomed() ? EntryCache::unknown : *made);
    return made;
}

Result<NodeId> Client::mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                             std::uint32_t rdev, Owner who) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::mknod, parent);
    call.set_owner(who);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put(protocol::MknodIn{mode | mode_of_type(type), rdev, 0, 0});
    call.put_name(name.text);
    if (int error = call.send()) return Errno{error};
    const auto made = entry_reply(call, parent, name);
    if (made) own_change(parent, name, call.entry_doomed() ? EntryCache::unknown : *made);
    return made;
}

Result<NodeId> Client::link(NodeId node, NodeId parent, const Name& name) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::link, parent);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put(protocol::LinkIn{node});
    call.put_name(name.text);
    if (int error = call.send()) return Errno{error};
    const auto made = entry_reply(call, parent, name);
    if (made) own_change(parent, name, call.entry_doomed() ? EntryCache::unknown : *made);
    return made;
}

/// One name of the file went, by our own doing.
void Client::lost_name(NodeId id) {
    Node* node = nodes_.find(id);
    if (node == nullptr) return;
    const bool last = node->attr.links <= 1 && (node->attr_valid || node->lease);
    if (!last) {
        connection_.doom_node(id);
        if (node->attr.links > 0) --node->attr.links;
        forget_attributes(*node);
        if (idle(*node)) release_fh(*node);  // else a file that is gone would live on for us
        return;
    }
    node->attr.links = 0;
    node->unlinked = true;
    if (node->opens == 0) discard(*node);
}

/// A change by our own hand is not told to us: we must know which file it concerns. 0, or the errno
/// of the look-up. ENOENT of a name known to be absent is left to the server.
int Client::need_entry(NodeId parent, const Name& name) {
    if (entries_.find(parent, name) != EntryCache::unknown) return 0;
    return lookup(parent, name).error();
}

int Client::unlink(NodeId parent, const Name& name) {
    clock_.charge(costs_.syscall + costs_.lookup);
    if (int error = need_entry(parent, name)) return error;
    Call call(connection_, Opcode::unlink, parent);
    call.concerns_entry(parent, name.hash);
    call.put_name(name.text);
    if (int error = call.send()) return error;
    const NodeId known = entries_.find(parent, name);
    const bool was_known = known != EntryCache::unknown && known != EntryCache::negative;
    const bool doomed = call.entry_doomed();
    own_change(parent, name, was_known && !doomed ? EntryCache::negative : EntryCache::unknown);
    if (was_known) lost_name(known);
    return 0;
}

int Client::rmdir(NodeId parent, const Name& name) {
    clock_.charge(costs_.syscall + costs_.lookup);
    Call call(connection_, Opcode::rmdir, parent);
    call.concerns_entry(parent, name.hash);
    call.put_name(name.text);
    if (int error = call.send()) return error;
    const NodeId known = entries_.find(parent, name);
    const bool was_known = known != EntryCache::unknown && known != EntryCache::negative;
    const bool doomed = call.entry_doomed();
    own_change(parent, name, was_known && !doomed ? EntryCache::negative : EntryCache::unknown);
    if (was_known) {
        entries_.forget_directory(known);
        if (Node* node = nodes_.find(known)) forget_attributes(*node);
    }
    return 0;
}

int Client::rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
                   std::uint32_t flags) {
    constexpr std::uint32_t exchange = 2;
    clock_.charge(costs_.syscall + 2 * costs_.lookup);
    if (int error = need_entry(old_parent, old_name)) return error;
    if (int error = need_entry(new_parent, new_name); error != 0 && error != ENOENT) return error;
    Call call(connection_, Opcode::rename2, old_parent);
    call.concerns_entry(old_parent, old_name.hash);
    call.concerns_entry(new_parent, new_name.hash);
    call.put(protocol::Rename2In{new_parent, flags, 0});
    call.put_name(old_name.text);
    call.put_name(new_name.text);
    if (int error = call.send()) return error;
    const NodeId moved = entries_.find(old_parent, old_name);
    const NodeId replaced = entries_.find(new_parent, new_name);
    if ((flags & exchange) != 0 || call.entry_doomed() || moved == EntryCache::unknown ||
        moved == EntryCache::negative || moved == replaced) {
        own_change(old_parent, old_name, EntryCache::unknown);
        own_change(new_parent, new_name, EntryCache::unknown);
    } else {
        own_change(old_parent, old_name, EntryCache::negative);
        // Whether other guests' changes to the new name would be told to us, only a name that we
        // were told before says.
        own_change(new_parent, new_name,
                   replaced == EntryCache::unknown ? EntryCache::unknown : moved);
    }
    if (Node* node = nodes_.find(moved)) forget_attributes(*node);  // its ctime
    const bool gone = replaced != EntryCache::unknown && replaced != EntryCache::negative &&
                      replaced != moved && (flags & exchange) == 0;
    if (gone) {
        entries_.forget_directory(replaced);
        lost_name(replaced);
    }
    return 0;
}

Result<std::string> Client::readlink(NodeId id) {
    clock_.charge(costs_.syscall);
    Node* node = nodes_.find(id);
    if (node != nullptr && node->attr_valid) {
        const auto known = links_.find(id);
        if (known != links_.end()) return known->second;
    }
    Call call(connection_, Opcode::readlink, id);
    if (int error = call.send()) return Errno{error};
    std::string target(call.reader().get_bytes(call.reader().left()));
    node = nodes_.find(id);
    // While we are told of changes to the link's attributes we would hear of its end.
    if (node != nullptr && node->attr_valid && !call.node_doomed()) links_[id] = target;
    return target;
}

Result<std::vector<DirEntry>> Client::readdir(NodeId directory, std::uint64_t offset,
                                              std::size_t max_entries) {
    clock_.charge(costs_.syscall);
    std::vector<DirEntry> entries;
    while (entries.size() < max_entries) {
        Call call(connection_, Opcode::readdir, directory);
        protocol::ReadIn in{};
        in.offset = offset;
        in.size = protocol::max_message_bytes - sizeof(protocol::OutHeader);
        call.put(in);
        if (int error = call.send()) return Errno{error};
        if (call.reader().left() == 0) break;
        while (call.reader().left() > 0 && entries.size() < max_entries) {
            const auto head = call.get<protocol::Dirent>();
            const auto name = call.reader().get_bytes(head.namelen);
            call.reader().get_bytes(protocol::dirent_size(head.namelen) - sizeof head -
                                    head.namelen);
            if (!call.ok() || name.empty()) return Errno{EIO};
            entries.push_back(
                {head.ino, head.off, std::string(name), type_of_mode(head.type << 12)});
            offset = head.off;
        }
    }
    return entries;
}

}  // namespace xenfs::client
