// The half of MemoryFileSystem that works on open files: data, locks, mappings.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "workloads/process/content.h"
#include "workloads/process/memory_nodes.h"

namespace xenfs::workloads {

using files::FileLock;
using files::Handle;
using host::Buffer;
using host::FileType;

std::uint64_t MemoryFileSystem::used_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [id, node] : nodes_) sum += node->attr.size;
    return sum;
}

void MemoryFileSystem::resize(Node& node, std::uint64_t size) {
    if (size < node.attr.size) {
        const std::uint64_t edge = size / page_size;
        const auto in_page = static_cast<std::uint32_t>(size % page_size);
        if (in_page != 0) {
            const auto at = node.pages.find(edge);
            if (at != node.pages.end())
                at->second = overwrite(at->second, zero_fingerprint, in_page,
                                       static_cast<std::uint32_t>(page_size) - in_page);
        }
        node.pages.erase(node.pages.lower_bound(edge + (in_page != 0)), node.pages.end());
        if (node.bytes.size() > size) node.bytes.resize(size);
    }
    node.attr.size = size;
    node.attr.blocks = (size + 511) / 512;
}

Result<files::Opened> MemoryFileSystem::create(NodeId parent, const files::Name& name,
                                               std::uint32_t mode, host::Owner who,
                                               files::OpenFlags flags) {
    files::Opened opened;
    const auto existing = lookup(parent, name);
    if (existing) {
        if (flags.exclusive) return Errno{EEXIST};
        opened.node = *existing;
    } else {
        if (existing.error() != ENOENT) return Errno{existing.error()};
        const auto made = make(parent, name, FileType::regular, mode, who);
        if (!made) return Errno{made.error()};
        opened.node = *made;
        opened.created = true;
    }
    const auto handle = open(opened.node, flags);
    if (!handle) return Errno{handle.error()};
    opened.handle = *handle;
    return opened;
}

Result<Handle> MemoryFileSystem::open(NodeId id, files::OpenFlags flags) {
    Node* node = find(id);
    if (node == nullptr) return Errno{ESTALE};
    if (node->attr.type == FileType::symlink) return Errno{ELOOP};
    if (node->attr.type == FileType::directory && flags.write) return Errno{EISDIR};
    if (flags.truncate && flags.write && node->attr.type == FileType::regular) {
        resize(*node, 0);
        touch(*node, true);
    }
    ++node->opens;
    handles_.emplace(next_handle_, OpenFile{id, flags, {}, {}});
    return next_handle_++;
}

int MemoryFileSystem::close(Handle handle) {
    const auto at = handles_.find(handle);
    if (at == handles_.end()) return EBADF;
    for (const auto& [range, times] : at->second.mappings) mapped_pages_ -= range[1] * times;
    const NodeId id = at->second.node;
    std::erase_if(find(id)->locks, [&](const FileLock& lock) {
        return at->second.lock_owners.contains(lock.owner);
    });
    handles_.erase(at);
    --find(id)->opens;
    free_if_unused(id);
    return 0;
}

Result<std::size_t> MemoryFileSystem::read(Handle handle, std::uint64_t offset, Buffer into) {
    const auto at = handles_.find(handle);
    if (at == handles_.end() || !at->second.flags.read) return Errno{EBADF};
    Node& node = *find(at->second.node);
    if (node.attr.type == FileType::directory) return Errno{EISDIR};
    node.attr.atime = now_ = now_.after(1);
    if (offset >= node.attr.size) return std::size_t{0};
    const std::size_t length = std::min<std::uint64_t>(into.length, node.attr.size - offset);
    if (into.pages != nullptr && length != 0) {
        const std::uint64_t first = offset / page_size, last = (offset + length - 1) / page_size;
        for (std::uint64_t page = first; page <= last; ++page) {
            const auto found = node.pages.find(page);
            into.pages[page - first] = found == node.pages.end() ? zero_fingerprint : found->second;
        }
    }
    if (into.bytes != nullptr) {
        std::memset(into.bytes, 0, length);
        if (offset < node.bytes.size())
            std::memcpy(into.bytes, node.bytes.data() + offset,
                        std::min<std::uint64_t>(length, node.bytes.size() - offset));
    }
    return length;
}

Result<std::size_t> MemoryFileSystem::write(Handle handle, std::uint64_t offset, Buffer from) {
    const auto at = handles_.find(handle);
    if (at == handles_.end() || !at->second.flags.write) return Errno{EBADF};
    Node& node = *find(at->second.node);
    if (at->second.flags.append) offset = node.attr.size;
    if (from.length == 0) return std::size_t{0};
    const std::uint64_t end = offset + from.length;
    if (end > node.attr.size && capacity_ != ~std::uint64_t{0} &&
        used_bytes() - node.attr.size + end > capacity_)
        return Errno{ENOSPC};
    if (from.pages != nullptr) {
        const std::uint64_t first = offset / page_size;
        for (std::uint64_t page = first; page * page_size < end; ++page) {
            const std::uint64_t begin = std::max(offset, page * page_size);
            const std::uint64_t stop = std::min(end, (page + 1) * page_size);
            Fingerprint& content = node.pages[page];  // zeros where it is new
            content = overwrite(content, from.pages[page - first],
                                static_cast<std::uint32_t>(begin - page * page_size),
                                static_cast<std::uint32_t>(stop - begin));
        }
    }
    if (from.bytes != nullptr) {
        if (node.bytes.size() < end) node.bytes.resize(end);
        std::memcpy(node.bytes.data() + offset, from.bytes, from.length);
    }
    if (end > node.attr.size) resize(node, end);
    touch(node, true);
    return from.length;
}

int MemoryFileSystem::fsync(Handle handle, bool) {
    return handles_.contains(handle) ? 0 : EBADF;
}

Result<host::StatFs> MemoryFileSystem::statfs() {
    host::StatFs out;
    const std::uint64_t limit = std::min(capacity_, std::uint64_t{1} << 50);
    out.blocks = limit / page_size;
    out.blocks_free = out.blocks_available = (limit - std::min(limit, used_bytes())) / page_size;
    out.files = nodes_.size();
    out.files_free = 1u << 30;
    return out;
}

int MemoryFileSystem::sync() {
    return 0;
}

namespace {

std::uint64_t end_of(const FileLock& lock) {
    return lock.length == 0 ? ~std::uint64_t{0} : lock.start + lock.length;
}
bool overlap(const FileLock& a, const FileLock& b) {
    return a.start < end_of(b) && b.start < end_of(a);
}
bool conflict(const FileLock& held, const FileLock& wanted) {
    return held.whole_file == wanted.whole_file && held.owner != wanted.owner &&
           overlap(held, wanted) &&
           (held.type == FileLock::Type::exclusive || wanted.type == FileLock::Type::exclusive);
}

}  // namespace

int MemoryFileSystem::set_lock(Handle handle, const FileLock& lock, bool wait) {
    const auto at = handles_.find(handle);
    if (at == handles_.end()) return EBADF;
    auto& locks = find(at->second.node)->locks;
    if (lock.type != FileLock::Type::unlock &&
        std::any_of(locks.begin(), locks.end(),
                    [&](const FileLock& held) { return conflict(held, lock); }))
        return wait ? EDEADLK : EAGAIN;
    // The owner's own ranges give way: cut what overlaps into what is left of it.
    std::vector<FileLock> kept;
    for (const FileLock& held : locks) {
        if (held.owner != lock.owner || held.whole_file != lock.whole_file ||
            !overlap(held, lock)) {
            kept.push_back(held);
            continue;
        }
        if (held.start < lock.start) {
            kept.push_back(held);
            kept.back().length = lock.start - held.start;
        }
        if (end_of(held) > end_of(lock)) {
            kept.push_back(held);
            kept.back().start = end_of(lock);
            kept.back().length = held.length == 0 ? 0 : end_of(held) - end_of(lock);
        }
    }
    if (lock.type != FileLock::Type::unlock) {
        kept.push_back(lock);
        at->second.lock_owners.insert(lock.owner);
    }
    locks = std::move(kept);
    return 0;
}

Result<FileLock> MemoryFileSystem::get_lock(Handle handle, const FileLock& lock) {
    const auto at = handles_.find(handle);
    if (at == handles_.end()) return Errno{EBADF};
    for (const FileLock& held : find(at->second.node)->locks)
        if (conflict(held, lock)) return held;
    FileLock none = lock;
    none.type = FileLock::Type::unlock;
    return none;
}

int MemoryFileSystem::map_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                                files::MapKind kind, bool write, std::span<Fingerprint> contents) {
    const auto at = handles_.find(handle);
    if (at == handles_.end()) return EBADF;
    OpenFile& file = at->second;
    if (!file.flags.read) return EACCES;
    if (write && kind == files::MapKind::shared && !file.flags.write) return EACCES;
    Node& node = *find(file.node);
    if (node.attr.type != FileType::regular) return ENODEV;
    if ((first_page + count) * page_size >= node.attr.size + page_size) return EFAULT;  // SIGBUS
    ++file.mappings[{first_page, count, static_cast<std::uint64_t>(kind)}];
    mapped_pages_ += count;
    for (std::size_t i = 0; i < contents.size() && i < count; ++i) {
        const auto found = node.pages.find(first_page + i);
        contents[i] = found == node.pages.end() ? zero_fingerprint : found->second;
    }
    return 0;
}

int MemoryFileSystem::unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                                  files::MapKind kind) {
    const auto at = handles_.find(handle);
    if (at == handles_.end()) return EBADF;
    auto& mappings = at->second.mappings;
    const auto found = mappings.find({first_page, count, static_cast<std::uint64_t>(kind)});
    if (found == mappings.end()) return EINVAL;
    if (--found->second == 0) mappings.erase(found);
    mapped_pages_ -= count;
    return 0;
}

}  // namespace xenfs::workloads
