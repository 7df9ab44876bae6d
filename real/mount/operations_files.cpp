// These operations serve open files: they read from mapped frames, write and sync.
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstring>

#include "real/mount/operations.h"
#include "real/mount/request_flags.h"

namespace xenfs::real::mount {
namespace {

using files::Handle;
using host::Piece;

files::OpenFlags flags_of(int flags) {
    files::OpenFlags open;
    open.read = (flags & O_ACCMODE) != O_WRONLY;
    open.write = (flags & O_ACCMODE) != O_RDONLY;
    open.append = (flags & O_APPEND) != 0;
    open.truncate = (flags & O_TRUNC) != 0;
    open.exclusive = (flags & O_EXCL) != 0;
    open.synchronous = (flags & (O_SYNC | O_DSYNC)) != 0;
    return open;
}

/// Returns whether the file is a program or a shared object, which processes map executable.
bool is_text(Mount& mount, Handle handle) {
    std::vector<Piece> pieces;
    const auto got = mount.client().borrow(handle, 0, sizeof(Elf64_Ehdr), pieces);
    if (!got) return false;
    bool text = false;
    if (*got >= offsetof(Elf64_Ehdr, e_type) + sizeof(Elf64_Half) && pieces.size() == 1) {
        Elf64_Ehdr head{};
        std::memcpy(&head, mount.host().memory().bytes(pieces[0].page), *got);
        text = std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
               (head.e_type == ET_EXEC || head.e_type == ET_DYN);
    }
    mount.client().give_back(pieces);
    return text;
}

/// Decides whether the guest's kernel reads and writes this opening through copies of its own.
void choose_caching(Mount& mount, fuse_file_info* info, NodeId node, bool reads_only) {
    const KernelPages keep = mount.options().kernel_pages;
    // Where a page is not in its cache whole, the kernel ends a request with that page, and sends
    // what a write has behind it in another: a record would be torn. And it puts what is appended
    // into its pages at the end that it knows, which another guest may have moved.
    bool cached = keep == KernelPages::all && (info->flags & O_APPEND) == 0;
    // The kernel holds pages locked that it writes. Two guests that write one file would wait for
    // each other: each kernel's answer to the other's notice waits for its own write, and that for
    // the other's answer. An older kernel maps MAP_SHARED nothing but what it reads through its
    // cache, so there the server's patience ends such a wait.
    if (!reads_only && kernel_maps_direct()) cached = false;
    if (keep == KernelPages::text && reads_only) {
        const auto attr = mount.client().getattr(node);
        cached = attr && attr->type == files::FileType::regular &&
                 attr->size >= sizeof(Elf64_Ehdr) && is_text(mount, info->fh);
    }
    info->direct_io = !cached;
    info->keep_cache = cached;  // notices remove the pages that are out of date
}

/// Cuts a file that is opened with O_TRUNC and not to write, as Linux does; an opening to write
/// cuts it by itself. The kernel has checked that the program may write.
int cut_for_reader(Mount& mount, NodeId node, const files::OpenFlags& flags) {
    if (!flags.truncate || flags.write) return 0;
    files::SetAttr change;
    change.valid = files::SetAttr::size_ | files::SetAttr::mtime_;
    change.value.mtime = mount.host().clock().world();
    return mount.client().setattr(node, change).error();
}

void open(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
    serve(request, [&](Mount& mount) -> int {
        const files::OpenFlags flags = flags_of(info->flags);
        if (flags.truncate) {
            if (const int error = end_privileges(mount, node)) return error;
        }
        const auto handle = mount.client().open(node, flags);
        if (!handle) return handle.error();
        if (const int error = cut_for_reader(mount, node, flags)) {
            mount.client().close(*handle);
            return error;
        }
        info->fh = *handle;
        if (flags.truncate) {
            mount.shares().on_own_change(node, true);
            mount.kernel().on_own_write(node, 0, SIZE_MAX >> 1);
        }
        choose_caching(mount, info, node, !flags.write);
        if (fuse_reply_open(request, info) != 0) mount.client().close(*handle);
        return answered;
    });
}

void create(fuse_req_t request, fuse_ino_t parent, const char* text, mode_t mode,
            fuse_file_info* info) {
    const bool nameless = request_is_nameless();
    serve(request, [&](Mount& mount) -> int {
        const files::Name name(text);
        const files::Owner who = owner_in(request, mount, parent, nullptr);
        const files::OpenFlags flags = flags_of(info->flags);
        const auto opened = nameless
                                ? mount.client().create_nameless(parent, mode & 07777, who, flags)
                                : mount.client().create(parent, name, mode & 07777, who, flags);
        if (!opened) return opened.error();
        int error = 0;
        if (!opened->created && flags.truncate) {
            error = end_privileges(mount, opened->node);
            if (error == 0) error = cut_for_reader(mount, opened->node, flags);
            mount.shares().on_own_change(opened->node, true);
            mount.kernel().on_own_write(opened->node, 0, SIZE_MAX >> 1);
        }
        // The inode is counted before the answer, since a notice must find it.
        mount.kernel().looked_up(opened->node, 0);
        const auto undo = [&] {
            const bool unknown = mount.kernel().forgot(opened->node, 1);
            mount.client().close(opened->handle);
            if (unknown) mount.client().forgotten(opened->node);
        };
        const std::uint32_t version = mount.kernel().version(opened->node);
        const auto attr = mount.client().getattr(opened->node);
        if (error == 0) error = attr.error();
        if (error != 0) {
            undo();
            return error;
        }
        if (opened->created && (attr->mode & (S_ISUID | S_ISGID)) == 0 &&
            mount.client().holds_attributes(opened->node)) {
            mount.kernel().learn_plain(opened->node, version);
        }
        info->fh = opened->handle;
        choose_caching(mount, info, opened->node, false);
        fuse_entry_param entry{};
        entry.ino = opened->node;
        entry.attr = stat_of(*attr);
        if (!nameless) {
            entry.entry_timeout =
                mount.kernel().name_timeout(mount.client().holds_name(parent, name));
        }
        if (fuse_reply_create(request, &entry, info) != 0) undo();
        return answered;
    });
}

void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    serve(request, [&](Mount& mount) {
        mount.client().close(info->fh);
        return 0;
    });
}

/// Holds mapped frames that are lent for the length of one call to the kernel.
class Loan {
  public:
    Loan(Mount& mount, Handle handle, std::uint64_t offset)
        : mount_(mount), handle_(handle), offset_(offset) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { give_back(); }

    /// Collects up to `length` bytes, fewer only at the end of the file. Returns 0 or an errno.
    int take(std::size_t length) {
        while (bytes_ < length) {
            const auto got =
                mount_.client().borrow(handle_, offset_ + bytes_, length - bytes_, batch_, most);
            if (!got) return bytes_ > 0 ? 0 : got.error();
            if (*got == 0) break;
            for (const Piece& piece : batch_) {
                std::byte* const at = mount_.host().memory().bytes(piece.page);
                vectors_.push_back({at + piece.page_offset, piece.length});
            }
            pieces_.insert(pieces_.end(), batch_.begin(), batch_.end());
            bytes_ += *got;
        }
        return 0;
    }
    void give_back() {
        if (!pieces_.empty()) mount_.client().give_back(pieces_);
        pieces_.clear();
        vectors_.clear();
        bytes_ = 0;
    }
    /// Makes one synchronous writev(2). Calls that continue after they return (splice, io_uring)
    /// are not used: on real Xen a PV guest's kernel is damaged if a mapping goes while something
    /// still holds its pages.
    void answer(fuse_req_t request) const {
        fuse_reply_iov(request, vectors_.data(), static_cast<int>(vectors_.size()));
    }
    std::size_t bytes() const { return bytes_; }

  private:
    static constexpr std::size_t most = 128;
    Mount& mount_;
    Handle handle_;
    std::uint64_t offset_;
    std::size_t bytes_ = 0;
    std::vector<Piece> batch_, pieces_;
    std::vector<iovec> vectors_;
};

int read_for_program(fuse_req_t request, Mount& mount, Handle handle, std::size_t size,
                     std::uint64_t offset) {
    Loan loan(mount, handle, offset);
    if (int error = loan.take(size)) return error;
    mount.monitor().outside([&] { loan.answer(request); });
    return answered;
}

class KernelRead {
  public:
    KernelRead(KernelCache& kernel, NodeId node) : kernel_(kernel), node_(node) {
        kernel_.read_begins(node_);
    }
    ~KernelRead() { kernel_.read_ends(node_); }
    KernelRead(const KernelRead&) = delete;
    KernelRead& operator=(const KernelRead&) = delete;

  private:
    KernelCache& kernel_;
    NodeId node_;
};

/// Answers a read into the guest's page cache, where the data stays. The data must be what the file
/// holds when the answer is given, so that any notice about it comes after. The monitor is
/// therefore held, and the pages are gathered again if a notice came meanwhile.
int read_for_kernel(fuse_req_t request, Mount& mount, NodeId node, Handle handle, std::size_t size,
                    std::uint64_t offset) {
    constexpr int patience = 16;
    const KernelRead reading(mount.kernel(), node);
    Loan loan(mount, handle, offset);
    for (int attempt = 0;; ++attempt) {
        // from this call on, the server tells us of changes
        const auto attr = mount.client().getattr(node);
        if (!attr) return attr.error();
        mount.kernel().filled(node, 0);
        const std::uint32_t version = mount.kernel().version(node);
        if (int error = loan.take(size)) return error;
        const bool current =
            mount.kernel().version(node) == version && mount.client().holds_attributes(node);
        if (current || attempt == patience) {
            mount.kernel().filled(node, loan.bytes());
            loan.answer(request);
            loan.give_back();
            if (!current) mount.kernel().on_own_write(node, offset, size);
            return answered;
        }
        loan.give_back();
    }
}

void read(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset,
          fuse_file_info* info) {
    serve(request, [&](Mount& mount) -> int {
        const auto at = static_cast<std::uint64_t>(offset);
        // The kernel names a lock owner when it reads for a program, and none when it fills its
        // cache.
        const bool for_program = info->lock_owner != 0;
        return for_program ? read_for_program(request, mount, info->fh, size, at)
                           : read_for_kernel(request, mount, node, info->fh, size, at);
    });
}

void write(fuse_req_t request, fuse_ino_t node, const char* data, std::size_t size, off_t offset,
           fuse_file_info* info) {
    serve(request, [&](Mount& mount) -> int {
        if (const int error = end_privileges(mount, node)) return error;
        // The client only reads from this buffer.
        auto* const bytes = reinterpret_cast<std::byte*>(const_cast<char*>(data));
        const auto at = static_cast<std::uint64_t>(offset);
        // A page that was stored into through a mapping goes where it lies, whatever the flags.
        const bool program = info->writepage == 0;
        const client::WriteMode mode{
            .append = program && (info->flags & O_APPEND) != 0,
            .synchronous = program && (info->flags & (O_SYNC | O_DSYNC)) != 0};
        const auto written = mount.client().write(info->fh, at, {bytes, nullptr, size}, mode);
        if (!written) return written.error();
        mount.shares().on_own_change(node, false);
        // A write past the kernel's cache names a lock owner, and the kernel is to forget the
        // range. A write through that cache lies in the kernel's own pages, which it holds locked
        // until we answer: they go afterwards, where it has put them in the wrong place.
        const bool direct = info->lock_owner != 0;
        if (direct) mount.kernel().on_own_write(node, written->offset, written->bytes);
        fuse_reply_write(request, written->bytes);
        if (!direct && written->offset != at) mount.kernel().on_own_write(node, at, size);
        return answered;
    });
}

void fsync(fuse_req_t request, fuse_ino_t node, int data_only, fuse_file_info* info) {
    serve(request, [&](Mount& mount) {
        mount.shares().publish(node);
        return mount.client().fsync(info->fh, data_only != 0);
    });
}

void fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length,
               fuse_file_info* info) {
    serve(request, [&](Mount& mount) -> int {
        if (const int error = end_privileges(mount, node)) return error;
        const auto at = static_cast<std::uint64_t>(offset),
                   bytes = static_cast<std::uint64_t>(length);
        const auto kind = static_cast<std::uint32_t>(mode);
        if (const int error = mount.client().allocate(info->fh, kind, at, bytes)) return error;
        mount.shares().on_own_change(node, false);
        if (host::allocation_zeroes(kind)) mount.kernel().on_own_write(node, at, bytes);
        return 0;
    });
}

void copy_file_range(fuse_req_t request, fuse_ino_t, off_t from, fuse_file_info* source,
                     fuse_ino_t node, off_t to, fuse_file_info* target, std::size_t length, int) {
    serve(request, [&](Mount& mount) -> int {
        if (const int error = end_privileges(mount, node)) return error;
        const auto into = static_cast<std::uint64_t>(to);
        const auto copied = mount.client().copy(source->fh, static_cast<std::uint64_t>(from),
                                                target->fh, into, length);
        if (!copied) return copied.error();
        mount.shares().on_own_change(node, false);
        mount.kernel().on_own_write(node, into, *copied);
        fuse_reply_write(request, *copied);
        return answered;
    });
}

/// The kernel asks for data and holes alone; it knows the other places.
void lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
    serve(request, [&](Mount& mount) -> int {
        if (whence != SEEK_DATA && whence != SEEK_HOLE) return EINVAL;
        const auto found =
            mount.client().seek(info->fh, static_cast<std::uint64_t>(offset),
                                whence == SEEK_DATA ? host::Seek::data : host::Seek::hole);
        if (!found) return found.error();
        fuse_reply_lseek(request, static_cast<off_t>(*found));
        return answered;
    });
}

void fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    serve(request, [&](Mount& mount) { return mount.client().sync(); });
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& table) {
    table.open = open;
    table.create = create;
    table.release = release;
    table.read = read;
    table.write = write;
    table.fsync = fsync;
    table.fsyncdir = fsyncdir;
    table.fallocate = fallocate;
    table.lseek = lseek;
    table.copy_file_range = copy_file_range;
}

}  // namespace xenfs::real::mount
