#pragma once
// TreeStorage is a directory of this machine as the server's storage.

#include <functional>
#include <stdexcept>
#include <string>

#include "model/host/memory.h"
#include "model/host/storage.h"
#include "real/common/monitor.h"
#include "real/storage/nameless.h"
#include "real/storage/node_table.h"
#include "real/storage/tree_watch.h"

namespace xenfs::real::storage {

using host::Attr;
using host::DirEntry;
using host::FileType;
using host::Owner;
using host::Page;
using host::SetAttr;
using host::StatFs;

struct TreeOptions {
    bool read_only = false;
    /// Guests may make device nodes. Whoever opens one in dom0 opens dom0's device.
    bool devices = false;
    /// Pages that were read into the shared cache need not stay in this kernel's page cache too.
    bool drop_page_cache = true;
    /// The most descriptors that are kept open, unless clients have more files open.
    std::size_t descriptors = 4096;
    /// how many files clients may have open; 0 for as many as `descriptors`
    std::size_t open_files = 0;
    FindAgain find_again = FindAgain::by_handle;
};

/// Thrown where the tree cannot be served; one sentence that says what to do.
class TreeError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// TreeStorage serves the tree below a directory. Whatever a client names stays beneath it: each
/// step is one name below a descriptor (openat2: beneath, following no link, crossing no mount
/// point), and node ids lead to descriptors, never to paths. A directory that somebody on this
/// machine moves out of the tree while it is in use is still served to those who have it, as an
/// open one would be.
///
/// Files belong to the guest's user who made them where the process may set that (CAP_SETUID,
/// CAP_SETGID and the like), else to the process's user. The guest's kernel checks permissions. Of
/// the extended attributes, user.*, POSIX ACLs and file capabilities are served.
///
/// A file that is open when its last name goes gets a name in a hidden directory of the root
/// (nameless.h) until it is closed, so that it outlives a server that is killed.
///
/// Every call releases the monitor while the kernel works. The process's umask is set to 0, since
/// the mask is the client's.
class TreeStorage : public host::Storage {
  public:
    /// The memory (of the pages that are filled and written) and the monitor outlive the storage.
    /// `root` comes from open_root().
    TreeStorage(host::Memory& memory, Monitor& monitor, Descriptor root, TreeOptions options);

    Result<Attr> lookup(NodeId parent, std::string_view name) override;
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const SetAttr& change) override;
    Result<Attr> create(NodeId parent, std::string_view name, FileType type, std::uint32_t mode,
                        Owner owner, std::string_view symlink_target, std::uint32_t rdev) override;
    Result<Attr> link(NodeId node, NodeId parent, std::string_view name) override;
    Result<Attr> create_nameless(NodeId directory, std::uint32_t mode, Owner owner) override;
    Result<Attr> unlink(NodeId parent, std::string_view name) override;
    Result<NodeId> rmdir(NodeId parent, std::string_view name) override;
    Result<NodeId> rename(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                          std::string_view new_name, std::uint32_t flags) override;
    Result<std::string> readlink(NodeId node) override;
    Result<std::vector<DirEntry>> readdir(NodeId node, std::uint64_t offset,
                                          std::size_t max_entries) override;
    Result<StatFs> statfs() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    int open_node(NodeId node) override;
    void close_node(NodeId node) override;
    void on_outside_change(const std::function<void(const host::OutsideChange&)>& tell) override;
    std::string handle(NodeId node) override { return nodes_.identity(node); }
    int restore(NodeId node, std::string_view handle) override;
    void drop_nameless() override;
    int read_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages) override;
    int write_pages(NodeId node, std::uint64_t first_page, std::span<const Page> pages,
                    std::uint64_t length) override;
    Result<Attr> allocate(NodeId node, std::uint32_t mode, std::uint64_t offset,
                          std::uint64_t length) override;
    Result<std::uint64_t> copy_range(NodeId from, std::uint64_t from_offset, NodeId to,
                                     std::uint64_t to_offset, std::uint64_t length) override;
    Result<std::uint64_t> seek(NodeId node, std::uint64_t offset, host::Seek what) override;
    int sync(NodeId node, bool data_only) override;
    int sync_all() override;

    /// Watches for outside changes from now on; called before anything else. `fanotify` comes from
    /// open_fanotify() of the same directory. False: the kernel refuses inotify (errno), or the
    /// tree's file system has no file handles to go with fanotify's.
    bool watch_by_fanotify(Descriptor fanotify);
    bool watch_by_inotify();
    /// Null: nobody watches.
    const TreeWatch* watch() const { return watch_.get(); }

    /// The exported directory itself was removed, so nothing can be made in it any more.
    bool vanished() const;
    const NodeTable& nodes() const { return nodes_; }
    const TreeOptions& options() const { return options_; }

  private:
    template <class Call>
    auto outside(Call call) {
        return monitor_.outside(std::move(call));
    }
    Result<OpenFile> directory(NodeId node, std::string_view name);
    Attr attributes(const struct stat& status, NodeId node) const;
    bool keep_nameless(int directory, std::string_view name, const FoundFile& file);
    Result<Attr> change(NodeId node, const SetAttr& change);
    Result<Attr> make(NodeId parent, std::string_view name, FileType type, std::uint32_t mode,
                      Owner owner, const std::string& target, std::uint32_t rdev);
    Result<NodeId> move(NodeId old_parent, std::string_view old_name, NodeId new_parent,
                        std::string_view new_name, std::uint32_t flags);

    host::Memory& memory_;
    Monitor& monitor_;
    TreeOptions options_;
    NodeTable nodes_;
    Nameless nameless_;
    std::unique_ptr<TreeWatch> watch_;
};

/// Opens the directory that is to be exported. Throws TreeError.
Descriptor open_root(const std::string& directory);

Attr attributes_of(const struct stat& status, NodeId node);
FileType type_of(std::uint32_t mode);

}  // namespace xenfs::real::storage
