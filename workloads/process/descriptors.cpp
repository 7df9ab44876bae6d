// The half of GuestProcess that works on descriptors.
#include <algorithm>

#include "workloads/process/process.h"

namespace xenfs::workloads {

using host::Buffer;

namespace {
constexpr int first_descriptor = 3;
}

Result<int> GuestProcess::install(Open open) {
    const auto free =
        std::find_if(table_.begin(), table_.end(), [](const Open& entry) { return !entry.used; });
    const auto index = free - table_.begin();
    if (free == table_.end())
        table_.push_back(std::move(open));
    else
        *free = std::move(open);
    return static_cast<int>(index) + first_descriptor;
}

GuestProcess::Open* GuestProcess::find(int fd) {
    const auto index = static_cast<std::size_t>(fd - first_descriptor);
    return fd >= first_descriptor && index < table_.size() && table_[index].used ? &table_[index]
                                                                                 : nullptr;
}

std::size_t GuestProcess::open_descriptors() const {
    return static_cast<std::size_t>(
        std::count_if(table_.begin(), table_.end(), [](const Open& o) { return o.used; }));
}

int GuestProcess::close(int fd) {
    Open* open = find(fd);
    if (open == nullptr) return EBADF;
    open->used = false;
    return open->has_handle ? fs_.close(open->handle) : 0;
}

Result<std::size_t> GuestProcess::pread(int fd, std::uint64_t offset, std::uint64_t length,
                                        Fingerprint* contents) {
    Open* open = find(fd);
    if (open == nullptr || !open->readable) return Errno{EBADF};
    if (open->directory) return Errno{EISDIR};
    return fs_.read(open->handle, offset, Buffer{nullptr, contents, length});
}

Result<std::size_t> GuestProcess::pwrite(int fd, std::uint64_t offset, std::uint64_t length,
                                         const Fingerprint* contents) {
    Open* open = find(fd);
    if (open == nullptr || !open->writable) return Errno{EBADF};
    // A buffer to write from is not changed; Buffer serves both directions.
    return fs_.write(open->handle, offset,
                     Buffer{nullptr, const_cast<Fingerprint*>(contents), length});
}

Result<std::size_t> GuestProcess::read(int fd, std::uint64_t length, Fingerprint* contents) {
    Open* open = find(fd);
    if (open == nullptr || !open->readable) return Errno{EBADF};
    if (open->directory) return Errno{EISDIR};
    auto count = fs_.read(open->handle, open->offset, Buffer{nullptr, contents, length});
    // The call may have yielded and another task opened files: the table may have moved.
    if (count) {
        if (Open* still = find(fd)) still->offset += *count;
    }
    return count;
}

Result<std::size_t> GuestProcess::write(int fd, std::uint64_t length, const Fingerprint* contents) {
    Open* open = find(fd);
    if (open == nullptr || !open->writable) return Errno{EBADF};
    if (open->append) {
        const auto attr = fs_.getattr(open->node);
        if (!attr) return Errno{attr.error()};
        open = find(fd);
        if (open == nullptr) return Errno{EBADF};
        open->offset = attr->size;
    }
    auto count = pwrite(fd, open->offset, length, contents);
    if (count) {
        if (Open* still = find(fd)) still->offset += *count;
    }
    return count;
}

Result<std::uint64_t> GuestProcess::lseek(int fd, std::int64_t offset, int whence) {
    Open* open = find(fd);
    if (open == nullptr) return Errno{EBADF};
    std::int64_t base = 0;
    if (whence == SEEK_CUR) {
        base = static_cast<std::int64_t>(open->offset);
    } else if (whence == SEEK_END) {
        const auto attr = fs_.getattr(open->node);
        if (!attr) return Errno{attr.error()};
        base = static_cast<std::int64_t>(attr->size);
        open = find(fd);
        if (open == nullptr) return Errno{EBADF};
    } else if (whence != SEEK_SET) {
        return Errno{EINVAL};
    }
    if (base + offset < 0) return Errno{EINVAL};
    open->offset = static_cast<std::uint64_t>(base + offset);
    return open->offset;
}

Result<host::Attr> GuestProcess::fstat(int fd) {
    const Open* open = find(fd);
    if (open == nullptr) return Errno{EBADF};
    return fs_.getattr(open->node);
}

int GuestProcess::ftruncate(int fd, std::uint64_t size) {
    const Open* open = find(fd);
    if (open == nullptr) return EBADF;
    if (!open->writable) return EINVAL;
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = size;
    return fs_.setattr(open->node, change).error();
}

int GuestProcess::fsync(int fd, bool data_only) {
    const Open* open = find(fd);
    if (open == nullptr) return EBADF;
    return open->has_handle ? fs_.fsync(open->handle, data_only) : 0;
}

Result<std::vector<host::DirEntry>> GuestProcess::readdir(int fd, std::size_t max_entries) {
    Open* open = find(fd);
    if (open == nullptr) return Errno{EBADF};
    if (!open->directory) return Errno{ENOTDIR};
    auto entries = fs_.readdir(open->node, open->offset, max_entries);
    if (entries && !entries->empty()) {
        if (Open* still = find(fd)) still->offset = entries->back().next;
    }
    return entries;
}

int GuestProcess::map(int fd, std::uint64_t first_page, std::size_t count, files::MapKind kind,
                      bool write, std::span<Fingerprint> contents) {
    const Open* open = find(fd);
    if (open == nullptr) return EBADF;
    if (!open->has_handle) return ENODEV;
    if (write && kind == files::MapKind::shared && !open->writable) return EACCES;
    return fs_.map_pages(open->handle, first_page, count, kind, write, contents);
}

int GuestProcess::unmap(int fd, std::uint64_t first_page, std::size_t count, files::MapKind kind) {
    const Open* open = find(fd);
    if (open == nullptr) return EBADF;
    if (!open->has_handle) return ENODEV;
    return fs_.unmap_pages(open->handle, first_page, count, kind);
}

}  // namespace xenfs::workloads
