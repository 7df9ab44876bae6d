#include <algorithm>

#include "sim/storage/volume_storage.h"

namespace xenfs::sim {

Result<std::string> VolumeStorage::getxattr(NodeId node, std::string_view name) {
    touch_inode(node);
    return volume_.getxattr(node, name);
}

int VolumeStorage::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    touch_inode(node);
    begin_change();
    const int error = volume_.setxattr(node, name, value, flags);
    if (error == 0) changed(volume_.inode_block(node));
    return error;
}

Result<std::vector<std::string>> VolumeStorage::listxattr(NodeId node) {
    touch_inode(node);
    return volume_.listxattr(node);
}

int VolumeStorage::removexattr(NodeId node, std::string_view name) {
    touch_inode(node);
    begin_change();
    const int error = volume_.removexattr(node, name);
    if (error == 0) changed(volume_.inode_block(node));
    return error;
}

int VolumeStorage::open_node(NodeId node) {
    return volume_.open_node(node);
}

void VolumeStorage::close_node(NodeId node) {
    volume_.close_node(node);
}

int VolumeStorage::read_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages) {
    const Inode* inode = volume_.find(node);
    if (inode == nullptr) return ESTALE;
    if (inode->directory != nullptr) return EISDIR;
    std::vector<BlockRange> ranges;
    volume_.locate(node, first_page, pages.size(), ranges);
    if (!ranges.empty()) {
        std::vector<BlockRequest> requests;
        for (const BlockRange& range : ranges) requests.push_back({range, false});
        stats_.read_requests += requests.size();
        clock_.charge(options_.request_ns * static_cast<Nanoseconds>(requests.size()));
        device_.transfer(requests);
    }
    // What the file holds when the transfer is over: it may have been cut short meanwhile.
    std::vector<Fingerprint> content(pages.size());
    if (const int error = volume_.read_content(node, first_page, content)) return error;
    for (std::size_t i = 0; i < pages.size(); ++i) domain_.set_content(pages[i], content[i]);
    stats_.pages_read += pages.size();
    return 0;
}

int VolumeStorage::write_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages,
                               std::uint64_t length) {
    std::vector<Fingerprint> content(pages.size());
    for (std::size_t i = 0; i < pages.size(); ++i) content[i] = domain_.content(pages[i]);
    volume_.set_now(clock_.now());
    if (const int error = volume_.write_content(node, first_page, content, length)) return error;
    changed(volume_.inode_block(node));
    std::vector<BlockRange> ranges;
    volume_.locate(node, first_page, pages.size(), ranges);
    std::vector<BlockRequest> requests;
    for (const BlockRange& range : ranges) requests.push_back({range, true});
    stats_.pages_written += pages.size();
    stats_.write_requests += requests.size();
    clock_.charge(options_.request_ns * static_cast<Nanoseconds>(requests.size()));
    device_.transfer(requests);
    return 0;
}

int VolumeStorage::sync(NodeId node, bool data_only) {
    if (volume_.find(node) == nullptr) return ESTALE;
    if (!data_only || journal_.changed(volume_.inode_block(node))) journal_.commit();
    return 0;
}

int VolumeStorage::sync_all() {
    journal_.commit();
    return 0;
}

void VolumeStorage::drop_caches() {
    journal_.commit();
    cache_.clear();
}

}  // namespace xenfs::sim
