// Open files: data, locks, mappings.
#include <algorithm>

#include "sim/arms/vfs.h"

namespace xenfs::sim {

using files::FileLock;
using files::OpenFlags;

namespace {
struct InUse {
    FsDriver& driver;
    NodeId node;
    ~InUse() { driver.end(node); }
};
}  // namespace

Vfs::OpenFile* Vfs::find(Handle handle) {
    const std::size_t index = (handle & 0xffffffff) - 1;
    if (index >= files_.size()) return nullptr;
    OpenFile& file = files_[index];
    return file.node != 0 && file.generation == handle >> 32 ? &file : nullptr;
}

Result<files::Opened> Vfs::create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                                  OpenFlags flags) {
    enter();
    clock_.charge(costs_.lookup);
    files::Opened opened;
    NodeId known = known_name(parent, name);
    if (known == client::EntryCache::unknown) {
        const Result<Attr> found = look_up(parent, name);
        if (!found && found.error() != ENOENT) return Errno{found.error()};
        known = found ? found->node : client::EntryCache::negative;
    }
    if (known == client::EntryCache::negative) {
        const Result<Attr> made = driver_.create(parent, name, FileType::regular, mode, who, {}, 0);
        ++name_changes_;
        if (made) {
            names_.put(parent, name, made->node);
            known = made->node;
            opened.created = true;
        } else {
            names_.forget(parent, name);
            // Another guest was faster: what it made is what we open.
            if (made.error() != EEXIST || flags.exclusive) return Errno{made.error()};
            const Result<Attr> found = look_up(parent, name);
            if (!found) return Errno{found.error()};
            known = found->node;
        }
    } else if (flags.exclusive) {
        return Errno{EEXIST};
    }
    opened.node = known;
    const Result<Handle> handle = open_node(known, flags);
    if (!handle) return Errno{handle.error()};
    opened.handle = *handle;
    return opened;
}

Result<Vfs::Handle> Vfs::open(NodeId node, OpenFlags flags) {
    enter();
    return open_node(node, flags);
}

Result<Vfs::Handle> Vfs::open_node(NodeId node, OpenFlags flags) {
    const Result<Attr> attr = driver_.open(node, flags.write);
    if (!attr) return Errno{attr.error()};
    int error = 0;
    if (attr->type == FileType::symlink) error = ELOOP;
    if (attr->type == FileType::directory && flags.write) error = EISDIR;
    if (error == 0 && flags.truncate && flags.write && attr->type == FileType::regular) {
        SetAttr cut;
        cut.valid = SetAttr::size_;
        const Result<Attr> result = driver_.setattr(node, cut);
        error = result.error();
        if (error == 0) pages_.truncate(node, 0);
    }
    if (error != 0) {
        driver_.close(node, false, !is_open(node));
        return Errno{error};
    }
    std::uint32_t index;
    if (free_files_.empty()) {
        index = static_cast<std::uint32_t>(files_.size());
        files_.emplace_back();
    } else {
        index = free_files_.back();
        free_files_.pop_back();
    }
    OpenFile& file = files_[index];
    file.node = node;
    file.flags = flags;
    file.type = attr->type;
    file.wrote = false;
    file.ahead = {};
    file.lock_owners.clear();
    if (node >= opens_.size()) opens_.resize(node + node / 2 + 16);
    ++opens_[node];
    return std::uint64_t{file.generation} << 32 | (index + 1);
}

int Vfs::close(Handle handle) {
    enter();
    OpenFile* file = find(handle);
    if (file == nullptr) return EBADF;
    const NodeId node = file->node;
    const bool wrote = file->wrote;
    for (const auto& [owner, whole_file] : file->lock_owners) {
        driver_.drop_locks(node, owner, whole_file);
    }
    file->node = 0;
    ++file->generation;
    free_files_.push_back(static_cast<std::uint32_t>(handle & 0xffffffff) - 1);
    const bool last = --opens_[node] == 0;
    return driver_.close(node, wrote, last);
}

Result<std::size_t> Vfs::read(Handle handle, std::uint64_t offset, Buffer into) {
    enter();
    OpenFile* file = find(handle);
    if (file == nullptr || !file->flags.read) return Errno{EBADF};
    if (file->type == FileType::directory) return Errno{EISDIR};
    const Result<std::uint64_t> size = driver_.begin(file->node, false);
    if (!size) return Errno{size.error()};
    const InUse in_use{driver_, file->node};
    if (offset >= *size) return std::size_t{0};
    into.length = std::min<std::uint64_t>(into.length, *size - offset);
    const DataCaching caching = driver_.data_caching();
    if (caching == DataCaching::none || caching == DataCaching::mapped) {
        return driver_.read_range(file->node, offset, into);
    }
    if (file->flags.direct) return read_direct(file->node, offset, into);
    const int error = pages_.read(file->node, offset, into, file->ahead);
    if (error != 0) return Errno{error};
    return into.length;
}

Result<std::size_t> Vfs::write(Handle handle, std::uint64_t offset, Buffer from) {
    enter();
    OpenFile* file = find(handle);
    if (file == nullptr || !file->flags.write) return Errno{EBADF};
    const Result<std::uint64_t> size = driver_.begin(file->node, true);
    if (!size) return Errno{size.error()};
    const InUse in_use{driver_, file->node};
    if (file->flags.append) offset = *size;
    if (from.length == 0) return std::size_t{0};
    file->wrote = true;
    if (driver_.data_caching() != DataCaching::write_back) {
        return write_now(file->node, offset, from, file->flags.synchronous);
    }
    // Direct writes in pieces of pages go through the cache and are written out, as in Linux where
    // a file system cannot do them.
    const bool aligned = ((offset | from.length) & (page_size - 1)) == 0;
    if (file->flags.direct && aligned) return write_direct(file->node, offset, from);
    int error = pages_.write(file->node, offset, from);
    if (error == 0 && (file->flags.synchronous || file->flags.direct)) {
        error = write_through(file->node);
    }
    if (error != 0) return Errno{error};
    return from.length;
}

/// Past the page cache, whose pages follow: they hold what was written (write-through), or go.
Result<std::size_t> Vfs::write_now(NodeId node, std::uint64_t offset, Buffer from,
                                   bool synchronous) {
    const DataCaching caching = driver_.data_caching();
    if (caching == DataCaching::none && pages_.has_pages(node)) {
        if (const int error = pages_.flush(node)) return Errno{error};
    }
    if (const int error = driver_.write_range(node, offset, from)) return Errno{error};
    if (caching == DataCaching::none) pages_.invalidate(node);
    if (caching == DataCaching::write_through) pages_.update(node, offset, from);
    if (synchronous) {
        if (const int error = driver_.commit(node, true)) return Errno{error};
    }
    return from.length;
}

int Vfs::write_through(NodeId node) {
    const int error = pages_.flush(node);
    return error != 0 ? error : driver_.commit(node, true);
}

Result<std::size_t> Vfs::read_direct(NodeId node, std::uint64_t offset, Buffer into) {
    if (pages_.has_pages(node)) {
        if (const int error = pages_.flush(node)) return Errno{error};
    }
    const std::uint64_t first = offset >> page_shift;
    const std::uint64_t end = (offset + into.length + page_size - 1) >> page_shift;
    std::vector<Fingerprint> content(end - first);
    stats_.direct_pages += content.size();
    if (const int error = driver_.read_pages(node, first, content)) return Errno{error};
    if (into.pages != nullptr) std::copy(content.begin(), content.end(), into.pages);
    return into.length;
}

Result<std::size_t> Vfs::write_direct(NodeId node, std::uint64_t offset, Buffer from) {
    if (pages_.has_pages(node)) {
        if (const int error = pages_.flush(node)) return Errno{error};
        pages_.invalidate(node);
    }
    const std::uint64_t first = offset >> page_shift;
    const std::size_t count = from.length >> page_shift;
    std::vector<Fingerprint> none;
    if (from.pages == nullptr) none.resize(count);
    stats_.direct_pages += count;
    driver_.extend(node, offset + from.length);
    PageSource::Run run{node, first, {from.pages != nullptr ? from.pages : none.data(), count}, 0};
    driver_.write_pages({&run, 1});
    pages_.invalidate(node);  // read meanwhile by somebody
    if (run.error != 0) return Errno{run.error};
    return from.length;
}

int Vfs::fsync(Handle handle, bool data_only) {
    enter();
    OpenFile* file = find(handle);
    if (file == nullptr) return EBADF;
    const NodeId node = file->node;
    const int error = file->type == FileType::regular ? pages_.flush(node) : 0;
    const int committed = driver_.commit(node, data_only);
    return error != 0 ? error : committed;
}

int Vfs::sync() {
    enter();
    const int error = pages_.flush_all();
    const int synced = driver_.sync();
    return error != 0 ? error : synced;
}

int Vfs::set_lock(Handle handle, const FileLock& lock, bool wait) {
    enter();
    OpenFile* file = find(handle);
    if (file == nullptr) return EBADF;
    const int error = driver_.set_lock(file->node, lock, wait);
    if (error == 0 && lock.type != FileLock::Type::unlock) {
        const std::pair<std::uint64_t, bool> owner{lock.owner, lock.whole_file};
        auto& owners = file->lock_owners;
        if (std::find(owners.begin(), owners.end(), owner) == owners.end()) {
            owners.push_back(owner);
        }
    }
    return error;
}

Result<FileLock> Vfs::get_lock(Handle handle, const FileLock& lock) {
    enter();
    OpenFile* file = find(handle);
    if (file == nullptr) return Errno{EBADF};
    return driver_.get_lock(file->node, lock);
}

int Vfs::map_pages(Handle handle, std::uint64_t first_page, std::size_t count, files::MapKind kind,
                   bool write, std::span<Fingerprint> contents) {
    OpenFile* file = find(handle);
    if (file == nullptr) return EBADF;
    ++stats_.operations;
    if (file->type == FileType::directory) return ENODEV;
    const bool shared_write = write && kind == files::MapKind::shared;
    if (!file->flags.read || (shared_write && !file->flags.write)) return EACCES;
    const Result<std::uint64_t> size = driver_.begin(file->node, shared_write);
    if (!size) return size.error();
    const InUse in_use{driver_, file->node};
    if (const int error = driver_.may_map(kind)) return error;
    // Only a shared mapping's writes are the file's; a private one's pages leave the cache's.
    if (shared_write) file->wrote = true;
    if (driver_.data_caching() == DataCaching::mapped) {
        return driver_.map_range(file->node, first_page, count, shared_write, contents);
    }
    return pages_.map(file->node, first_page, count, shared_write, contents);
}

int Vfs::unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count, files::MapKind) {
    OpenFile* file = find(handle);
    if (file == nullptr) return EBADF;
    enter();
    if (driver_.data_caching() != DataCaching::mapped) {
        pages_.unmap(file->node, first_page, count);
    }
    return 0;
}

void Vfs::drop_caches() {
    pages_.flush_all();
    pages_.drop_clean();
    names_.clear();
    driver_.drop_caches();
}

void Vfs::add_counters(Counters& counters) const {
    const KernelCacheStats& pages = pages_.stats();
    const Counters mine = {
        {"operations", stats_.operations},
        {"name_hits", stats_.name_hits},
        {"negative_hits", stats_.negative_hits},
        {"name_misses", stats_.name_misses},
        {"page_hits", pages.hits},
        {"page_misses", pages.misses},
        {"pages_read", pages.pages_read},
        {"pages_written", pages.pages_written},
        {"dirty_pages_dropped", pages.dirty_dropped},
        {"pages_evicted", pages.evicted},
        {"writes_throttled", pages.throttled},
        {"write_errors", pages.write_errors},
        {"direct_pages", stats_.direct_pages},
        {"cache_frames", pages_.frames()},
        {"cache_frames_peak", pages.pages_peak},
    };
    counters.insert(counters.end(), mine.begin(), mine.end());
}

}  // namespace xenfs::sim
