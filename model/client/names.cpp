#include "model/client/names.h"

#include <utility>

#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;

namespace {

/// Returns whether others may open the file whose name was taken away by the answered request.
bool wanted_by_others(Call& call) {
    const auto out = call.get<protocol::NameGoneOut>();
    return !call.ok() || (out.flags & protocol::gone_unknown_to_others) == 0;
}

}  // namespace

/// A step of a walk along cached names costs a look-up; it is a system call when it ends here.
Result<NodeId> Names::lookup(NodeId parent, const Name& name) {
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
    opens_.make_room();
    Call call(connection_, Opcode::lookup, parent);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    call.put_name(name.text);
    if (int error = call.send()) return Errno{absent_in(parent, error)};
    return learn(call, parent, name, call.get<protocol::EntryOut>());
}

/// A removed directory, which somebody has open or works in, has no names. When the server first
/// says that it is gone, the guest's kernel is to walk the path again: another directory may have
/// the name by now.
int Names::absent_in(NodeId directory, int error) {
    Node* const node = error == ESTALE ? nodes_.find(directory) : nullptr;
    if (node == nullptr) return error;
    return std::exchange(node->gone, true) ? ENOENT : ESTALE;
}

Result<NodeId> Names::learn(Call& call, NodeId parent, const Name& name,
                            const protocol::EntryOut& entry) {
    if (!call.ok()) return Errno{EIO};
    const bool keep = !call.entry_outdated() && entry.entry_valid != 0;
    if (call.entry_outdated()) ++stats_.outdated_replies;
    if (entry.nodeid == 0) {
        if (keep) entries_.put(parent, name, EntryCache::negative);
        return Errno{ENOENT};
    }
    if (entry.attr.ino != entry.nodeid) return Errno{EIO};
    attributes_.learn(entry.attr, call.node_outdated() || entry.attr_valid == 0);
    if (keep) entries_.put(parent, name, entry.nodeid);
    return entry.nodeid;
}

void Names::changed(NodeId parent, const Name& name, NodeId now) {
    connection_.outdate_entry(parent, name.hash);
    connection_.outdate_node(parent);
    if (now == EntryCache::unknown) {
        entries_.forget(parent, name);
    } else {
        entries_.put(parent, name, now);
    }
    forget_attributes(parent);
}

void Names::forget(NodeId parent, std::uint64_t name_hash) {
    const NodeId named = entries_.forget(parent, name_hash);
    if (named != EntryCache::negative) entries_.forget_directory(named);
}

/// Sends a request that gives a node a name, with what `put` adds to it.
template <class Put>
Result<NodeId> Names::make(Opcode opcode, NodeId parent, const Name& name, Owner who, Put&& put) {
    clock_.charge(costs_.syscall);
    opens_.make_room();
    Call call(connection_, opcode, parent);
    call.set_owner(who);
    call.concerns_entry(parent, name.hash);
    call.concerns_any_node();
    put(call);
    if (int error = call.send()) return Errno{absent_in(parent, error)};
    const auto entry = call.get<protocol::EntryOut>();
    if (Node* const named = nodes_.find(entry.nodeid); named != nullptr && call.ok()) {
        named->has_name();
    }
    const auto made = learn(call, parent, name, entry);
    if (!made) return made;
    // An old directory of that number may have left names behind.
    if (opcode == Opcode::mkdir) entries_.forget_directory(*made);
    changed(parent, name, call.entry_outdated() ? EntryCache::unknown : *made);
    return made;
}

Result<NodeId> Names::mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) {
    return make(Opcode::mkdir, parent, name, who, [&](Call& call) {
        call.put(protocol::MkdirIn{mode, who.umask});
        call.put_name(name.text);
    });
}

Result<NodeId> Names::symlink(NodeId parent, const Name& name, std::string_view target, Owner who) {
    const auto in_message = [&](Call& call) {
        call.put_name(name.text);
        call.put_name(target);
    };
    const std::size_t room = protocol::max_message_bytes - sizeof(protocol::InHeader);
    if (name.text.size() + 1 + target.size() + 1 <= room) {
        return make(Opcode::symlink, parent, name, who, in_message);
    }
    Result<NodeId> made = Errno{ENAMETOOLONG};
    const int error = texts_.put(target, [&]() MAY_YIELD {
        made = make(Opcode::symlink, parent, name, who, [&](Call& call) {
            call.put_name(name.text);
            call.put_name({});
            call.put(protocol::TextUse{static_cast<std::uint32_t>(target.size()), 0});
        });
        return made.error();
    });
    if (error == E2BIG) return Errno{ENAMETOOLONG};
    if (error != 0) return Errno{error};
    return made;
}

Result<NodeId> Names::mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                            std::uint32_t rdev, Owner who) {
    return make(Opcode::mknod, parent, name, who, [&](Call& call) {
        call.put(protocol::MknodIn{mode | mode_of_type(type), rdev, who.umask, 0});
        call.put_name(name.text);
    });
}

Result<NodeId> Names::link(NodeId node, NodeId parent, const Name& name) {
    return make(Opcode::link, parent, name, {}, [&](Call& call) {
        call.put(protocol::LinkIn{node});
        call.put_name(name.text);
    });
}

/// This guest removed one name of the file.
void Names::lost_name(NodeId id, bool wanted) {
    Node* const node = nodes_.find(id);
    if (node == nullptr) return;
    connection_.outdate_node(id);
    const bool known = node->state.valid() || node->state.leased();
    if (node->state.attr().links > 1 || !known) {
        node->state.lost_name();
        node->state.forget();
        opens_.release_idle(*node);  // otherwise our open would keep a deleted file alive
        return;
    }
    node->state.lost_last_name();
    node->unlinked = true;
    node->wanted = wanted;
    opens_.discard_if_unused(*node);
}

/// Looks the name up if it is not known: the server does not tell us of our own change, so we must
/// know which file it concerns. Returns 0 or the errno of the look-up. A name known to be absent is
/// left to the server, which answers ENOENT.
int Names::need(NodeId parent, const Name& name) {
    if (entries_.find(parent, name) != EntryCache::unknown) return 0;
    return lookup(parent, name).error();
}

/// Returns what the name led to as far as known, or EntryCache::unknown.
Result<NodeId> Names::remove(Opcode opcode, NodeId parent, const Name& name, bool& wanted) {
    Call call(connection_, opcode, parent);
    call.concerns_entry(parent, name.hash);
    call.put_name(name.text);
    if (int error = call.send()) return Errno{absent_in(parent, error)};
    const NodeId known = entries_.find(parent, name);
    const bool told = is_node(known) && !call.entry_outdated();
    wanted = wanted_by_others(call);
    changed(parent, name, told ? EntryCache::negative : EntryCache::unknown);
    return is_node(known) ? known : EntryCache::unknown;
}

int Names::unlink(NodeId parent, const Name& name) {
    clock_.charge(costs_.syscall + costs_.lookup);
    if (int error = need(parent, name)) return error;
    bool wanted = true;
    const auto known = remove(Opcode::unlink, parent, name, wanted);
    if (!known) return known.error();
    if (is_node(*known)) lost_name(*known, wanted);
    return 0;
}

int Names::rmdir(NodeId parent, const Name& name) {
    clock_.charge(costs_.syscall + costs_.lookup);
    bool wanted = true;
    const auto known = remove(Opcode::rmdir, parent, name, wanted);
    if (!known) return known.error();
    if (!is_node(*known)) return 0;
    entries_.forget_directory(*known);
    forget_attributes(*known);
    return 0;
}

int Names::rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
                  std::uint32_t flags) {
    constexpr std::uint32_t exchange = 2, whiteout = 4;  // then both names are there afterwards
    clock_.charge(costs_.syscall + 2 * costs_.lookup);
    if (int error = need(old_parent, old_name)) return error;
    if (int error = need(new_parent, new_name); error != 0 && error != ENOENT) return error;
    NodeId replaced = EntryCache::unknown;
    bool wanted = true;
    {
        Call call(connection_, Opcode::rename2, old_parent);
        call.concerns_entry(old_parent, old_name.hash);
        call.concerns_entry(new_parent, new_name.hash);
        call.put(protocol::Rename2In{new_parent, flags, 0});
        call.put_name(old_name.text);
        call.put_name(new_name.text);
        if (int error = call.send()) return absent_in(old_parent, error);
        const bool outdated = call.entry_outdated();
        const NodeId moved = entries_.find(old_parent, old_name);
        replaced = entries_.find(new_parent, new_name);
        if ((flags & (exchange | whiteout)) != 0 || outdated || !is_node(moved) ||
            moved == replaced) {
            changed(old_parent, old_name, EntryCache::unknown);
            changed(new_parent, new_name, EntryCache::unknown);
        } else {
            changed(old_parent, old_name, EntryCache::negative);
            // We may keep the new name only if the server tells us of other guests' changes to it,
            // and it does so only for a name that it told us before.
            changed(new_parent, new_name,
                    replaced == EntryCache::unknown ? EntryCache::unknown : moved);
        }
        forget_attributes(moved);  // its ctime has changed
        wanted = wanted_by_others(call);
        if ((flags & exchange) != 0) forget_attributes(replaced);
        if (outdated) return 0;  // another task's change may have come between
        if (!is_node(replaced) || replaced == moved || (flags & exchange) != 0) return 0;
    }
    entries_.forget_directory(replaced);
    lost_name(replaced, wanted);
    return 0;
}

Result<std::string> Names::readlink(NodeId id) {
    clock_.charge(costs_.syscall);
    Node* node = nodes_.find(id);
    if (node != nullptr && node->state.target() != nullptr) return *node->state.target();
    Call call(connection_, Opcode::readlink, id);
    const int error = call.send();
    if (error == ENAMETOOLONG) {
        call.finish();  // no task waits for another's turn with a slot in its hand
        return texts_.get(Opcode::readlink, id, [](Call& again) {
            again.put(protocol::TextIn{0, 0});
        });
    }
    if (error != 0) return Errno{error};
    std::string target(call.reader().get_bytes(call.reader().left()));
    node = nodes_.find(id);
    // While the server tells us of changes to the link's attributes, it also tells us of its end.
    if (node != nullptr && node->state.valid() && !call.node_outdated()) {
        node->state.learn_target(target);
    }
    return target;
}

Result<std::vector<DirEntry>> Names::readdir(NodeId directory, std::uint64_t offset,
                                             std::size_t max_entries) {
    clock_.charge(costs_.syscall);
    std::vector<DirEntry> entries;
    while (entries.size() < max_entries) {
        Call call(connection_, Opcode::readdir, directory);
        protocol::ReadIn in{};
        in.offset = offset;
        in.size = protocol::max_message_bytes - sizeof(protocol::OutHeader);
        call.put(in);
        const int error = call.send();
        if (error == ESTALE) break;  // the directory was removed, and is empty
        if (error != 0) return Errno{error};
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
