#include "model/server/inode_use.h"

#include "model/server/locks.h"

namespace xenfs::server {

void Inodes::reap(Index index) {
    Inode& inode = (*this)[index];
    if (inode.node == 0 || inode.refs != 0 || inode.io != 0 || !inode.believers.holders().empty() ||
        !inode.openers.empty() || inode.believers.lease() != no_connection || inode.storage_open ||
        inode.nameless_until != 0 || inode.dirty_listed || inode.untold ||
        (inode.locks && !inode.locks->empty()) || pages_cached(inode) != 0) {
        return;
    }
    journal_->drop_node(inode);
    erase(index);
}

std::uint64_t Inodes::pages_cached(const Inode& inode) const {
    std::uint64_t pages = inode.file == no_file ? 0 : cache_.file_pages(inode.file);
    for (const std::uint32_t file : inode.files) {
        if (file != no_file) pages += cache_.file_pages(file);
    }
    return pages;
}

}  // namespace xenfs::server
