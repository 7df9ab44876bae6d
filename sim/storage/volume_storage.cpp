#include "sim/storage/volume_storage.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {

MountOptions MountOptions::from(const CostModel& costs) {
    MountOptions options;
    options.metadata_blocks = costs.count("volume.metadata_cache") / page_size;
    options.commit_interval_ns = costs.time("volume.commit_interval");
    options.checkpoint_interval_ns = costs.time("volume.checkpoint_interval");
    options.inode_readahead_blocks = costs.count("volume.inode_readahead");
    options.lookup_ns = costs.time("volume.lookup");
    options.change_ns = costs.time("volume.change");
    options.request_ns = costs.time("volume.request");
    return options;
}

VolumeStorage::VolumeStorage(Domain& domain, Volume& volume, BlockDevice& device,
                             const MountOptions& options)
    : domain_(domain),
      clock_(domain.host().clock()),
      volume_(volume),
      device_(device),
      options_(options),
      cache_(options.metadata_blocks),
      journal_(device, volume.journal(), options.forget_young),
      dirty_(domain.host().tasks().make_gate()) {
    assert(volume.blocks() <= device.blocks());
    domain.spawn(
        "journal", [this] { keep_committing(); }, true);
}

/// The journal's own task: a commit `commit_interval` after the first change, a checkpoint later.
void VolumeStorage::keep_committing() {
    for (;;) {
        while (journal_.empty() && !journal_.uncheckpointed()) dirty_->wait();
        Nanoseconds uncommitted = 0;
        while (uncommitted < options_.checkpoint_interval_ns) {
            clock_.sleep(options_.commit_interval_ns);
            uncommitted += options_.commit_interval_ns;
            journal_.commit();
        }
        journal_.checkpoint();
    }
}

void VolumeStorage::touch(std::uint64_t block) {
    if (cache_.touch(block)) {
        ++stats_.metadata_hits;
        return;
    }
    ++stats_.metadata_reads;
    clock_.charge(options_.request_ns);
    const BlockRequest request{{block, 1}, false};
    device_.transfer({&request, 1});
    cache_.add(block);
}

/// Inodes lie together, so their blocks are read several at a time.
void VolumeStorage::touch_inode(NodeId node) {
    const std::uint64_t block = volume_.inode_block(node);
    if (cache_.touch(block)) {
        ++stats_.metadata_hits;
        return;
    }
    ++stats_.metadata_reads;
    clock_.charge(options_.request_ns);
    const std::uint64_t step = std::max<std::uint64_t>(options_.inode_readahead_blocks, 1);
    const std::uint64_t first = std::max(block / step * step, volume_.inode_block(0));
    const BlockRequest request{{first, std::max(step, block - first + 1)}, false};
    device_.transfer({&request, 1});
    for (std::uint64_t i = 0; i < request.range.count; ++i) cache_.add(first + i);
}

void VolumeStorage::touch_name(NodeId directory, std::string_view name) {
    clock_.charge(options_.lookup_ns);
    touch_inode(directory);
    if (volume_.find(directory) == nullptr) return;
    touch(volume_.directory_block(directory, files::Name::hash_of(name)));
}

void VolumeStorage::begin_change() {
    ++stats_.changes;
    clock_.charge(options_.change_ns);
    volume_.set_now(clock_.world());
}

void VolumeStorage::changed(std::uint64_t block) {
    if (journal_.empty() && !journal_.uncheckpointed()) dirty_->wake_all();
    journal_.change(block);
    cache_.add(block);
}

void VolumeStorage::changed_inode(NodeId node) {
    if (!journal_.young(node)) changed(volume_.inode_block(node));
}

void VolumeStorage::changed_name(NodeId directory, std::string_view name) {
    changed(volume_.directory_block(directory, files::Name::hash_of(name)));
    changed_inode(directory);
}

Result<Attr> VolumeStorage::lookup(NodeId parent, std::string_view name) {
    ++stats_.lookups;
    touch_name(parent, name);
    Result<Attr> result = volume_.lookup(parent, name);
    if (!result) return result;
    touch_inode(result->node);
    return volume_.lookup(parent, name);  // it may have gone meanwhile
}

Result<Attr> VolumeStorage::getattr(NodeId node) {
    touch_inode(node);
    return volume_.getattr(node);
}

Result<Attr> VolumeStorage::setattr(NodeId node, const SetAttr& change) {
    touch_inode(node);
    begin_change();
    Result<Attr> result = volume_.setattr(node, change);
    if (result) changed_inode(node);
    return result;
}

Result<Attr> VolumeStorage::create(NodeId parent, std::string_view name, FileType type,
                                   std::uint32_t mode, Owner owner, std::string_view symlink_target,
                                   std::uint32_t rdev) {
    touch_name(parent, name);
    begin_change();
    Result<Attr> result = volume_.create(parent, name, type, mode, owner, symlink_target, rdev);
    if (!result) return result;
    const std::uint64_t inode_block = volume_.inode_block(result->node);
    const std::uint64_t name_block = volume_.directory_block(parent, files::Name::hash_of(name));
    // A new inode's block is not read first: its neighbours are found free in the bitmap.
    if (journal_.empty() && !journal_.uncheckpointed()) dirty_->wake_all();
    journal_.created(result->node, name_block, inode_block);
    cache_.add(inode_block);
    cache_.add(name_block);
    return result;
}

Result<Attr> VolumeStorage::link(NodeId node, NodeId parent, std::string_view name) {
    touch_name(parent, name);
    touch_inode(node);
    begin_change();
    Result<Attr> result = volume_.link(node, parent, name);
    if (!result) return result;
    changed_name(parent, name);
    changed_inode(node);
    return result;
}

Result<Attr> VolumeStorage::unlink(NodeId parent, std::string_view name) {
    touch_name(parent, name);
    const Result<Attr> before = volume_.lookup(parent, name);
    if (before) touch_inode(before->node);
    begin_change();
    if (before) open_node(before->node);
    Result<Attr> result = volume_.unlink(parent, name);
    if (before && (!result || result->links != 0)) close_node(before->node);
    if (!result) return result;
    if (result->links == 0 && journal_.ended(result->node)) return result;
    changed_name(parent, name);
    changed_inode(result->node);
    return result;
}

Result<NodeId> VolumeStorage::rmdir(NodeId parent, std::string_view name) {
    touch_name(parent, name);
    begin_change();
    const Result<Attr> before = volume_.lookup(parent, name);
    if (before) open_node(before->node);
    if (const int error = volume_.rmdir(parent, name)) {
        if (before) close_node(before->node);
        return Errno{error};
    }
    if (journal_.ended(before->node)) return before->node;
    changed_name(parent, name);
    changed_inode(before->node);
    return before->node;
}

Result<NodeId> VolumeStorage::rename(NodeId old_parent, std::string_view old_name,
                                     NodeId new_parent, std::string_view new_name,
                                     std::uint32_t flags) {
    touch_name(old_parent, old_name);
    touch_name(new_parent, new_name);
    begin_change();
    const Result<Attr> replaced = volume_.lookup(new_parent, new_name);
    if (replaced) open_node(replaced->node);
    const int error = volume_.rename(old_parent, old_name, new_parent, new_name, flags);
    const bool gone = replaced && volume_.find(replaced->node)->attr.links == 0;
    if (replaced && !gone) close_node(replaced->node);
    if (error != 0) return Errno{error};
    changed_name(old_parent, old_name);
    changed_name(new_parent, new_name);
    if (replaced) changed_inode(replaced->node);
    if (const Result<Attr> left = volume_.lookup(old_parent, old_name)) changed_inode(left->node);
    return gone ? replaced->node : 0;
}

Result<std::string> VolumeStorage::readlink(NodeId node) {
    touch_inode(node);
    return volume_.readlink(node);
}

Result<std::vector<DirEntry>> VolumeStorage::readdir(NodeId node, std::uint64_t offset,
                                                     std::size_t max_entries) {
    touch_inode(node);
    const Inode* inode = volume_.find(node);
    if (inode != nullptr && inode->directory != nullptr && offset == 0) {
        std::vector<BlockRange> ranges;
        volume_.locate(node, 0, inode->attr.size / page_size, ranges);
        for (const BlockRange& range : ranges) {
            for (std::uint64_t i = 0; i < range.count; ++i) touch(range.first + i);
        }
    }
    Result<std::vector<DirEntry>> result = volume_.readdir(node, offset, max_entries);
    if (result) {
        // Entries in a block are scanned, not searched: about a tenth of a lookup each.
        clock_.charge(options_.lookup_ns * static_cast<Nanoseconds>(result->size() + 10) / 10);
    }
    return result;
}

Result<StatFs> VolumeStorage::statfs() {
    return volume_.statfs();
}

}  // namespace xenfs::sim
