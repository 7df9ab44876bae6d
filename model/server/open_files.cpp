// Open files, and what keeps a nameless file alive in the storage.
#include <algorithm>
#include <bit>

#include "model/server/convert.h"
#include "model/server/server_state.h"

namespace xenfs::server {
namespace {

// fh = place + 1 in the low half, the place's generation in the high one: never 0, and a closed
// file's number is not mistaken for its successor's.
std::uint64_t make_fh(std::uint32_t place, std::uint32_t generation) {
    return (std::uint64_t{generation} << 32) | (place + 1);
}

}  // namespace

OpenFile* ServerState::file_of(Connection& c, std::uint64_t fh) {
    const auto place = static_cast<std::uint32_t>(fh) - 1;
    if (place >= c.files.size()) return nullptr;
    OpenFile& file = c.files[place];
    if (file.inode == InodeTable::none || file.generation != fh >> 32) return nullptr;
    return &file;
}

int ServerState::pin_storage(Request& q, Inode& inode) {
    constexpr std::uint32_t patience = 64, each = 16;
    while (inode.storage_opening) io_.wait();
    if (inode.storage_open) return 0;
    inode.storage_opening = true;
    const int e = storage_.open_node(inode.node);
    inode.storage_opening = false;
    inode.storage_open = e == 0;
    io_.wake();
    const bool late = q.opens_tried == patience || host_.clock().now() >= q.deadline;
    if (e != ENFILE || late || !q.client.alive()) return e;
    if (q.opens_tried++ % each == 0 && !ask_opens_back(q.client)) return e;
    // What others give back is on its way, or another asker takes it.
    q.until = host_.clock().now() + 1'000'000;
    q.wait = Wait::files;
    return parked;
}

/// The storage has as many files open as it can. Who has most of them is told to forget some: what
/// nobody uses there comes back; where others have the same files open, they are told too. False:
/// the asker has the most itself, and sees to it when it hears ENFILE.
bool ServerState::ask_opens_back(Connection& asker) {
    if (recovery_.under_way()) return false;  // who has come back is not served yet
    constexpr std::size_t most = 128;
    Connection* rich = &asker;
    for (const auto& c : clients_.places()) {
        if (c != nullptr && c->alive() && c->open_files > rich->open_files) rich = c.get();
    }
    const std::uint64_t its_bit = bit(rich->index);
    std::vector<InodeTable::Index> its, shared;
    inodes_.for_each([&](InodeTable::Index i, const Inode& inode) {
        if (!inode.storage_open || (inode.openers & its_bit) == 0) return;
        (inode.openers == its_bit ? its : shared).push_back(i);
    });
    // What it gives back by itself closes nothing where others have the same file open.
    if (rich == &asker && shared.size() < most) return false;
    // Another part of them each time: some are in use, and stay.
    opens_asked_ += most;
    for (auto* const part : {&its, &shared}) {
        if (part->empty()) continue;
        std::rotate(part->begin(), part->begin() + static_cast<long>(opens_asked_ % part->size()),
                    part->end());
    }
    its.insert(its.end(), shared.begin(), shared.end());
    if (its.empty()) return false;
    its.resize(std::min(its.size(), most));
    // The asker may come to its notices only when it has the open that it asks for: it gets no more
    // of them than leave room for those of others.
    const auto busy = [&] { return notices_.in_flight(asker) >= protocol::notice_count / 2; };
    Acks unused;
    for (const InodeTable::Index i : its) {
        if (inodes_[i].node == 0) continue;
        InodeUse inode(inodes_, i);
        if (inode->believers.leased_to_other(asker.index)) {
            coherence_.begin_recall(*inode);
            continue;
        }
        const auto what = make_notice(protocol::NoticeKind::inval_node, inode->node);
        for (const ConnectionIndex each : Bits(inode->openers)) {
            Connection* const holder = clients_.alive(each);
            if (holder == nullptr) continue;
            if (holder == &asker && busy()) continue;
            coherence_.unhold(*inode, *holder);
            notices_.post(unused, *holder, what);
        }
    }
    return true;
}

void ServerState::unpin_storage(Inode& inode) {
    if (!inode.storage_open || inode.openers != 0) return;
    inode.storage_open = false;
    storage_.close_node(inode.node);
}

void ServerState::add_opener(Inode& inode, Connection& c) {
    ++c.open_files;
    inode.openers |= bit(c.index);
    const auto mine = std::find_if(inode.opens.begin(), inode.opens.end(),
                                   [&](const auto& o) { return o.connection == c.index; });
    if (mine == inode.opens.end()) {
        inode.opens.push_back({c.index, 1});
    } else {
        ++mine->count;
    }
}

/// Takes back what add_opener() did; the last opener lets the storage's file go.
void ServerState::remove_opener(Inode& inode, Connection& c) {
    --c.open_files;
    const auto mine = std::find_if(inode.opens.begin(), inode.opens.end(),
                                   [&](const auto& o) { return o.connection == c.index; });
    if (--mine->count == 0) {
        inode.opens.erase(mine);
        inode.openers &= ~bit(c.index);
        if (inode.believers.lease() == c.index)
            coherence_.end_lease(inode);  // all was written back
    }
    if (inode.openers != 0) return;
    if (inode.attr.links == 0) {
        lost_name(inode, 0);
    } else {
        unpin_storage(inode);
    }
}

/// Gives an open file its number. From here on the client can use it, so everything else is done,
/// and nothing that can fail follows.
std::uint64_t ServerState::publish_file(Connection& c, InodeTable::Index inode,
                                        std::uint32_t flags) {
    std::uint32_t place;
    if (c.free_files.empty()) {
        place = static_cast<std::uint32_t>(c.files.size());
        c.files.emplace_back();
    } else {
        place = c.free_files.back();
        c.free_files.pop_back();
    }
    const std::uint32_t access = flags & protocol::open_access_mode;
    OpenFile& file = c.files[place];
    file.inode = inode;
    file.read = access != protocol::open_write_only;
    file.write = access != protocol::open_read_only;
    return make_fh(place, file.generation);
}

/// All that opening takes but the number, which the caller gives. The opener is counted before
/// anything yields, so that nobody gets a lease or closes the storage's file meanwhile.
int ServerState::open_inode(Request& q, InodeUse& inode, std::uint32_t flags, bool created,
                            protocol::OpenOut& out) {
    Connection& c = q.client;  // survives yields: serve() uses the client
    if (c.open_files >= config_.max_open_files) return ENFILE;
    const bool cacheable = coherence_.hold(*inode, c);
    if (recall(q, inode.index()) != 0) return parked;
    add_opener(*inode, c);
    const int e = prepare_open(q, inode, flags, created, out);
    if (e != 0) {
        if (e != parked && !inode->attr_valid) coherence_.unhold(*inode, c);
        remove_opener(*inode, c);
        return e;
    }
    if (cacheable) out.open_flags |= protocol::fopen_keep_cache;
    return 0;
}

/// What opening a file takes, up to its number.
int ServerState::prepare_open(Request& q, InodeUse& use, std::uint32_t flags, bool created,
                              protocol::OpenOut& out) {
    Connection& c = q.client;  // survives yields: serve() uses the client
    Inode& inode = *use;
    const auto attr = attributes(inode);
    if (!attr) return attr.error();
    const std::uint32_t access = flags & protocol::open_access_mode;
    const bool write = access == protocol::open_write_only || access == protocol::open_read_write;
    if (attr->type == host::FileType::directory && write) return EISDIR;
    if (int e = pin_storage(q, inode)) return e;
    if (write && (created || attr->type == host::FileType::regular) &&
        coherence_.try_lease(q.acks, inode, c)) {
        out.open_flags |= protocol::fopen_lease_exclusive;
        q.took_lease = true;
        q.inode = use.index();
    }
    if ((flags & protocol::open_truncate) != 0 && write && inode.attr.size != 0) {
        if (int e = truncate(q, inode, 0, nullptr)) return e;
        host::SetAttr change;
        change.valid = host::SetAttr::size_;
        const auto changed = storage_.setattr(inode.node, change);
        if (!changed) return changed.error();
        if (inode.attr.size == 0) inode.size_ahead = false;  // nobody wrote meanwhile
        learn(inode, *changed);
        journal_->keep_size(inode);
        coherence_.all_changed(q.acks, inode, &c);
    }
    if (inode.believers.lease() != c.index)
        out.open_flags &= ~std::uint32_t{protocol::fopen_lease_exclusive};
    return 0;
}

int ServerState::open(Request& q) {
    const auto in = q.args.get<protocol::OpenIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    protocol::OpenOut out{};
    if (int e = open_inode(q, inode, in.flags, false, out)) return e;
    out.fh = publish_file(q.client, inode.index(), in.flags);
    q.reply.put(out);
    return 0;
}

int ServerState::opendir(Request& q) {
    const auto in = q.args.get<protocol::OpenIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    if (const auto attr = attributes(*inode); !attr) return attr.error();
    if (inode->attr.type != host::FileType::directory) return ENOTDIR;
    protocol::OpenOut out{};
    if (int e = open_inode(q, inode, in.flags, false, out)) return e;
    out.fh = publish_file(q.client, inode.index(), in.flags);
    q.reply.put(out);
    return 0;
}

void ServerState::close_file(Connection& c, std::uint32_t place) {
    OpenFile& file = c.files[place];
    InodeUse inode(inodes_, file.inode);
    file.inode = InodeTable::none;
    ++file.generation;
    c.free_files.push_back(place);
    remove_opener(*inode, c);
}

int ServerState::release(Request& q) {
    const auto in = q.args.get<protocol::ReleaseIn>();
    if (!q.args.finished()) return EINVAL;
    OpenFile* file = file_of(q.client, in.fh);
    if (file == nullptr || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    InodeUse inode(inodes_, file->inode);
    const auto place = static_cast<std::uint32_t>(in.fh) - 1;
    close_file(q.client, place);
    note_progress(q);
    if (in.lock_owner != 0) drop_owner_locks(*inode, {q.client.index, in.lock_owner});
    return 0;
}

int ServerState::flush(Request& q) {
    const auto in = q.args.get<protocol::FlushIn>();
    if (!q.args.finished()) return EINVAL;
    OpenFile* file = file_of(q.client, in.fh);
    if (file == nullptr || inodes_[file->inode].node != q.header.nodeid) return EBADF;
    InodeUse inode(inodes_, file->inode);
    drop_owner_locks(*inode, {q.client.index, in.lock_owner});
    return 0;
}

int ServerState::syncfs(Request& q) {
    if (!q.args.finished()) {  // FUSE's SYNCFS carries one reserved word; either is taken
        q.args.get<std::uint64_t>();
        if (!q.args.finished()) return EINVAL;
    }
    if (int e = write_back_.write_all()) return e;
    return storage_.sync_all();
}

int ServerState::fsync(Request& q) {
    const auto in = q.args.get<protocol::FsyncIn>();
    if (!q.args.finished()) return EINVAL;
    InodeUse inode(inodes_, q.header.nodeid);
    if (in.fh != 0) {
        const OpenFile* file = file_of(q.client, in.fh);
        if (file == nullptr || file->inode != inode.index()) return EBADF;
    }
    if (int e = write_back_.write(*inode)) return e;
    return storage_.sync(inode->node, (in.fsync_flags & protocol::fsync_data_only) != 0);
}

int ServerState::recall(Request& q, InodeTable::Index index) {
    if (coherence_.recalled(inodes_[index], q.client, q.deadline)) return 0;
    q.inode = index;
    q.wait = Wait::lease;
    return parked;
}

int ServerState::lease_return(Request& q) {
    if (!q.args.finished()) return EINVAL;
    const InodeTable::Index index = inodes_.find(q.header.nodeid);
    if (index == InodeTable::none || inodes_[index].believers.lease() != q.client.index)
        return EBADF;
    InodeUse inode(inodes_, index);
    coherence_.end_lease(*inode);
    note_progress(q);
    return 0;
}

int ServerState::destroy(Request&) {
    return 0;
}

int ServerState::init(Request& q) {
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

InodeTable::Index ServerState::file_for_pages(Request& q, std::uint64_t fh, bool write) {
    InodeTable::Index index;
    if (fh == 0) {
        index = inodes_.find(q.header.nodeid);
        if (index == InodeTable::none || inodes_[index].believers.lease() != q.client.index) {
            return InodeTable::none;
        }
    } else {
        const OpenFile* file = file_of(q.client, fh);
        // A file opened write-only is read too: to complete a partly written page.
        if (file == nullptr || (write && !file->write)) return InodeTable::none;
        index = file->inode;
        if (inodes_[index].node != q.header.nodeid) return InodeTable::none;
    }
    return inodes_[index].attr.type == host::FileType::regular ? index : InodeTable::none;
}

}  // namespace xenfs::server
