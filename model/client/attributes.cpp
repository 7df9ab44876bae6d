// Attributes: what is known, what is asked, what is changed; and extended attributes.
#include <algorithm>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;

/// Takes in what a reply says of a file. Under the lease the server's size and time are old.
Node& Client::learn(const protocol::Attr& wire, bool doomed) {
    Node* known = nodes_.find(wire.ino);
    if (known == nullptr) {
        limit_nodes();
        known = &nodes_.find_or_add(wire.ino);
    }
    Node& node = *known;
    Attr attr = attr_of(wire);
    if (node.lease) {
        attr.size = std::max(attr.size, node.attr.size);
        if (node.changed) attr.mtime = node.attr.mtime;
    }
    node.attr = attr;
    node.attr_valid = node.size_valid = !doomed || node.lease;
    if (attr.links > 0) node.unlinked = false;
    if (doomed) ++stats_.doomed_replies;
    return node;
}

int Client::refresh(Node& node) {
    NodeUse use(node);
    ++stats_.attr_misses;
    Call call(connection_, Opcode::getattr, node.id);
    call.put(protocol::GetattrIn{});
    if (int error = call.send()) return error;
    const auto out = call.get<protocol::AttrOut>();
    if (!call.ok() || out.attr.ino != node.id) return EIO;
    learn(out.attr, call.node_doomed());
    return 0;
}

void Client::forget_attributes(Node& node) {
    node.attr_valid = false;
    if (!node.lease) node.size_valid = false;
    if (node.attr.type == FileType::symlink) links_.erase(node.id);
}

Result<Attr> Client::getattr(NodeId id) {
    clock_.charge(costs_.syscall);
    Node* node = nodes_.find(id);
    if (node == nullptr) {
        limit_nodes();
        node = &nodes_.find_or_add(id);
    }
    if (node->attr_valid) {
        ++stats_.attr_hits;
        return node->attr;
    }
    NodeUse use(*node);
    if (int error = refresh(*node)) return Errno{error};
    return node->attr;
}

int Client::send_setattr(Node& node, const SetAttr& change) {
    Call call(connection_, Opcode::setattr, node.id);
    protocol::SetattrIn in{};
    const auto copy_time = [](Nanoseconds time, std::uint64_t& seconds, std::uint32_t& rest) {
        seconds = static_cast<std::uint64_t>(time / second);
        rest = static_cast<std::uint32_t>(time % second);
    };
    if ((change.valid & SetAttr::mode_) != 0) in.valid |= protocol::fattr_mode;
    if ((change.valid & SetAttr::uid_) != 0) in.valid |= protocol::fattr_uid;
    if ((change.valid & SetAttr::gid_) != 0) in.valid |= protocol::fattr_gid;
    if ((change.valid & SetAttr::size_) != 0) in.valid |= protocol::fattr_size;
    if ((change.valid & SetAttr::atime_) != 0) in.valid |= protocol::fattr_atime;
    if ((change.valid & SetAttr::mtime_) != 0) in.valid |= protocol::fattr_mtime;
    in.mode = change.value.mode;
    in.uid = change.value.uid;
    in.gid = change.value.gid;
    in.size = change.value.size;
    copy_time(change.value.atime, in.atime, in.atimensec);
    copy_time(change.value.mtime, in.mtime, in.mtimensec);
    call.put(in);
    if (int error = call.send()) return error;
    const auto out = call.get<protocol::AttrOut>();
    if (!call.ok() || out.attr.ino != node.id) return EIO;
    const bool doomed = call.node_doomed();
    connection_.doom_node(node.id);
    if ((change.valid & SetAttr::mtime_) != 0) node.changed = false;
    learn(out.attr, doomed);
    return 0;
}

/// What lies beyond the new end goes from here before the server hears of it: our mappings would
/// make its frames busy.
int Client::truncate(Node& node, std::uint64_t size) {
    while (node.flushes > 0) wait_for_page();  // a late commit would make the file long again
    const std::uint64_t keep = pages_of(size);
    const std::uint32_t dirty = pages_.dirty_pages(node.file());
    pages_.drop_range(node.file(), keep, UINT32_MAX);
    pages_.drop_range(node.kernel_file(), keep, UINT32_MAX);
    stats_.dirty_pages_dropped += dirty - pages_.dirty_pages(node.file());
    if (size % page_size != 0) {
        // The server zeroes the tail of the last page in its own frame; under the lease a frame of
        // ours is newer and is ours to zero, else it is a copy that gets old.
        const Slot slot = pages_.find(node.file(), keep - 1);
        if (slot != kNoSlot && pages_.loading(slot)) {
            pages_.set_flag(slot, page_doomed);
        } else if (slot != kNoSlot && pages_.has(slot, page_own)) {
            if (!node.lease) {
                pages_.drop(slot);
            } else if (size < node.attr.size) {
                const auto in_page = static_cast<std::uint16_t>(size % page_size);
                memory_.zero(pages_.page(slot), in_page,
                             static_cast<std::uint16_t>(page_size - in_page));
            }
        }
        pages_.drop_range(node.kernel_file(), keep - 1, keep - 1);
    }
    pages_.settle();
    if (node.lease) {
        node.attr.size = size;
        node.attr.mtime = node.attr.ctime = wall_clock();
    }
    return 0;
}

Result<Attr> Client::setattr(NodeId id, const SetAttr& change) {
    clock_.charge(costs_.syscall);
    Node& node = nodes_.find_or_add(id);
    NodeUse use(node);
    if ((change.valid & SetAttr::size_) != 0) {
        if (int error = truncate(node, change.value.size)) return Errno{error};
    }
    if (int error = send_setattr(node, change)) {
        forget_attributes(node);
        return Errno{error};
    }
    return node.attr;
}

Result<StatFs> Client::statfs() {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::statfs, root_node);
    if (int error = call.send()) return Errno{error};
    const auto out = call.get<protocol::StatfsOut>();
    if (!call.ok()) return Errno{EIO};
    return StatFs{out.blocks, out.bfree, out.bavail, out.files, out.ffree, out.bsize, out.namelen};
}

Result<std::string> Client::getxattr(NodeId node, std::string_view name) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::getxattr, node);
    call.put(protocol::GetxattrIn{protocol::max_message_bytes - sizeof(protocol::OutHeader), 0});
    call.put_name(name);
    if (int error = call.send()) return Errno{error};
    return std::string(call.reader().get_bytes(call.reader().left()));
}

int Client::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::setxattr, node);
    call.put(protocol::SetxattrIn{static_cast<std::uint32_t>(value.size()),
                                  static_cast<std::uint32_t>(flags), 0, 0});
    call.put_name(name);
    call.put_bytes(value);
    const int error = call.send();
    if (Node* known = nodes_.find(node)) forget_attributes(*known);  // its ctime
    return error == ENAMETOOLONG && name.size() <= protocol::max_name_bytes ? E2BIG : error;
}

Result<std::vector<std::string>> Client::listxattr(NodeId node) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::listxattr, node);
    call.put(protocol::GetxattrIn{protocol::max_message_bytes - sizeof(protocol::OutHeader), 0});
    if (int error = call.send()) return Errno{error};
    std::vector<std::string> names;
    while (call.reader().left() > 0) names.emplace_back(call.reader().get_string());
    if (!call.ok()) return Errno{EIO};
    return names;
}

int Client::removexattr(NodeId node, std::string_view name) {
    clock_.charge(costs_.syscall);
    Call call(connection_, Opcode::removexattr, node);
    call.put_name(name);
    const int error = call.send();
    if (Node* known = nodes_.find(node)) forget_attributes(*known);
    return error;
}

}  // namespace xenfs::client
