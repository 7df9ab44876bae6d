#include "model/server/open_requests.h"

#include <algorithm>

#include "model/server/convert.h"

namespace xenfs::server {

int OpenRequests::open_inode(Request& q, InodeUse& inode, std::uint32_t flags, bool created,
                             protocol::OpenOut& out) {
    Connection& c = q.client;  // survives yields: serve() uses the client
    if (files_.count(c) >= config_.max_open_files) return ENFILE;
    if (coherence_.recall(q, *inode, inode.index()) != 0) return parked;
    const bool cacheable = coherence_.hold(*inode, c);
    files_.add_opener(*inode, c);
    const int e = prepare_open(q, inode, flags, created, out);
    if (e != 0) {
        if (e != parked && !inode->attr_valid) coherence_.unhold(*inode, c);
        files_.remove_opener(*inode, c);
        return e;
    }
    if (cacheable) out.open_flags |= protocol::fopen_keep_cache;
    return 0;
}

/// What opening a file takes, up to its number.
int OpenRequests::prepare_open(Request& q, InodeUse& use, std::uint32_t flags, bool created,
                               protocol::OpenOut& out) {
    Connection& c = q.client;  // survives yields: serve() uses the client
    Inode& inode = *use;
    const auto attr = attributes_.attributes(inode);
    if (!attr) return attr.error();
    const std::uint32_t access = flags & protocol::open_access_mode;
    const bool write = access == protocol::open_write_only || access == protocol::open_read_write;
    if (attr->type == host::FileType::directory && write) return EISDIR;
    if (int e = files_.pin_storage(q, inode)) return e;
    if (write && (created || attr->type == host::FileType::regular) &&
        coherence_.try_lease(q.acks, inode, c)) {
        out.open_flags |= protocol::fopen_lease_exclusive;
        q.took_lease = true;
        q.inode = use.index();
    }
    if ((flags & protocol::open_truncate) != 0 && write &&
        inode.attr.type == host::FileType::regular) {  // an empty file's times move too
        host::SetAttr change;
        change.valid = host::SetAttr::size_;
        const std::uint64_t asked = attributes_.moment();
        const auto changed = attributes_.resize(q, inode, change, nullptr);
        if (!changed) return changed.error();
        attributes_.learn_change(inode, *changed, asked);
        journal_->keep_size(inode);
        coherence_.all_changed(q.acks, inode, &c);
    }
    if (inode.believers.lease() != c.index)
        out.open_flags &= ~std::uint32_t{protocol::fopen_lease_exclusive};
    return 0;
}

int OpenRequests::open_existing(Request& q, InodeUse& inode, std::uint32_t flags) {
    protocol::OpenOut out{};
    if (int e = open_inode(q, inode, flags, false, out)) return e;
    out.fh = files_.publish(q.client, inode.index(), flags);
    q.reply.put(out);
    return 0;
}

int OpenRequests::open(Request& q) {
    const auto in = q.args.get<protocol::OpenIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    return open_existing(q, inode, in.flags);
}

int OpenRequests::opendir(Request& q) {
    const auto in = q.args.get<protocol::OpenIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    if (const auto attr = attributes_.attributes(*inode); !attr) return attr.error();
    if (inode->attr.type != host::FileType::directory) return ENOTDIR;
    return open_existing(q, inode, in.flags);
}

int OpenRequests::release(Request& q) {
    const auto in = q.args.get<protocol::ReleaseIn>();
    if (!q.args.finished()) return EINVAL;
    const auto file = files_.find(q.client, in.fh);
    if (!file || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    InodeUse inode(inodes_, file->inode);
    files_.close(q.client, in.fh);
    notices_.note_progress(q);
    if (in.lock_owner != 0) locks_.drop_owner(*inode, {q.client.index, in.lock_owner});
    return 0;
}

int OpenRequests::flush(Request& q) {
    const auto in = q.args.get<protocol::FlushIn>();
    if (!q.args.finished()) return EINVAL;
    const auto file = files_.find(q.client, in.fh);
    if (!file || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    InodeUse inode(inodes_, file->inode);
    locks_.drop_owner(*inode, {q.client.index, in.lock_owner});
    return 0;
}

int OpenRequests::syncfs(Request& q) {
    if (!q.args.finished()) {  // FUSE's SYNCFS carries one reserved word; either is taken
        q.args.get<std::uint64_t>();
        if (!q.args.finished()) return EINVAL;
    }
    if (int e = write_back_.write_all()) return e;
    return storage_.sync_all();
}

int OpenRequests::fsync(Request& q) {
    const auto in = q.args.get<protocol::FsyncIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    if (in.fh != 0) {
        const auto file = files_.find(q.client, in.fh);
        if (!file || file->inode != inode.index()) return EBADF;
    }
    if (int e = write_back_.write(*inode)) return e;
    return storage_.sync(inode->node, (in.fsync_flags & protocol::fsync_data_only) != 0);
}

int OpenRequests::lease_return(Request& q) {
    if (!q.args.finished()) return EINVAL;
    const Inodes::Index index = inodes_.find(q.header.nodeid);
    if (index == Inodes::none || inodes_[index].believers.lease() != q.client.index) return EBADF;
    InodeUse inode(inodes_, index);
    coherence_.end_lease(*inode);
    notices_.note_progress(q);
    return 0;
}

int OpenRequests::destroy(Request&) {
    return 0;
}

int OpenRequests::init(Request& q) {
    const auto in = q.args.get<protocol::InitIn>();
    if (!q.args.finished()) return EINVAL;
    if (in.major != protocol::fuse_major) return EPROTO;
    protocol::InitOut out{};
    out.major = protocol::fuse_major;
    out.minor = std::min(in.minor, protocol::fuse_minor);
    out.max_readahead = in.max_readahead;
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = max_pages_per_request * page_size;
    out.time_gran = 1;
    out.max_pages = max_pages_per_request;
    q.client.initialised = true;
    q.reply.put(out);
    return 0;
}

Inodes::Index OpenRequests::file_for_pages(Request& q, NodeId node, std::uint64_t fh, bool write) {
    Inodes::Index index;
    if (fh == 0) {
        index = inodes_.find(node);
        if (index == Inodes::none || inodes_[index].believers.lease() != q.client.index) {
            return Inodes::none;
        }
    } else {
        const auto file = files_.find(q.client, fh);
        // A file opened write-only is read too: to complete a partly written page.
        if (!file || (write && !file->write)) return Inodes::none;
        index = file->inode;
        if (inodes_[index].node != node) return Inodes::none;
    }
    return inodes_[index].attr.type == host::FileType::regular ? index : Inodes::none;
}

}  // namespace xenfs::server
