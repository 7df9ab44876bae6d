#include "model/client/attributes.h"

#include <algorithm>
#include <optional>

#include "model/client/call.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;

Node& Attributes::learn(const protocol::Attr& wire, bool outdated) {
    Node& node = nodes_.find_or_add(wire.ino);
    Attr attr = attr_of(wire);
    if (pages_.dirty_pages(node.file()) > 0) attr.keep_pages(node.state.attr());
    if (outdated && node.unlinked) {
        attr.links = 0;  // it was asked before the last name went
    } else if (wire.nlink > 0) {
        node.has_name();
    } else if (attr.type != FileType::directory && !node.unlinked) {
        // Another guest took the last name, or this one did not know that it was the last. Nobody
        // will tell of the file any more.
        node.unlinked = node.wanted = true;
    }
    node.state.learn(attr, outdated);
    if (outdated) ++stats_.outdated_replies;
    return node;
}

/// The server does not know what is written here under the lease. So where the lease ended while it
/// was asked, its answer may be of a time before our last writes were committed.
int Attributes::refresh(Node& node) {
    NodeUse use(node);
    ++stats_.attr_misses;
    for (;;) {
        const bool leased = node.state.leased();
        Call call(connection_, Opcode::getattr, node.id);
        call.put(protocol::GetattrIn{});
        if (int error = call.send()) return error;
        if (leased && !node.state.leased()) continue;
        const auto out = call.get<protocol::AttrOut>();
        if (!call.ok() || out.attr.ino != node.id) return EIO;
        learn(out.attr, call.node_outdated());
        return 0;
    }
}

/// This guest may not know the file.
void Attributes::forget(NodeId id) {
    if (Node* const known = nodes_.find(id)) known->state.forget();
}

Result<Attr> Attributes::getattr(NodeId id) {
    clock_.charge(costs_.syscall);
    Node* known = nodes_.find(id);
    if (known == nullptr) {
        opens_.make_room();
        known = &nodes_.find_or_add(id);
    }
    const NodeUse node(*known);
    const bool counted = !node->state.blocks_guessed() || pages_.dirty_pages(node->file()) > 0;
    if (node->state.valid() && counted) {
        ++stats_.attr_hits;
        return node->state.attr();
    }
    const int error = opens_.discarded(id) ? ESTALE : refresh(*node);
    if (error == ESTALE && node->state.attr().node == id) {
        // The file was removed, and a program that has it open may still ask for it.
        Attr last = node->state.attr();
        last.links = 0;
        return last;
    }
    if (error != 0) return Errno{error};
    return node->state.attr();
}

int Attributes::send(Node& node, const SetAttr& change) {
    Call call(connection_, Opcode::setattr, node.id);
    protocol::SetattrIn in{};
    if ((change.valid & SetAttr::mode_) != 0) in.valid |= protocol::fattr_mode;
    if ((change.valid & SetAttr::uid_) != 0) in.valid |= protocol::fattr_uid;
    if ((change.valid & SetAttr::gid_) != 0) in.valid |= protocol::fattr_gid;
    if ((change.valid & SetAttr::size_) != 0) in.valid |= protocol::fattr_size;
    if ((change.valid & SetAttr::atime_) != 0) in.valid |= protocol::fattr_atime;
    if ((change.valid & SetAttr::mtime_) != 0) in.valid |= protocol::fattr_mtime;
    if ((change.valid & SetAttr::set_id_) != 0) in.valid |= protocol::fattr_kill_suidgid;
    in.mode = change.value.mode;
    in.uid = change.value.uid;
    in.gid = change.value.gid;
    in.size = change.value.size;
    protocol::put_time(change.value.atime, in.atime, in.atimensec);
    protocol::put_time(change.value.mtime, in.mtime, in.mtimensec);
    call.put(in);
    if (int error = call.send()) return error;
    const auto out = call.get<protocol::AttrOut>();
    if (!call.ok() || out.attr.ino != node.id) return EIO;
    const bool outdated = call.node_outdated();
    connection_.outdate_node(node.id);
    if ((change.valid & SetAttr::mtime_) != 0 && node.state.attr().mtime == change.value.mtime) {
        // The storage may not be able to keep just this time.
        node.state.set_mtime(protocol::time_from(out.attr.mtime, out.attr.mtimensec));
    }
    learn(out.attr, outdated);
    return 0;
}

/// The pages behind the new end are dropped here before the server hears of it, because our
/// mappings would make its frames busy.
void Attributes::drop_behind(Node& node, std::uint64_t size) {
    const std::uint64_t keep = pages_of(size);
    const std::uint32_t dirty = pages_.dirty_pages(node.file());
    pages_.drop_range(node.file(), keep, UINT32_MAX);
    pages_.drop_range(node.kernel_file(), keep, UINT32_MAX);
    stats_.dirty_pages_dropped += dirty - pages_.dirty_pages(node.file());
    if (size % page_size != 0) {
        // The server zeroes the tail of the last page in its own frame. Under the lease our frame
        // is newer, and we must zero it; otherwise ours is a copy that gets stale.
        const Slot slot = pages_.find(node.file(), keep - 1);
        if (slot != kNoSlot && pages_.loading(slot)) {
            pages_.set_flag(slot, page_outdated);
        } else if (slot != kNoSlot && pages_.has(slot, page_own)) {
            if (!node.state.leased()) {
                pages_.drop(slot);
            } else if (!node.state.size_known() || size < node.state.size()) {
                const auto in_page = static_cast<std::uint16_t>(size % page_size);
                memory_.zero(pages_.page(slot), in_page,
                             static_cast<std::uint16_t>(page_size - in_page));
            }
        }
        pages_.drop_range(node.kernel_file(), keep - 1, keep - 1);
    }
    pages_.settle();
}

int Attributes::change(Node& node, const SetAttr& what) {
    std::optional<PageExchange::Change> alone;
    if ((what.valid & SetAttr::size_) != 0) alone.emplace(exchange_, node);
    const bool mtime = (what.valid & SetAttr::mtime_) != 0;
    if ((what.valid & SetAttr::size_) != 0 || mtime) {
        // A late commit would make the file long again, or set the time of its write.
        while (node.flushing) exchange_.wait_for_page();
    }
    const bool resizes = (what.valid & SetAttr::size_) != 0;
    if (resizes && pages_of(what.value.size) > protocol::max_file_pages) return EFBIG;
    const Attr old = node.state.attr();
    const bool size_known = node.state.size_known();
    if (resizes) {
        drop_behind(node, what.value.size);
        if (node.state.leased()) node.state.truncated(what.value.size, clock_.world());
    }
    const WorldTime before = old.mtime;
    if (mtime) node.state.set_mtime(what.value.mtime);
    const int error = send(node, what);
    if (error != 0) {
        if (resizes && node.state.leased() && size_known) {
            // Others may have written behind the size meanwhile.
            const std::uint64_t now = node.state.size();
            node.state.truncated(now == what.value.size ? old.size : std::max(old.size, now),
                                 old.mtime);
        }
        if (mtime && node.state.attr().mtime == what.value.mtime) node.state.set_mtime(before);
        node.state.forget();
    }
    return error;
}

Result<Attr> Attributes::setattr(NodeId id, const SetAttr& what) {
    clock_.charge(costs_.syscall);
    const NodeUse node(nodes_.find_or_add(id));
    if (int error = change(*node, what)) return Errno{error};
    return node->state.attr();
}

Result<StatFs> Attributes::statfs() {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::statfs, root_node);
    if (int error = call.send()) return Errno{error};
    const auto out = call.get<protocol::StatfsOut>();
    if (!call.ok()) return Errno{EIO};
    return StatFs{out.blocks, out.bfree, out.bavail, out.files, out.ffree, out.bsize, out.namelen};
}

Result<std::string> Attributes::read_xattr(Opcode opcode, NodeId node, std::string_view name) {
    const auto ask = [&](Call& call, std::uint32_t most, std::uint32_t in_text) {
        call.put(protocol::GetxattrIn{most, in_text});
        if (!name.empty()) call.put_name(name);
    };
    {
        Call call(connection_, opcode, node);
        ask(call, protocol::max_message_bytes - sizeof(protocol::OutHeader), 0);
        const int error = call.send();
        if (error == 0) return std::string(call.reader().get_bytes(call.reader().left()));
        if (error != ERANGE && error != E2BIG) return Errno{error};
    }
    return texts_.get(opcode, node, [&](Call& call) { ask(call, protocol::max_text_bytes, 1); });
}

Result<std::string> Attributes::getxattr(NodeId node, std::string_view name) {
    clock_.charge(costs_.syscall);
    return read_xattr(Opcode::getxattr, node, name);
}

int Attributes::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    clock_.charge(costs_.syscall);
    const auto send = [&](std::uint32_t in_text) MAY_YIELD {
        Call call(connection_, Opcode::setxattr, node);
        call.put(protocol::SetxattrIn{static_cast<std::uint32_t>(value.size()),
                                      static_cast<std::uint32_t>(flags), 0, in_text});
        call.put_name(name);
        if (in_text == 0) call.put_bytes(value);
        return call.send();
    };
    int error = send(0);
    if (error == ENAMETOOLONG && name.size() <= protocol::max_name_bytes) {
        error = texts_.put(value, [&]() MAY_YIELD { return send(1); });
    }
    forget(node);  // its ctime has changed
    return error;
}

Result<std::vector<std::string>> Attributes::listxattr(NodeId node) {
    clock_.charge(costs_.syscall);
    const auto all = read_xattr(Opcode::listxattr, node, {});
    if (!all) return Errno{all.error()};
    std::vector<std::string> names;
    for (std::size_t at = 0; at < all->size();) {
        const std::size_t end = all->find('\0', at);
        if (end == std::string::npos) return Errno{EIO};
        names.push_back(all->substr(at, end - at));
        at = end + 1;
    }
    return names;
}

int Attributes::removexattr(NodeId node, std::string_view name) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::removexattr, node);
    call.put_name(name);
    const int error = call.send();
    if (error == 0) forget(node);  // its ctime has changed
    return error;
}

}  // namespace xenfs::client
