#include "sim/arms/block_fs.h"

#include <algorithm>

namespace xenfs::sim {

BlockFs::BlockFs(Domain& domain, VolumeStorage& storage)
    : clock_(domain.host().clock()),
      storage_(storage),
      volume_(storage.volume()),
      unlocked_(domain.host().tasks().make_gate()) {}

void BlockFs::attach(Vfs& vfs) {
    volume_.on_forget([this, &vfs](NodeId node) {
        forgotten(node);
        vfs.pages().forget(node);
    });
}

void BlockFs::remember(NodeId node) {
    if (node >= in_core_.size()) in_core_.resize(node + node / 2 + 64);
    in_core_[node] = true;
}

Result<Attr> BlockFs::lookup(NodeId parent, const Name& name) {
    Result<Attr> found = storage_.lookup(parent, name.text);
    if (found) remember(found->node);
    return found;
}

Result<Attr> BlockFs::create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                             Owner who, std::string_view target, std::uint32_t rdev) {
    Result<Attr> made = storage_.create(parent, name.text, type, mode, who, target, rdev);
    if (made) remember(made->node);
    return made;
}

Result<Attr> BlockFs::link(NodeId node, NodeId parent, const Name& name) {
    return storage_.link(node, parent, name.text);
}

Result<Attr> BlockFs::unlink(NodeId parent, const Name& name) {
    auto gone = storage_.unlink(parent, name.text);
    if (gone && gone->links == 0) storage_.close_node(gone->node);
    return gone;
}

int BlockFs::rmdir(NodeId parent, const Name& name) {
    const auto gone = storage_.rmdir(parent, name.text);
    if (!gone) return gone.error();
    storage_.close_node(*gone);
    return 0;
}

int BlockFs::rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                    const Name& new_name, std::uint32_t flags) {
    const auto gone = storage_.rename(old_parent, old_name.text, new_parent, new_name.text, flags);
    if (!gone) return gone.error();
    if (*gone != 0) storage_.close_node(*gone);
    return 0;
}

Result<std::vector<DirEntry>> BlockFs::readdir(NodeId directory, std::uint64_t offset,
                                               std::size_t max_entries) {
    return storage_.readdir(directory, offset, max_entries);
}

Result<Attr> BlockFs::getattr(NodeId node) {
    if (in_core(node)) return volume_.getattr(node);
    Result<Attr> attr = storage_.getattr(node);
    if (attr) remember(node);
    return attr;
}

Result<Attr> BlockFs::setattr(NodeId node, const SetAttr& change) {
    return storage_.setattr(node, change);
}

Result<std::string> BlockFs::readlink(NodeId node) {
    if (in_core(node)) return volume_.readlink(node);  // the target is in the inode
    Result<std::string> target = storage_.readlink(node);
    if (target) remember(node);
    return target;
}

Result<StatFs> BlockFs::statfs() {
    return storage_.statfs();
}

Result<std::string> BlockFs::getxattr(NodeId node, std::string_view name) {
    return storage_.getxattr(node, name);
}

int BlockFs::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    return storage_.setxattr(node, name, value, flags);
}

Result<std::vector<std::string>> BlockFs::listxattr(NodeId node) {
    return storage_.listxattr(node);
}

int BlockFs::removexattr(NodeId node, std::string_view name) {
    return storage_.removexattr(node, name);
}

Result<Attr> BlockFs::open(NodeId node, bool) {
    Result<Attr> attr = getattr(node);
    if (!attr) return attr;
    if (const int error = storage_.open_node(node)) return Errno{error};
    return attr;
}

int BlockFs::close(NodeId node, bool, bool) {
    storage_.close_node(node);
    return 0;
}

Result<std::uint64_t> BlockFs::revalidate(NodeId node) {
    return size_of(node);
}

int BlockFs::commit(NodeId node, bool data_only) {
    return storage_.sync(node, data_only);
}

int BlockFs::sync() {
    return storage_.sync_all();
}

int BlockFs::set_lock(NodeId node, const files::FileLock& lock, bool wait) {
    while (!locks_.set(node, lock)) {
        if (!wait) return EAGAIN;
        unlocked_->wait();
    }
    if (lock.type != files::FileLock::Type::exclusive) unlocked_->wake_all();
    return 0;
}

Result<files::FileLock> BlockFs::get_lock(NodeId node, const files::FileLock& lock) {
    return locks_.conflict(node, lock);
}

void BlockFs::drop_locks(NodeId node, std::uint64_t owner, bool whole_file) {
    if (locks_.drop(node, owner, whole_file)) unlocked_->wake_all();
}

void BlockFs::drop_caches() {
    storage_.drop_caches();
    in_core_.assign(in_core_.size(), false);
}

int BlockFs::read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) {
    return storage_.read_content(node, first_page, out);
}

void BlockFs::write_pages(std::span<Run> runs) {
    std::vector<VolumeStorage::Run> pieces;
    pieces.reserve(runs.size());
    for (const Run& run : runs) {
        const std::uint64_t start = run.first_page << page_shift;
        const std::uint64_t size = size_of(run.node);
        const std::uint64_t length =
            size <= start ? 0 : std::min<std::uint64_t>(run.pages.size() * page_size, size - start);
        // A file that was cut or unlinked since takes less, or nothing.
        const std::size_t pages = (length + page_size - 1) >> page_shift;
        pieces.push_back({run.node, run.first_page, run.pages.first(pages), length, 0});
    }
    storage_.write_runs(pieces);
    for (std::size_t i = 0; i < runs.size(); ++i) runs[i].error = pieces[i].error;
}

std::uint64_t BlockFs::size_of(NodeId node) const {
    const Inode* inode = volume_.find(node);
    return inode == nullptr ? 0 : inode->attr.size;
}

void BlockFs::extend(NodeId node, std::uint64_t end) {
    volume_.set_now(clock_.world());
    volume_.extend(node, end);
}

Counters BlockFs::counters() const {
    const VolumeStats& volume = storage_.stats();
    const JournalStats& journal = storage_.journal_stats();
    return {{"metadata_reads", volume.metadata_reads},
            {"namespace_changes", volume.changes},
            {"disk_read_requests", volume.read_requests},
            {"disk_write_requests", volume.write_requests},
            {"journal_commits", journal.commits},
            {"journal_blocks", journal.blocks}};
}

}  // namespace xenfs::sim
