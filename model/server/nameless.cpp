// Files without a name are kept while somebody has them open, and for a while longer.
#include <utility>

#include "model/server/open_files.h"

namespace xenfs::server {
namespace {

/// How many: each holds a descriptor of the storage.
constexpr std::size_t most_kept = 1024;

}  // namespace

void OpenFiles::keep_nameless(Inode& inode, Inodes::Index index) {
    while (inode.storage_pinning) io_.wait();
    if (inode.storage_open) {
        storage_.close_node(inode.node);  // one pin is enough
    } else {
        inode.storage_open = true;
    }
    inode.nameless_until = host_.clock().now() + protocol::nameless_grace;
    journal_->keep_size(inode);
    nameless_.push_back({index, inode.nameless_until});
    if (nameless_.size() == 1) gate_->wake_one();
    while (nameless_.size() > most_kept) let_oldest_go();
}

void OpenFiles::begin_link(Inode& inode) {
    while (inode.storage_pinning) io_.wait();
    ++inode.linking;
}

bool OpenFiles::let_go(Inode& inode) {
    const auto wanted = [&] {
        return inode.attr.links != 0 || !inode.openers.empty() || inode.nameless_until != 0 ||
               inode.linking != 0;
    };
    if (wanted()) return false;
    coherence_.end_lease(inode);
    io_.drain(inode);
    if (wanted()) return false;    // found by node id meanwhile
    inode.storage_pinning = true;  // an open that comes now waits, and then finds the file gone
    const std::uint32_t dirty = cache_.dirty_count();
    if (inodes_.pages_cached(inode) != 0) fill_.drop_pages(inode, 0);
    fill_.settled();
    stats_.dropped_unwritten += dirty - cache_.dirty_count();
    inode.size_ahead = false;
    journal_->keep_size(inode);
    coherence_.unhold_all(inode);
    // The storage may give the number to another file, of which this one says nothing.
    inode.attr = {};
    inode.attr_valid = false;
    if (std::exchange(inode.storage_open, false)) storage_.close_node(inode.node);
    inode.storage_pinning = false;
    io_.wake();
    return true;
}

bool OpenFiles::let_go_early(Inode& inode) {
    if (inode.nameless_until == 0 || !inode.openers.empty()) return false;
    return end_grace(inode);
}

bool OpenFiles::end_grace(Inode& inode) {
    inode.nameless_until = 0;
    if (let_go(inode)) return true;
    journal_->keep_size(inode);
    unpin_storage(inode);  // it has a name again, or is open
    return false;
}

void OpenFiles::let_oldest_go() {
    const Nameless oldest = nameless_.front();
    nameless_.pop_front();
    if (inodes_[oldest.inode].nameless_until != oldest.until) return;
    InodeUse inode(inodes_, oldest.inode);
    end_grace(*inode);
}

void OpenFiles::let_all_go() {
    while (!nameless_.empty()) let_oldest_go();
}

void OpenFiles::run() {
    while (!stopping_) {
        if (nameless_.empty()) {
            gate_->wait();
            continue;
        }
        const Nanoseconds left = nameless_.front().until - host_.clock().now();
        if (left > 0) {
            gate_->wait(left);
        } else {
            let_oldest_go();
        }
    }
    let_all_go();
}

}  // namespace xenfs::server
