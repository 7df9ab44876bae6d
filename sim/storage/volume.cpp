#include "sim/storage/volume.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {
namespace {

constexpr std::uint64_t inodes_per_block = 16;  // 256 B each, ext4's default [M]

// ext4's defaults [M]: a journal of up to 128 MiB, here 1/32 of the volume up to that; one inode
// for 16 KiB, so one block of inodes for 64 blocks.
std::uint64_t journal_blocks(std::uint64_t blocks) {
    return std::clamp<std::uint64_t>(blocks / 32, 8, 32768);
}
std::uint64_t inode_blocks(std::uint64_t blocks) {
    return std::max<std::uint64_t>(blocks / 64, 1);
}
std::uint64_t first_data_block(std::uint64_t blocks) {
    return 1 + journal_blocks(blocks) + inode_blocks(blocks);
}

}  // namespace

int check_name(std::string_view name) {
    if (name.empty()) return ENOENT;
    if (name.size() > 255) return ENAMETOOLONG;
    if (name.find('/') != name.npos || name.find('\0') != name.npos) return EINVAL;
    return 0;
}

Volume::Volume(std::uint64_t blocks)
    : nodes_(root_node),
      allocator_(first_data_block(blocks), blocks),
      journal_{1, journal_blocks(blocks)},
      inode_table_{1 + journal_.count, inode_blocks(blocks)},
      blocks_(blocks) {
    Inode& root = make(FileType::directory, 0755, {});
    assert(root.attr.node == root_node);
    root.parent = root_node;
}

Volume::Volume(std::shared_ptr<const Volume> image)
    : image_(std::move(image)),
      nodes_(image_->nodes_),
      allocator_(image_->allocator_),
      journal_(image_->journal_),
      inode_table_(image_->inode_table_),
      blocks_(image_->blocks_),
      files_(image_->files_),
      now_(image_->now_) {
    for (Slot& slot : nodes_) slot.own = false;
}

Volume::~Volume() {
    for (const Slot& slot : nodes_) {
        if (slot.own) delete slot.inode;
    }
}

std::shared_ptr<const Volume> Volume::freeze(Volume&& volume) {
    assert(volume.opens_.empty() && "an image with open files");
    return std::make_shared<const Volume>(std::move(volume));
}

Inode& Volume::change(NodeId node) {
    Slot& slot = nodes_[node];
    if (!slot.own) {
        slot = {new Inode(*slot.inode), true};
        ++own_;
    }
    return const_cast<Inode&>(*slot.inode);  // ours: made by new above or in make()
}

Inode& Volume::make(FileType type, std::uint32_t mode, Owner owner) {
    auto* inode = new Inode;
    inode->attr.node = nodes_.size();
    inode->attr.type = type;
    inode->attr.mode = (type == FileType::symlink ? mode : mode & ~owner.umask) & 07777;
    inode->attr.uid = owner.uid;
    inode->attr.gid = owner.gid;
    inode->attr.links = type == FileType::directory ? 2 : 1;
    inode->attr.atime = inode->attr.mtime = inode->attr.ctime = now_;
    nodes_.push_back({inode, true});
    ++own_;
    ++files_;
    if (type == FileType::directory) {
        inode->directory = std::make_unique<Directory>();
        grow_directory(*inode);
    }
    return *inode;
}

void Volume::forget(NodeId node) {
    Slot& slot = nodes_[node];
    for (const FileExtent& extent : slot.inode->extents) {
        allocator_.release({extent.block, extent.count});
    }
    if (slot.own) {
        delete slot.inode;
        --own_;
    }
    slot = {};
    --files_;
    if (forget_) forget_(node);
}

void Volume::release_if_unused(NodeId node) {
    if (nodes_[node].inode->attr.links == 0 && !opens_.contains(node)) forget(node);
}

int Volume::open_node(NodeId node) {
    if (find(node) == nullptr) return ESTALE;
    ++opens_[node];
    return 0;
}

void Volume::close_node(NodeId node) {
    const auto open = opens_.find(node);
    assert(open != opens_.end() && "closed more often than opened");
    if (--open->second > 0) return;
    opens_.erase(open);
    release_if_unused(node);
}

std::uint64_t Volume::inode_block(NodeId node) const {
    return inode_table_.first + node / inodes_per_block % inode_table_.count;
}

std::uint64_t Volume::directory_block(NodeId node, std::uint64_t name_hash) const {
    const Inode* inode = find(node);
    if (inode == nullptr || inode->directory == nullptr || inode->extents.empty()) {
        return inode_block(node);
    }
    std::uint64_t index = (name_hash >> 40) % (inode->attr.size / page_size);
    for (const FileExtent& extent : inode->extents) {
        if (index < extent.count) return extent.block + index;
        index -= extent.count;
    }
    return inode->extents.back().block;
}

StatFs Volume::statfs() const {
    StatFs result;
    result.blocks = allocator_.total_blocks();
    result.blocks_free = result.blocks_available = allocator_.free_blocks();
    result.files = inode_table_.count * inodes_per_block;
    result.files_free = result.files > files_ ? result.files - files_ : 0;
    return result;
}

}  // namespace xenfs::sim
