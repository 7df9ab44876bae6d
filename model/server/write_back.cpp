// Dirty pages of the shared cache: to the disk when they are old, many, in the way, or asked for.
#include <algorithm>
#include <bit>

#include "model/server/server_state.h"

namespace xenfs::server {

using cache::Slot;

void ServerState::list_dirty(Inode& inode, InodeTable::Index index) {
    if (!inode.dirty_listed) {
        inode.dirty_listed = true;
        inode.dirty_since = host_.clock().now();
        dirty_queue_.push_back({index, inode.dirty_since});
        if (dirty_queue_.size() == 1) flush_gate_->wake_one();
    }
    if (too_dirty() || waits_for(Lack::frames)) flush_gate_->wake_one();
}

bool ServerState::too_dirty() const {
    return std::uint64_t{cache_.dirty_count()} * 100 >
           std::uint64_t{pool_.capacity()} * config_.dirty_percent;
}

void ServerState::dirtied(Inode& inode, InodeTable::Index index, Slot slot) {
    residency_.mark_dirty(inode, slot);
    list_dirty(inode, index);
}

/// Writes the file's dirty pages, then size and times. Pages that a guest can write to at any time,
/// or that were written to meanwhile, stay dirty. A file that died meanwhile is no error.
int ServerState::write_back(Inode& inode) {
    while (inode.writing) io_gate_->wait();
    inode.writing = true;
    ++inode.io;  // without waiting for a drainer: our caller may hold slots of this very file
    inode.dirty_listed = false;
    int error = 0;
    bool again = false, wrote = false;
    std::vector<Slot> dirty;
    std::vector<host::Page> pages;
    const auto write_file = [&](std::uint32_t file) MAY_YIELD {
        dirty.clear();
        cache_.dirty_of(file, dirty);
        for (const Slot slot : dirty) residency_.begin_write_back(slot);
        for (std::size_t at = 0; at < dirty.size();) {
            std::size_t end = at + 1;
            while (end < dirty.size() && end - at < max_pages_per_request &&
                   cache_.key(dirty[end]).page == cache_.key(dirty[end - 1]).page + 1) {
                ++end;
            }
            pages.clear();
            for (std::size_t i = at; i < end; ++i) pages.push_back(page_of(dirty[i]));
            const std::uint64_t first = cache_.key(dirty[at]).page;
            const std::uint64_t start = first << page_shift;
            const std::uint64_t length = std::min<std::uint64_t>(
                pages.size() * page_size, inode.attr.size > start ? inode.attr.size - start : 0);
            pages.resize((length + page_size - 1) >> page_shift);
            int failed = 0;
            bool cleaned = false;
            if (length != 0 && (error == 0)) {
                ++stats_.disk_write_calls;
                stats_.disk_write_pages += pages.size();
                ++storing_;
                failed = storage_.write_pages(inode.node, first, pages, length);
                --storing_;
                wrote = true;
                if (failed == ENOENT || failed == ESTALE) failed = 0;
            }
            for (std::size_t i = at; i < end; ++i) {
                const bool redirtied = !residency_.end_write_back(dirty[i]);
                if (failed == 0 && error == 0 && !redirtied) {
                    residency_.mark_clean(dirty[i]);
                    ++pages_cleaned_;
                    cleaned = true;
                    residency_.journal(inode, dirty[i], PageKept::clean);
                }
                again = again || redirtied;
                residency_.unpin(dirty[i]);
            }
            if (error == 0) error = failed;
            if (cleaned) {
                room_progress_ = host_.clock().now();
                room_made();
            }
            at = end;
        }
    };
    if (inode.file != no_file) write_file(inode.file);
    for (std::size_t i = 0; i < inode.files.size(); ++i) {
        if (inode.files[i] != no_file) write_file(inode.files[i]);
    }
    if (error == 0 && inode.size_ahead) {
        host::SetAttr change;
        change.valid = host::SetAttr::size_ | host::SetAttr::mtime_;
        change.value = inode.attr;
        const auto told = storage_.setattr(inode.node, change);
        if (told && inode.attr.size == change.value.size &&
            inode.attr.mtime == change.value.mtime) {
            inode.size_ahead = false;
            inode.attr.blocks = told->blocks;
            inode.stored_size = told->size;
            inode.stored_mtime = told->mtime;
            journal_->keep_size(inode);
        } else if (!told && told.error() != ENOENT && told.error() != ESTALE) {
            error = told.error();
        }
    }
    if (wrote && journal_->outlives()) {
        // The file's time is that of these writes now.
        if (const auto stored = storage_.getattr(inode.node)) {
            inode.stored_size = stored->size;
            inode.stored_mtime = stored->mtime;
            journal_->keep_stored(inode);
        }
    }
    inode.writing = false;
    end_io(inode);
    io_gate_->wake_all();
    if ((again || error != 0) && inode.attr.links != 0) {
        const InodeTable::Index index = inodes_.find(inode.node);
        if (index != InodeTable::none) list_dirty(inode, index);
    }
    return error;
}

void ServerState::write_back_task() {
    ++running_;
    while (!stopping_) {
        while (!dirty_queue_.empty()) {
            const Dirty& front = dirty_queue_.front();
            const Inode& inode = inodes_[front.inode];
            if (inode.node != 0 && inode.dirty_listed && inode.dirty_since == front.since) break;
            dirty_queue_.pop_front();
        }
        if (dirty_queue_.empty()) {
            flush_gate_->wait();
            continue;
        }
        const Dirty front = dirty_queue_.front();
        const bool pressed = too_dirty() || waits_for(Lack::frames);
        const Nanoseconds left = front.since + config_.dirty_expire - host_.clock().now();
        if (left > 0 && !pressed) {
            flush_gate_->wait(left);
            continue;
        }
        dirty_queue_.pop_front();
        InodeUse inode(*this, front.inode);
        const std::uint64_t before = pages_cleaned_;
        if (write_back(*inode) != 0) ++stats_.errors;
        // What cannot be cleaned now (a disk that fails, a page that is mapped for writing) is not
        // tried again in one breath. What others dirty meanwhile says nothing about that.
        const bool none = pages_cleaned_ == before && inode->dirty_listed;
        if (pressed && none) flush_gate_->wait(config_.ack_timeout / 16);
    }
    --running_;
    stop_gate_->wake_all();
}

}  // namespace xenfs::server
