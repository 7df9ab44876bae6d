#pragma once
// The XenFS client of one guest: a file system whose pages lie in the host's shared cache.
//
// It is sequential code in a monitor: another task of the guest may run at every yield point (a
// request, a wait for a page, a flush). So what was looked up before a yield is looked up again
// after it, or held by a guard (NodeUse). Hits neither yield nor allocate.
//
// Its promise: a write, or a change of a name or size, that has returned in one guest is seen by
// every operation that starts afterwards in any other. It holds because the server tells a client
// of every change to what it was told, and replies to whoever made the change only when the client
// has counted the notice; because mapped pages are the very frames that others write; and because
// only the holder of a file's exclusive lease keeps changes to itself, until the lease is recalled.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/client/loans.h"
#include "model/client/notices.h"
#include "model/client/open_files.h"
#include "model/client/ranges.h"
#include "model/client/resumption.h"
#include "model/client/write.h"

namespace xenfs::client {

/// Composes the parts, each of which owns its state. A part calls only parts that were constructed
/// before it (PageExchange alone calls a later one, by Reopener).
class Client final : public FileSystem {
  public:
    /// `host` outlives the client. Throws policies::UnknownPolicy for config.transfer and
    /// config.eviction.
    Client(host::Host& host, ClientConfig config);
    ~Client() override;  ///< the client is unmounted, or its domain dead

    /// Connects, donates, and starts the tasks that handle notices and write back. Returns 0 or an
    /// errno (see Connection::open).
    int mount() MAY_YIELD;
    /// Writes back, gives everything up and disconnects. Returns the first error met.
    int unmount() MAY_YIELD;

    // FileSystem
    Result<NodeId> lookup(NodeId parent, const Name& name) MAY_YIELD override {
        return names_.lookup(parent, name);
    }
    Result<std::string> readlink(NodeId node) MAY_YIELD override { return names_.readlink(node); }
    Result<NodeId> mkdir(NodeId parent, const Name& name, std::uint32_t mode,
                         Owner who) MAY_YIELD override {
        return names_.mkdir(parent, name, mode, who);
    }
    Result<NodeId> symlink(NodeId parent, const Name& name, std::string_view target,
                           Owner who) MAY_YIELD override {
        return names_.symlink(parent, name, target, who);
    }
    Result<NodeId> mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                         std::uint32_t rdev, Owner who) MAY_YIELD override {
        return names_.mknod(parent, name, type, mode, rdev, who);
    }
    Result<NodeId> link(NodeId node, NodeId parent, const Name& name) MAY_YIELD override {
        return names_.link(node, parent, name);
    }
    int unlink(NodeId parent, const Name& name) MAY_YIELD override {
        return names_.unlink(parent, name);
    }
    int rmdir(NodeId parent, const Name& name) MAY_YIELD override {
        return names_.rmdir(parent, name);
    }
    int rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
               std::uint32_t flags) MAY_YIELD override {
        return names_.rename(old_parent, old_name, new_parent, new_name, flags);
    }
    Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                          std::size_t max_entries) MAY_YIELD override {
        return names_.readdir(directory, offset, max_entries);
    }
    Result<Attr> getattr(NodeId node) MAY_YIELD override { return attributes_.getattr(node); }
    Result<Attr> setattr(NodeId node, const SetAttr& change) MAY_YIELD override {
        return attributes_.setattr(node, change);
    }
    Result<StatFs> statfs() MAY_YIELD override { return attributes_.statfs(); }
    Result<std::string> getxattr(NodeId node, std::string_view name) MAY_YIELD override {
        return attributes_.getxattr(node, name);
    }
    int setxattr(NodeId node, std::string_view name, std::string_view value,
                 int flags) MAY_YIELD override;
    Result<std::vector<std::string>> listxattr(NodeId node) MAY_YIELD override {
        return attributes_.listxattr(node);
    }
    int removexattr(NodeId node, std::string_view name) MAY_YIELD override {
        return attributes_.removexattr(node, name);
    }
    Result<Opened> create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                          OpenFlags flags) MAY_YIELD override {
        return open_files_.create(parent, name, mode, who, flags);
    }
    /// Makes a file without a name in the directory and opens it (O_TMPFILE); link() may name it.
    Result<Opened> create_nameless(NodeId directory, std::uint32_t mode, Owner who,
                                   OpenFlags flags) MAY_YIELD {
        return open_files_.create_nameless(directory, mode, who, flags);
    }
    Result<Handle> open(NodeId node, OpenFlags flags) MAY_YIELD override {
        return open_files_.open(node, flags);
    }
    int close(Handle handle) MAY_YIELD override { return open_files_.close(handle); }
    Result<std::size_t> read(Handle handle, std::uint64_t offset, Buffer into) MAY_YIELD override {
        return reader_.read(handle, offset, into);
    }
    Result<std::size_t> write(Handle handle, std::uint64_t offset, Buffer from) MAY_YIELD override {
        return writer_.write(handle, offset, from);
    }
    /// Writes to an open file in another mode than that in which it was opened.
    Result<Written> write(Handle handle, std::uint64_t offset, Buffer from,
                          WriteMode mode) MAY_YIELD {
        return writer_.write(handle, offset, from, mode);
    }
    int fsync(Handle handle, bool data_only) MAY_YIELD override;
    int allocate(Handle handle, std::uint32_t mode, std::uint64_t offset,
                 std::uint64_t length) MAY_YIELD override {
        return ranges_.allocate(handle, mode, offset, length);
    }
    Result<std::size_t> copy(Handle from, std::uint64_t from_offset, Handle to,
                             std::uint64_t to_offset, std::size_t length) MAY_YIELD override {
        return ranges_.copy({from, from_offset}, {to, to_offset}, length);
    }
    Result<std::uint64_t> seek(Handle handle, std::uint64_t offset,
                               host::Seek what) MAY_YIELD override {
        return ranges_.seek(handle, offset, what);
    }
    int sync() MAY_YIELD override;
    void drop_caches() MAY_YIELD override;
    /// See ClientConfig::keeps_unlinked.
    void forgotten(NodeId node) MAY_YIELD { opens_.forgotten(node); }
    int set_lock(Handle handle, const FileLock& lock, bool wait) MAY_YIELD override {
        return locks_.set(handle, lock, wait);
    }
    /// As set_lock() with `wait`, for a caller that cannot block until the lock is granted. Calls
    /// `settled` once with 0 or an errno, before or after this returns; it must not yield. Returns
    /// by what cancel_lock() knows the wait.
    LockTicket set_lock(Handle handle, const FileLock& lock,
                        std::function<void(int)> settled) MAY_YIELD {
        return locks_.begin(handle, lock, std::move(settled));
    }
    /// Ends the wait with EINTR, unless the lock is granted first: then it is kept, as Linux does
    /// where a signal comes too late.
    void cancel_lock(LockTicket ticket) MAY_YIELD { locks_.cancel(ticket, EINTR); }
    Result<FileLock> get_lock(Handle handle, const FileLock& lock) MAY_YIELD override {
        return locks_.get(handle, lock);
    }
    int map_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind,
                  bool write, std::span<Fingerprint> contents) MAY_YIELD override {
        return loans_.map_pages(handle, first_page, count, kind, write, contents);
    }
    int unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                    MapKind kind) MAY_YIELD override {
        return loans_.unmap_pages(handle, first_page, count, kind);
    }

    /// Returns in `pieces` where the bytes of [offset, offset + length) lie, for a caller that
    /// moves them itself (a mount's writev). The pieces stay mapped and readable until give_back()
    /// with the same pieces. Since a revocation of their pages waits for that, hold them only for
    /// one call. Returns how many bytes they cover, which are fewer at the end of the file or after
    /// `most_pieces`.
    Result<std::size_t> borrow(Handle handle, std::uint64_t offset, std::size_t length,
                               std::vector<host::Piece>& pieces,
                               std::size_t most_pieces = 64) MAY_YIELD {
        return loans_.borrow(handle, offset, length, pieces, most_pieces);
    }
    /// Works also when the file was closed meanwhile.
    void give_back(std::span<const host::Piece> pieces) { loans_.give_back(pieces); }

    /// Returns the page's mapping (never a frame of ours) for another process of this guest, which
    /// maps the shared frame by itself (libxenfs). It is on loan until give_back(). `ahead` says
    /// how many pages behind it will be asked for next. EFAULT beyond the end of the file, ENOTSUP
    /// where the transfer policy maps nothing.
    Result<host::Page> share_page(Handle handle, std::uint64_t page, std::size_t ahead,
                                  bool write) MAY_YIELD {
        return loans_.share_page(handle, page, ahead, write);
    }
    void give_back(host::Page page) { loans_.give_back(page); }
    /// Tells the server that programs have stored into the file through mappings, so that it notes
    /// the time.
    int publish(Handle handle) MAY_YIELD { return loans_.publish(handle); }
    /// Returns whether `shared`, which share_page() gave, is still where the file's page lies.
    bool shows(NodeId node, std::uint64_t page, host::Page shared) {
        return loans_.shows(node, page, shared);
    }
    /// Returns the grant behind a mapping on loan, for another process to map; no_grant where the
    /// page is elsewhere by now.
    GrantRef reference_of(NodeId node, std::uint64_t page, host::Page shared) {
        return loans_.reference_of(node, page, shared);
    }
    DomainId pool() const { return connection_.pool(); }
    /// Returns whether the server that was met when this was mounted refuses all changes (EROFS).
    bool read_only() const { return connection_.read_only(); }
    /// Returns the node of an open file and for what it was opened; 0 where the handle is not open.
    NodeId opened_as(Handle handle, bool& read, bool& write);

    /// These tell a cache above the client (a mount's kernel) whether on_notice would report a
    /// change of what is known now. Ask immediately before handing it on, with no yield in between.
    bool holds_attributes(NodeId node) {
        const Node* known = nodes_.find(node);
        return known != nullptr && known->state.valid();
    }
    bool holds_name(NodeId parent, const Name& name) {
        return names_.find(parent, name) != EntryCache::unknown;
    }
    /// The node of a name that is cached; else what no node has.
    NodeId known_name(NodeId parent, const Name& name) { return names_.find(parent, name); }

    /// Balloons `pages` more out of this guest, as credit at the server. Returns how many it newly
    /// counts.
    std::size_t donate(std::size_t pages) MAY_YIELD { return balloon_.donate(pages); }
    /// Takes back up to `pages` of what was donated and is not needed for what is pinned.
    std::size_t reclaim(std::size_t pages) MAY_YIELD { return balloon_.reclaim(pages); }

    const ClientStats& stats() const { return stats_; }
    const ClientConfig& config() const { return config_; }
    std::size_t memory_bytes() const;  ///< all caches included
    std::size_t cached_pages() const { return pages_.mapped() + pages_.own(); }

  private:
    template <class PartType>
    void start(const char* name, PartType& part, void (PartType::*body)());

    host::Host& host_;
    const ClientConfig config_;
    ClientStats stats_;
    Connection connection_;
    NodeTable nodes_;
    HandleTable handles_;
    PageStore pages_;
    const Shared shared_{host_, config_, stats_, connection_, nodes_, handles_, pages_};
    TransferChoice choice_;
    Balloon balloon_;
    PageExchange exchange_;
    Flusher flusher_;
    PageFetch fetch_;
    ServerOpens opens_;
    LongTexts texts_;
    Attributes attributes_;
    Names names_;
    Locks locks_;
    OpenFiles open_files_;
    FileReader reader_;
    FileWriter writer_;
    FileRanges ranges_;
    Loans loans_;
    NoticeHandler notices_;
    Resumption resumption_;
    std::unique_ptr<host::Gate> exit_gate_;
    std::uint32_t tasks_ = 0;  ///< how many of our tasks run
    bool mounted_ = false;
};

}  // namespace xenfs::client
