#include "real/mount/kernel_cache.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "model/protocol/fuse.h"
#include "real/mount/fuse.h"

namespace xenfs::real::mount {
namespace {

constexpr Nanoseconds patience = 200'000'000;  ///< with reads that only a server can answer
constexpr int notify_inc_epoch = 8;  // FUSE_NOTIFY_INC_EPOCH of FUSE 7.44, which older headers lack

}  // namespace

void KernelCache::start(fuse_session* session, bool epochs) {
    session_ = session;
    epochs_ = epochs;
    looked_up(root_node, root_node);
}

void KernelCache::looked_up(NodeId node, NodeId parent) {
    Inode& inode = inodes_[node];
    ++inode.lookups;
    inode.parent = parent;
}

NodeId KernelCache::parent_of(NodeId directory) const {
    const auto found = inodes_.find(directory);
    return found == inodes_.end() || found->second.parent == 0 ? root_node : found->second.parent;
}

void KernelCache::moved(NodeId node, NodeId parent) {
    const auto found = inodes_.find(node);
    if (found != inodes_.end() && found->second.parent != 0) found->second.parent = parent;
}

bool KernelCache::forgot(NodeId node, std::uint64_t times) {
    const auto found = inodes_.find(node);
    if (found == inodes_.end()) return true;
    if (found->second.lookups > times) {
        found->second.lookups -= times;
        return false;
    }
    inodes_.erase(found);
    return true;
}

void KernelCache::filled(NodeId node, std::size_t bytes) {
    const auto found = inodes_.find(node);
    if (found != inodes_.end()) found->second.pages = true;
    stats_.page_bytes_given += bytes;
}

std::uint32_t KernelCache::version(NodeId node) const {
    const auto found = inodes_.find(node);
    return found == inodes_.end() ? 0 : found->second.version;
}

bool KernelCache::plain(NodeId node) const {
    const auto found = inodes_.find(node);
    return found != inodes_.end() && found->second.plain;
}

void KernelCache::learn_plain(NodeId node, std::uint32_t version) {
    const auto found = inodes_.find(node);
    if (found != inodes_.end() && found->second.version == version) found->second.plain = true;
}

void KernelCache::forget_plain(NodeId node) {
    const auto found = inodes_.find(node);
    if (found == inodes_.end()) return;
    found->second.plain = false;
    ++found->second.version;
}

void KernelCache::capabilities_removed(NodeId node) {
    const auto found = inodes_.find(node);
    if (found != inodes_.end()) found->second.capabilities_removed = true;
}

bool KernelCache::took_capabilities(NodeId node) {
    const auto found = inodes_.find(node);
    return found != inodes_.end() && std::exchange(found->second.capabilities_removed, false);
}

/// The monitor is released here, because a page that must go may be locked by a read that a task of
/// this process answers.
void KernelCache::invalidate(NodeId node, bool pages, std::uint64_t offset, std::int64_t length) {
    if (session_ == nullptr) return;
    ++stats_.inodes_invalidated;
    if (pages) ++stats_.pages_invalidated;
    Nanoseconds pause = 20'000;
    for (int attempt = 0; attempt < 100; ++attempt) {
        fuse_session* const session = session_;
        const int result = monitor_.outside([&] {
            return fuse_lowlevel_notify_inval_inode(
                session, node, pages ? static_cast<off_t>(offset) : -1, length);
        });
        // The kernel was told of this inode and does not know it: either its FORGET is on its way,
        // or a process has the answer and has not made the inode yet.
        if (result != -ENOENT || !known(node) || session_ == nullptr) return;
        clock_.sleep(pause);
        if (pause < 5'000'000) pause *= 2;
    }
}

void KernelCache::next_epoch() {
    if (!epochs_ || session_ == nullptr) return;
    ++stats_.epochs;
    protocol::OutHeader message{};
    message.len = sizeof message;
    message.error = notify_inc_epoch;
    (void)!::write(fuse_session_fd(session_), &message, sizeof message);
}

void KernelCache::on_notice(const protocol::Notice& notice) {
    using protocol::NoticeKind;
    const auto kind = static_cast<NoticeKind>(notice.kind);
    if (kind == NoticeKind::revoke_pages || session_ == nullptr) return;
    const auto found = inodes_.find(notice.node);
    if (found == inodes_.end()) return;
    ++found->second.version;
    found->second.plain = false;
    const bool names = kind == NoticeKind::inval_entry ||
                       (kind == NoticeKind::inval_node && found->second.parent != 0);
    // The recall of a lease changes nothing that the kernel keeps, but it ends the client's
    // knowledge.
    const bool pages = found->second.pages && kind != NoticeKind::recall_lease;
    if (pages && kind == NoticeKind::inval_node) found->second.pages = false;
    if (names) next_epoch();
    if (kind == NoticeKind::inval_pages && notice.count < (UINT64_MAX >> page_shift)) {
        invalidate(notice.node, pages, notice.first << page_shift,
                   static_cast<std::int64_t>(notice.count << page_shift));
    } else {
        invalidate(notice.node, pages, 0, 0);
    }
}

void KernelCache::on_own_write(NodeId node, std::uint64_t offset, std::size_t length) {
    const auto found = inodes_.find(node);
    if (found == inodes_.end() || !found->second.pages || length == 0) return;
    ++found->second.version;
    invalidate(node, true, offset, static_cast<std::int64_t>(length));
}

void KernelCache::read_ends(NodeId node) {
    const auto found = inodes_.find(node);
    if (found != inodes_.end() && found->second.reads > 0) --found->second.reads;
}

void KernelCache::forget_all() {
    next_epoch();
    std::vector<NodeId> nodes;
    for (auto& [node, inode] : inodes_) {
        ++inode.version;
        inode.plain = false;
        nodes.push_back(node);
        // What is being read goes last, so that it holds up nothing else.
        if (inode.reads == 0) {
            to_drop_.push_front(node);
        } else {
            to_drop_.push_back(node);
        }
    }
    for (const NodeId node : nodes) invalidate(node, false, 0, 0);
    if (!std::exchange(dropping_, true)) {
        tasks_.spawn(
            "xenfs-drop-pages", [this] { drop_pages(); }, true);
    }
    const Nanoseconds until = clock_.now() + patience;
    while (dropping_ && clock_.now() < until) dropped_->wait(until - clock_.now());
}

void KernelCache::drop_pages() {
    while (!to_drop_.empty()) {
        const NodeId node = to_drop_.front();
        to_drop_.pop_front();
        if (session_ != nullptr && known(node)) invalidate(node, true, 0, 0);
    }
    dropping_ = false;
    dropped_->wake_all();
}

void KernelCache::finish() {
    while (dropping_) dropped_->wait();
}

}  // namespace xenfs::real::mount
