#include <algorithm>
#include <utility>

#include "sim/machine/content.h"
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
    if (error == 0) changed_inode(node);
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
    if (error == 0) changed_inode(node);
    return error;
}

int VolumeStorage::open_node(NodeId node) {
    const int error = volume_.open_node(node);
    if (error == 0) ++opens_[node];
    return error;
}

void VolumeStorage::close_node(NodeId node) {
    if (--opens_.at(node) == 0) opens_.erase(node);
    volume_.close_node(node);
}

void VolumeStorage::server_died() {
    for (const auto& [node, count] : opens_) opens_before_[node] += count;
    opens_.clear();
}

void VolumeStorage::drop_nameless() {
    for (const auto& [node, count] : std::exchange(opens_before_, {})) {
        for (std::uint32_t i = 0; i < count; ++i) volume_.close_node(node);
    }
}

int VolumeStorage::read_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages) {
    std::vector<Fingerprint> content(pages.size());
    if (const int error = read_content(node, first_page, content)) return error;
    for (std::size_t i = 0; i < pages.size(); ++i) domain_.set_content(pages[i], content[i]);
    return 0;
}

int VolumeStorage::read_content(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) {
    const Inode* inode = volume_.find(node);
    if (inode == nullptr) return ESTALE;
    if (inode->directory != nullptr) return EISDIR;
    std::vector<BlockRange> ranges;
    volume_.locate(node, first_page, out.size(), ranges);
    if (!ranges.empty()) {
        std::vector<BlockRequest> requests;
        requests.reserve(ranges.size());
        for (const BlockRange& range : ranges) requests.push_back({range, false});
        stats_.read_requests += requests.size();
        clock_.charge(options_.request_ns * static_cast<Nanoseconds>(requests.size()));
        device_.transfer(requests);
    }
    stats_.pages_read += out.size();
    // What the file holds when the transfer is over: it may have been cut short meanwhile.
    return volume_.read_content(node, first_page, out);
}

int VolumeStorage::write_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages,
                               std::uint64_t length) {
    std::vector<Fingerprint> content(pages.size());
    for (std::size_t i = 0; i < pages.size(); ++i) content[i] = domain_.content(pages[i]);
    Run run{node, first_page, content, length};
    write_runs({&run, 1});
    return run.error;
}

void VolumeStorage::write_runs(std::span<Run> runs) {
    volume_.set_now(clock_.world());
    std::vector<BlockRange> ranges;
    for (Run& run : runs) {
        if (run.pages.empty()) continue;
        run.error = volume_.write_content(run.node, run.first_page, run.pages, run.length);
        if (run.error != 0) continue;
        changed_inode(run.node);
        volume_.locate(run.node, run.first_page, run.pages.size(), ranges);
        stats_.pages_written += run.pages.size();
    }
    std::sort(ranges.begin(), ranges.end(),
              [](const BlockRange& a, const BlockRange& b) { return a.first < b.first; });
    std::vector<BlockRequest> requests;
    for (const BlockRange& range : ranges) {
        if (!requests.empty() &&
            requests.back().range.first + requests.back().range.count == range.first) {
            requests.back().range.count += range.count;
        } else {
            requests.push_back({range, true});
        }
    }
    stats_.write_requests += requests.size();
    clock_.charge(options_.request_ns * static_cast<Nanoseconds>(requests.size()));
    device_.transfer(requests);
}

Result<Attr> VolumeStorage::allocate(NodeId node, std::uint32_t mode, std::uint64_t offset,
                                     std::uint64_t length) {
    touch_inode(node);
    begin_change();
    Result<Attr> result = volume_.allocate(node, mode, offset, length);
    if (result) changed_inode(node);
    return result;
}

/// Contents are by page, so those of a range that begins within one are made of two each.
Result<std::uint64_t> VolumeStorage::copy_range(NodeId from, std::uint64_t from_offset, NodeId to,
                                                std::uint64_t to_offset, std::uint64_t length) {
    const Inode* const source = volume_.find(from);
    if (source == nullptr) return Errno{ESTALE};
    const std::uint64_t size = source->attr.size;
    length = from_offset >= size ? 0 : std::min(length, size - from_offset);
    if (length == 0) return length;
    std::vector<Fingerprint> content((length + page_size - 1) / page_size + 1);
    if (const int error = read_content(from, from_offset / page_size, content)) return Errno{error};
    const auto shift = static_cast<std::uint32_t>(from_offset % page_size);
    for (std::size_t i = 0; shift != 0 && i + 1 < content.size(); ++i) {
        content[i] = mix(content[i], content[i + 1], page_size - shift, shift);
    }
    content.pop_back();
    Run run{to, to_offset / page_size, content, length};
    write_runs({&run, 1});
    if (run.error != 0) return Errno{run.error};
    return length;
}

Result<std::uint64_t> VolumeStorage::seek(NodeId node, std::uint64_t offset, host::Seek what) {
    touch_inode(node);
    return volume_.seek(node, offset, what);
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

void VolumeStorage::invalidate(NodeId node) {
    const Inode* inode = volume_.find(node);
    if (inode == nullptr) return;
    cache_.drop(volume_.inode_block(node));
    if (inode->directory == nullptr) return;
    std::vector<BlockRange> ranges;
    volume_.locate(node, 0, inode->attr.size / page_size, ranges);
    for (const BlockRange& range : ranges) {
        for (std::uint64_t i = 0; i < range.count; ++i) cache_.drop(range.first + i);
    }
}

void VolumeStorage::changed_outside(host::OutsideChange change) {
    if (events_.size() >= event_queue.most) {
        const bool said =
            !events_.empty() && events_.back().change.what == host::OutsideChange::What::everything;
        if (said) return;
        change = {};
    }
    events_.push_back({clock_.now() + event_queue.delay, std::move(change)});
    if (events_gate_ == nullptr) {
        events_gate_ = domain_.host().tasks().make_gate();
        domain_.spawn(
            "events", [this] { tell_events(); }, true);
    }
    events_gate_->wake_all();
}

void VolumeStorage::tell_events() {
    for (;;) {
        while (events_.empty()) events_gate_->wait();
        if (const Nanoseconds left = events_.front().due - clock_.now(); left > 0) {
            clock_.sleep(left);
        }
        const host::OutsideChange change = std::move(events_.front().change);
        events_.pop_front();
        if (tell_) tell_(change);
    }
}

void VolumeStorage::drop_caches() {
    journal_.commit();
    cache_.clear();
}

}  // namespace xenfs::sim
