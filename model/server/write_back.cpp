#include "model/server/write_back.h"

#include <algorithm>

#include "model/protocol/pages.h"

namespace xenfs::server {

using cache::Slot;

void WriteBack::list(Inode& inode, Inodes::Index index) {
    if (!inode.dirty_listed) {
        inode.dirty_listed = true;
        inode.dirty_since = host_.clock().now();
        queue_.push_back({index, inode.dirty_since});
        if (queue_.size() == 1) gate_->wake_one();
    }
    if (too_dirty() || hooks_.wanted()) gate_->wake_one();
}

bool WriteBack::too_dirty() const {
    return std::uint64_t{cache_.dirty_count()} * 100 >
           std::uint64_t{pool_.capacity()} * config_.dirty_percent;
}

void WriteBack::dirtied(Inode& inode, Inodes::Index index, Slot slot) {
    if (cache_.state(slot) != cache::PageState::dirty) {
        inode.attr.add_pages(1, (std::uint64_t{cache_.key(slot).page} + 1) << page_shift);
    }
    residency_.mark_dirty(inode, slot);
    list(inode, index);
}

/// What came of writing one file so far.
struct WriteBack::Pass {
    int error = 0;
    bool again = false;  ///< pages are dirty still
    bool wrote = false;
    std::uint64_t first_page = 0, end_page = ~std::uint64_t{0};
    std::vector<Slot> dirty;
    std::vector<host::Page> pages;
};

int WriteBack::write(Inode& inode) {
    Pass pass;
    write_dirty(inode, pass);
    if ((pass.again || pass.error != 0) && inode.attr.links != 0) {
        const Inodes::Index index = inodes_.find(inode.node);
        if (index != Inodes::none) list(inode, index);
    }
    return pass.error;
}

int WriteBack::write_range(Inode& inode, std::uint64_t first_page, std::uint64_t end_page) {
    Pass pass;
    pass.first_page = first_page;
    pass.end_page = end_page;
    write_dirty(inode, pass);
    return pass.error;
}

void WriteBack::write_dirty(Inode& inode, Pass& pass) {
    io_.wait_for_others(inode);
    inode.writing = true;
    io_.begin_at_once(inode);
    const bool whole = pass.first_page == 0 && pass.end_page == ~std::uint64_t{0};
    if (whole) inode.dirty_listed = false;
    if (inode.file != no_file) write_file(inode, inode.file, pass);
    for (std::size_t i = 0; i < inode.files.size(); ++i) {
        if (inode.files[i] != no_file) write_file(inode, inode.files[i], pass);
    }
    if (whole && pass.error == 0 && inode.size_ahead) pass.error = write_size(inode);
    if (pass.wrote && journal_->outlives()) {
        // The file's time is that of these writes now.
        if (const auto stored = storage_.getattr(inode.node)) {
            inode.stored_size = stored->size;
            inode.stored_mtime = stored->mtime;
            journal_->keep_stored(inode);
        }
    }
    inode.writing = false;
    io_.end(inode);
    io_.wake();
}

void WriteBack::write_file(Inode& inode, std::uint32_t file, Pass& pass) {
    pass.dirty.clear();
    cache_.dirty_of(file, pass.dirty);
    std::erase_if(pass.dirty, [&](Slot slot) {
        const std::uint64_t page = cache_.key(slot).page;
        return page < pass.first_page || page >= pass.end_page;
    });
    for (const Slot slot : pass.dirty) residency_.begin_write_back(slot);
    for (std::size_t at = 0; at < pass.dirty.size();) {
        std::size_t end = at + 1;
        while (end < pass.dirty.size() && end - at < protocol::max_pages_per_request &&
               cache_.key(pass.dirty[end]).page == cache_.key(pass.dirty[end - 1]).page + 1) {
            ++end;
        }
        const int error = write_run(inode, std::span(pass.dirty).subspan(at, end - at), pass);
        if (pass.error == 0) pass.error = error;
        at = end;
    }
}

/// Writes adjacent pages, for which begin_write_back() was called, unless there was an error.
int WriteBack::write_run(Inode& inode, std::span<const Slot> run, Pass& pass) {
    pass.pages.clear();
    for (const Slot slot : run) pass.pages.push_back(residency_.page_of(slot));
    const std::uint64_t first = cache_.key(run[0]).page;
    const std::uint64_t start = first << page_shift;
    const std::uint64_t length = std::min<std::uint64_t>(
        run.size() * page_size, inode.attr.size > start ? inode.attr.size - start : 0);
    pass.pages.resize((length + page_size - 1) >> page_shift);
    int error = 0;
    if (length != 0 && pass.error == 0) {
        ++stats_.disk_write_calls;
        stats_.disk_write_pages += pass.pages.size();
        ++storing_;
        error = storage_.write_pages(inode.node, first, pass.pages, length);
        --storing_;
        pass.wrote = true;
        if (error == 0) inode.stored_size = std::max(inode.stored_size, start + length);
        if (error == ENOENT || error == ESTALE) error = 0;
    }
    bool cleaned = false;
    for (const Slot slot : run) {
        const bool redirtied = !residency_.end_write_back(slot);
        if (error == 0 && pass.error == 0 && !redirtied) {
            residency_.mark_clean(slot);
            ++pages_cleaned_;
            cleaned = true;
            residency_.journal(inode, slot, PageKept::clean);
        }
        pass.again = pass.again || redirtied;
        residency_.unpin(slot);
    }
    if (cleaned) hooks_.cleaned();
    return error;
}

int WriteBack::write_size(Inode& inode) {
    host::SetAttr change;
    change.valid = host::SetAttr::mtime_;
    // The size is ahead only by what the file has grown. Where the storage's is greater, somebody
    // outside has made it longer, and we have not been told yet.
    if (inode.stored_size < inode.attr.size) {
        const auto stored = storage_.getattr(inode.node);
        if (!stored || stored->size < inode.attr.size) change.valid |= host::SetAttr::size_;
    }
    change.value = inode.attr;
    const auto told = storage_.setattr(inode.node, change);
    if (!told) return told.error() == ENOENT || told.error() == ESTALE ? 0 : told.error();
    if (inode.attr.size == change.value.size && inode.attr.mtime == change.value.mtime) {
        inode.size_ahead = false;
        inodes_.changed(inode);
        inode.attr.blocks = told->blocks;
        inode.stored_size = told->size;
        inode.stored_mtime = told->mtime;
        journal_->keep_size(inode);
    }
    return 0;
}

int WriteBack::write_or_drop(Inode& inode) {
    return hooks_.let_go(inode) ? 0 : write(inode);
}

int WriteBack::write_all() {
    std::vector<Inodes::Index> all;
    inodes_.for_each([&](Inodes::Index index, const Inode& inode) {
        if (inode.dirty_listed || inode.writing) all.push_back(index);
    });
    int error = 0;
    for (const Inodes::Index index : all) {
        if (inodes_[index].node == 0) continue;
        InodeUse inode(inodes_, index);
        // What another task is writing is in the storage when it has done so.
        io_.wait_for_others(*inode);
        const int failed = inode->dirty_listed ? write(*inode) : 0;
        if (error == 0) error = failed;
    }
    return error;
}

void WriteBack::run() {
    while (!stopping_) {
        while (!queue_.empty()) {
            const Dirty& front = queue_.front();
            const Inode& inode = inodes_[front.inode];
            if (inode.node != 0 && inode.dirty_listed && inode.dirty_since == front.since) break;
            queue_.pop_front();
        }
        if (queue_.empty()) {
            gate_->wait();
            continue;
        }
        const Dirty front = queue_.front();
        const bool pressed = too_dirty() || hooks_.wanted();
        const Nanoseconds left = front.since + config_.dirty_expire - host_.clock().now();
        if (left > 0 && !pressed) {
            gate_->wait(left);
            continue;
        }
        queue_.pop_front();
        InodeUse inode(inodes_, front.inode);
        const std::uint64_t before = pages_cleaned_;
        if (write_or_drop(*inode) != 0) ++stats_.errors;
        // What cannot be cleaned now (a disk that fails, a page that is mapped for writing) is not
        // tried again in one breath. What others dirty meanwhile says nothing about that.
        const bool none = pages_cleaned_ == before && inode->dirty_listed;
        if (pressed && none) gate_->wait(config_.ack_timeout / 16);
    }
}

}  // namespace xenfs::server
