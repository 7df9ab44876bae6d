#include "model/server/xattr.h"

#include "model/server/texts.h"

namespace xenfs::server {

int Xattrs::setxattr(Request& q) {
    const auto in = q.args.get<protocol::SetxattrIn>();
    const auto name = q.args.get_string();
    auto value = q.args.get_bytes(in.in_text != 0 ? 0 : in.size);
    if (!q.args.finished() || name.empty() || in.flags > 3) return EINVAL;
    if (name.size() > protocol::max_name_bytes) return ERANGE;
    InodeUse inode(inodes_, q.header.nodeid);
    if (name == protocol::file_capabilities) {
        // The storage ends them when it is written to, so what was written before goes first.
        if (coherence_.recall(q, *inode, inode.index()) != 0) return parked;
        if (int e = write_back_.write(*inode)) return e;
    }
    std::optional<std::string> text;
    if (in.in_text != 0) {
        text = Texts::take(q, in.size);
        if (!text) return EAGAIN;
        value = *text;
    }
    if (int e = storage_.setxattr(q.header.nodeid, name, value, static_cast<int>(in.flags))) {
        return e;
    }
    inode->attr_valid = false;  // its ctime moved on, and its mode with an ACL
    coherence_.node_changed(q.acks, *inode, &q.client);
    return 0;
}

namespace {

/// FUSE's habit: size 0 asks how much room is needed.
int put_sized(Request& q, std::string value, const protocol::GetxattrIn& in) {
    if (in.size == 0) {
        q.reply.put(protocol::GetxattrOut{static_cast<std::uint32_t>(value.size()), 0});
        return 0;
    }
    if (value.size() > in.size) return ERANGE;
    if (in.in_text != 0) return Texts::answer(q, std::move(value));
    if (value.size() > q.reply.room()) return E2BIG;
    q.reply.put_bytes(value);
    return 0;
}

}  // namespace

int Xattrs::getxattr(Request& q) {
    const auto in = q.args.get<protocol::GetxattrIn>();
    const auto name = q.args.get_string();
    if (!q.args.finished() || name.empty()) return EINVAL;
    if (name.size() > protocol::max_name_bytes) return ERANGE;
    auto value = storage_.getxattr(q.header.nodeid, name);
    if (!value) return value.error();
    return put_sized(q, std::move(*value), in);
}

int Xattrs::listxattr(Request& q) {
    const auto in = q.args.get<protocol::GetxattrIn>();
    if (!q.args.finished()) return EINVAL;
    const auto names = storage_.listxattr(q.header.nodeid);
    if (!names) return names.error();
    std::string joined;
    for (const std::string& name : *names) joined.append(name).push_back('\0');
    return put_sized(q, std::move(joined), in);
}

int Xattrs::removexattr(Request& q) {
    const auto name = q.args.get_string();
    if (!q.args.finished() || name.empty()) return EINVAL;
    if (name.size() > protocol::max_name_bytes) return ERANGE;
    if (int e = storage_.removexattr(q.header.nodeid, name)) return e;
    InodeUse inode(inodes_, q.header.nodeid);
    inode->attr_valid = false;  // its ctime moved on, and its mode with an ACL
    coherence_.node_changed(q.acks, *inode, &q.client);
    return 0;
}

}  // namespace xenfs::server
