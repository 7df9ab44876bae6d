// This file reads and writes contents and extended attributes.
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "real/storage/tree_storage.h"

namespace xenfs::real::storage {
namespace {

/// Describes `length` bytes of memory over pages; neighbours are joined.
std::vector<iovec> parts_of(host::Memory& memory, std::span<const Page> pages,
                            std::uint64_t length) {
    std::vector<iovec> parts;
    for (const Page page : pages) {
        if (length == 0) break;
        const std::size_t here = std::min<std::uint64_t>(length, page_size);
        std::byte* const at = memory.bytes(page);
        if (!parts.empty() &&
            static_cast<std::byte*>(parts.back().iov_base) + parts.back().iov_len == at) {
            parts.back().iov_len += here;
        } else {
            parts.push_back({at, here});
        }
        length -= here;
    }
    return parts;
}

/// Moves the parts through `call(parts, count, offset)` until all are done or it returns 0. Returns
/// the bytes moved, or -1 and errno. What is left stays in `parts` from `first` on.
template <class Call>
ssize_t transfer(std::vector<iovec>& parts, std::size_t& first, off_t offset, Call call) {
    ssize_t done = 0;
    for (first = 0; first < parts.size();) {
        const int count = static_cast<int>(std::min<std::size_t>(parts.size() - first, IOV_MAX));
        const ssize_t now = call(parts.data() + first, count, offset + done);
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) return -1;
        if (now == 0) break;
        done += now;
        for (auto left = static_cast<std::size_t>(now); left != 0;) {
            iovec& part = parts[first];
            const std::size_t take = std::min(left, part.iov_len);
            part.iov_base = static_cast<std::byte*>(part.iov_base) + take;
            part.iov_len -= take;
            left -= take;
            if (part.iov_len == 0) ++first;
        }
    }
    return done;
}

/// Returns whether a guest's root may set the attribute: those on which its own kernel acts and
/// which do no harm to this kernel. Marks of overlayfs, of SELinux and other trusted ones are
/// refused.
bool served(std::string_view name) {
    return name.starts_with("user.") || name == "system.posix_acl_access" ||
           name == "system.posix_acl_default" || name == "security.capability";
}

std::string proc_path(const OpenFile& file) {
    return "/proc/self/fd/" + std::to_string(file.get());
}

}  // namespace

int TreeStorage::read_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages) {
    std::vector<iovec> parts = parts_of(memory_, pages, pages.size() * page_size);
    return outside([&]() -> int {
        const auto file = nodes_.get(node, OpenMode::read);
        if (!file) return file.error();
        const auto offset = static_cast<off_t>(first_page << page_shift);
        std::size_t first = 0;
        const ssize_t done = transfer(parts, first, offset, [&](iovec* from, int count, off_t at) {
            return preadv(file->get(), from, count, at);
        });
        if (done < 0) return errno;
        for (; first < parts.size(); ++first) {
            std::memset(parts[first].iov_base, 0, parts[first].iov_len);
        }
        if (options_.drop_page_cache) {
            posix_fadvise(file->get(), offset, done, POSIX_FADV_DONTNEED);
        }
        return 0;
    });
}

int TreeStorage::write_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages,
                             std::uint64_t length) {
    if (options_.read_only) return EROFS;
    std::vector<iovec> parts = parts_of(memory_, pages, length);
    return outside([&]() -> int {
        const auto file = nodes_.get(node, OpenMode::write);
        if (!file) return file.error();
        const OwnChange own(watch_.get(), node);
        std::size_t first = 0;
        const ssize_t done = transfer(parts, first, static_cast<off_t>(first_page << page_shift),
                                      [&](iovec* from, int count, off_t at) {
                                          return pwritev(file->get(), from, count, at);
                                      });
        if (done < 0) return errno;
        return first == parts.size() ? 0 : EIO;
    });
}

Result<Attr> TreeStorage::allocate(NodeId node, std::uint32_t mode, std::uint64_t offset,
                                   std::uint64_t length) {
    if (options_.read_only) return Errno{EROFS};
    return outside([&]() -> Result<Attr> {
        const auto file = nodes_.get(node, OpenMode::write);
        if (!file) return Errno{file.error()};
        const OwnChange own(watch_.get(), node);
        int error = 0;
        do {
            error = fallocate(file->get(), static_cast<int>(mode), static_cast<off_t>(offset),
                              static_cast<off_t>(length)) != 0
                        ? errno
                        : 0;
        } while (error == EINTR);
        if (error != 0) return Errno{error};
        struct stat status {};
        if (fstat(file->get(), &status) != 0) return Errno{errno};
        return attributes(status, node);
    });
}

/// The kernel shares blocks where the file system can, and copies through its pages elsewhere: it
/// can do so between any two files of one file system.
Result<std::uint64_t> TreeStorage::copy_range(NodeId from, std::uint64_t from_offset, NodeId to,
                                              std::uint64_t to_offset, std::uint64_t length) {
    if (options_.read_only) return Errno{EROFS};
    return outside([&]() -> Result<std::uint64_t> {
        const auto source = nodes_.get(from, OpenMode::read);
        if (!source) return Errno{source.error()};
        const auto target = nodes_.get(to, OpenMode::write);
        if (!target) return Errno{target.error()};
        const OwnChange own(watch_.get(), to);
        auto read_at = static_cast<off_t>(from_offset), write_at = static_cast<off_t>(to_offset);
        std::uint64_t done = 0;
        while (done < length) {
            const ssize_t now = copy_file_range(source->get(), &read_at, target->get(), &write_at,
                                                length - done, 0);
            if (now < 0 && errno == EINTR) continue;
            if (now < 0 && done == 0) return Errno{errno};
            if (now <= 0) break;
            done += static_cast<std::uint64_t>(now);
        }
        if (options_.drop_page_cache) {
            posix_fadvise(source->get(), static_cast<off_t>(from_offset), static_cast<off_t>(done),
                          POSIX_FADV_DONTNEED);
        }
        return done;
    });
}

/// The descriptor's position is nobody's: contents are read and written by offset.
Result<std::uint64_t> TreeStorage::seek(NodeId node, std::uint64_t offset, host::Seek what) {
    return outside([&]() -> Result<std::uint64_t> {
        const auto file = nodes_.get(node, OpenMode::read);
        if (!file) return Errno{file.error()};
        const off_t found = lseek(file->get(), static_cast<off_t>(offset),
                                  what == host::Seek::data ? SEEK_DATA : SEEK_HOLE);
        if (found < 0) return Errno{errno};
        return static_cast<std::uint64_t>(found);
    });
}

int TreeStorage::sync(NodeId node, bool data_only) {
    return outside([&]() -> int {
        auto file = nodes_.get(node, OpenMode::read);
        if (file.error() == EINVAL) return 0;  // fifos and devices have no such attributes
        if (!file) return file.error();
        return (data_only ? fdatasync(file->get()) : fsync(file->get())) != 0 ? errno : 0;
    });
}

int TreeStorage::sync_all() {
    return outside([&] { return syncfs(nodes_.root()) != 0 ? errno : 0; });
}

Result<std::string> TreeStorage::getxattr(NodeId node, std::string_view name) {
    if (!served(name)) return Errno{ENODATA};
    return outside([&]() -> Result<std::string> {
        const auto file = nodes_.get(node);
        if (!file) return Errno{file.error()};
        std::string value(XATTR_SIZE_MAX, '\0');
        const std::string text(name);
        const ssize_t length =
            ::getxattr(proc_path(*file).c_str(), text.c_str(), value.data(), value.size());
        // Where the tree's file system has no ACLs, no file has one.
        if (length < 0) return Errno{errno == EOPNOTSUPP ? ENODATA : errno};
        value.resize(static_cast<std::size_t>(length));
        return value;
    });
}

int TreeStorage::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    if (options_.read_only) return EROFS;
    if (!served(name)) return EOPNOTSUPP;
    return outside([&]() -> int {
        const auto file = nodes_.get(node);
        if (!file) return file.error();
        const OwnChange own(watch_.get(), node);
        const std::string text(name);
        return ::setxattr(proc_path(*file).c_str(), text.c_str(), value.data(), value.size(),
                          flags) != 0
                   ? errno
                   : 0;
    });
}

Result<std::vector<std::string>> TreeStorage::listxattr(NodeId node) {
    return outside([&]() -> Result<std::vector<std::string>> {
        const auto file = nodes_.get(node);
        if (!file) return Errno{file.error()};
        std::string names(XATTR_LIST_MAX, '\0');
        const ssize_t length = ::listxattr(proc_path(*file).c_str(), names.data(), names.size());
        if (length < 0) return Errno{errno};
        std::vector<std::string> result;
        for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
            std::string one = names.c_str() + at;
            at += one.size() + 1;
            if (served(one)) result.push_back(std::move(one));
        }
        return result;
    });
}

int TreeStorage::removexattr(NodeId node, std::string_view name) {
    if (options_.read_only) return EROFS;
    if (!served(name)) return ENODATA;
    return outside([&]() -> int {
        const auto file = nodes_.get(node);
        if (!file) return file.error();
        const OwnChange own(watch_.get(), node);
        const std::string text(name);
        return ::removexattr(proc_path(*file).c_str(), text.c_str()) != 0 ? errno : 0;
    });
}

}  // namespace xenfs::real::storage
