#pragma once
// The XenFS client of one guest: a file system whose pages lie in the host's shared cache.
//
// Sequential code in a monitor: another task of the guest may run at every yield point (a request,
// a wait for a page, a flush), so what was looked up before a yield is looked up again after it.
// Hits yield nowhere and allocate nothing.
//
// The promise: a write, or a change of a name or size, that has returned in one guest is seen by
// every operation that starts afterwards in any other. It holds because the server tells a client
// of every change to what it was told, and answers the change only when the client has counted the
// notice; because mapped pages are the very frames that others write; and because only the holder
// of a file's exclusive lease keeps changes to itself, until it is recalled.

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/client/call.h"
#include "model/client/config.h"
#include "model/client/connection.h"
#include "model/client/entry_cache.h"
#include "model/client/vocabulary.h"
#include "model/client/handles.h"
#include "model/client/nodes.h"
#include "model/client/page_store.h"
#include "model/client/stats.h"
#include "model/policies/transfer/policy.h"

namespace xenfs::client {

class Client final : public FileSystem {
  public:
    /// `host` outlives the client. Throws policies::UnknownPolicy for config.transfer and
    /// config.eviction.
    Client(host::Host& host, ClientConfig config);
    ~Client() override;  ///< of a client that is unmounted, or whose domain is dead

    /// Connects, donates, starts the tasks that serve notices and write behind. 0 or errno (see
    /// Connection::open).
    int mount();
    /// Writes back, gives everything up, disconnects. The first error met.
    int unmount();

    // FileSystem. names.cpp
    Result<NodeId> lookup(NodeId parent, const Name& name) override;
    Result<std::string> readlink(NodeId node) override;
    Result<NodeId> mkdir(NodeId parent, const Name& name, std::uint32_t mode, Owner who) override;
    Result<NodeId> symlink(NodeId parent, const Name& name, std::string_view target,
                           Owner who) override;
    Result<NodeId> mknod(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                         std::uint32_t rdev, Owner who) override;
    Result<NodeId> link(NodeId node, NodeId parent, const Name& name) override;
    int unlink(NodeId parent, const Name& name) override;
    int rmdir(NodeId parent, const Name& name) override;
    int rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
               std::uint32_t flags) override;
    Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                          std::size_t max_entries) override;
    // attributes.cpp
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const SetAttr& change) override;
    Result<StatFs> statfs() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    // open.cpp
    Result<Opened> create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                          OpenFlags flags) override;
    Result<Handle> open(NodeId node, OpenFlags flags) override;
    int close(Handle handle) override;
    // read.cpp, write.cpp, flush.cpp
    Result<std::size_t> read(Handle handle, std::uint64_t offset, Buffer into) override;
    Result<std::size_t> write(Handle handle, std::uint64_t offset, Buffer from) override;
    int fsync(Handle handle, bool data_only) override;
    int sync() override;
    void drop_caches() override;
    // locks.cpp, append.cpp
    int set_lock(Handle handle, const FileLock& lock, bool wait) override;
    Result<FileLock> get_lock(Handle handle, const FileLock& lock) override;
    // mmap.cpp
    int map_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind,
                  bool write, std::span<Fingerprint> contents) override;
    int unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                    MapKind kind) override;

    /// For whoever moves the bytes itself (a mount's writev, a read that is no memcpy): the pieces
    /// of [offset, offset + length), which stay mapped and readable until give_back() with the same
    /// pieces. A revocation of one waits for it, so hold them for the length of one call. Bytes
    /// covered; fewer than asked at the end of the file or after `most_pieces`. (mmap.cpp)
    Result<std::size_t> borrow(Handle handle, std::uint64_t offset, std::size_t length,
                               std::vector<host::Piece>& pieces, std::size_t most_pieces = 64);
    void give_back(
        std::span<const host::Piece> pieces);  ///< also when the file was closed meanwhile

    /// For another process of this guest, which maps the shared frame by itself (libxenfs): the
    /// page's mapping, never a frame of ours, on loan until give_back(). `ahead`: how many pages
    /// behind it will be asked for next. EFAULT beyond the end of the file, ENOTSUP where the
    /// transfer policy maps nothing. (mmap.cpp)
    Result<host::Page> share_page(Handle handle, std::uint64_t page, std::size_t ahead, bool write);
    void give_back(host::Page page);
    /// What was stored into pages of the file through mappings: the server takes note of the time.
    int publish(Handle handle);
    /// Whether what share_page gave is still where the file's page lies.
    bool shows(NodeId node, std::uint64_t page, host::Page shared);
    /// The grant behind a mapping that is on loan, for another process to map: no_grant where it
    /// has left its place.
    GrantRef reference_of(NodeId node, std::uint64_t page, host::Page shared);
    DomainId pool() const { return connection_.pool(); }
    /// What was asked for when the file was opened; 0 for a handle that is not open.
    NodeId opened_as(Handle handle, bool& read, bool& write);

    /// For whoever keeps attributes or names above the client: whether it would be told (on_notice)
    /// if they changed from what they are now. Ask right before handing them on, with no yield in
    /// between.
    bool holds_attributes(NodeId node) {
        const Node* known = nodes_.find(node);
        return known != nullptr && known->attr_valid;
    }
    bool holds_name(NodeId parent, const Name& name) {
        return entries_.find(parent, name) != EntryCache::unknown;
    }

    /// Balloons `pages` more out of this guest, as credit at the server; how many it now counts.
    std::size_t donate(std::size_t pages);
    /// Takes back up to `pages` of what was donated and is not needed for what is pinned.
    std::size_t reclaim(std::size_t pages);

    const ClientStats& stats() const { return stats_; }
    const ClientConfig& config() const { return config_; }
    std::size_t memory_bytes() const;  ///< caches, all included
    std::size_t cached_pages() const { return pages_.mapped() + pages_.own(); }

  private:
    static constexpr std::size_t chunk_pages = 128;  ///< pages handled between two looks around

    // attributes.cpp
    Node& learn(const protocol::Attr& attr, bool doomed);
    int refresh(Node& node);
    int need_size(Node& node) { return node.size_valid ? 0 : refresh(node); }
    int truncate(Node& node, std::uint64_t size);
    int send_setattr(Node& node, const SetAttr& change);
    void forget_attributes(Node& node);
    Nanoseconds wall_clock() const { return clock_.now() + epoch_offset_; }

    // names.cpp
    Result<NodeId> entry_reply(Call& call, NodeId parent, const Name& name);
    void own_change(NodeId parent, const Name& name, NodeId now);
    int need_entry(NodeId parent, const Name& name);
    void lost_name(NodeId node);

    // open.cpp
    int open_at_server(Node& node, bool write);
    bool give_opens_back();
    void take_lease(Node& node, const protocol::OpenOut& out, bool doomed);
    /// `urgent`: while a notice is handled, so as not to wait for slots that wait for it.
    void release_fh(Node& node, bool urgent = false);
    void post_release(Node& node, std::uint64_t fh, bool urgent);
    void discard(Node& node);  ///< the file is gone: forget it, dirty pages and all
    void limit_nodes();
    bool idle(const Node& node) const;

    // read.cpp
    std::size_t gather(const Node& node, std::uint64_t offset, std::size_t length,
                       std::size_t buffer_offset, std::span<host::Piece> pieces,
                       std::span<Slot> slots, std::size_t& bytes);
    Result<std::size_t> read_pages(Node& node, OpenFile& file, std::uint64_t offset, Buffer into);
    std::uint32_t plan_window(OpenFile& file, std::uint64_t page, std::uint64_t pages);

    // fetch.cpp: after it returned 0, the first page is there until the next yield.
    int fetch(Node& node, std::uint64_t first, std::uint32_t need, std::uint32_t window,
              policies::TransferRequest::Use use, bool around = false);
    void drop_doomed();
    struct Batch;
    void widen(Batch& batch, std::uint64_t end) const;
    /// A task of ours that has entries which it will give back without being asked.
    struct EntriesOut {
        explicit EntriesOut(Client& of) : client(of) { ++client.entries_out_; }
        ~EntriesOut() { --client.entries_out_; }
        EntriesOut(const EntriesOut&) = delete;
        EntriesOut& operator=(const EntriesOut&) = delete;
        Client& client;
    };
    /// Frames of our own that this task has under way: they come into pages or come free.
    struct FramesMoving {
        FramesMoving(Client& of, bool some) : moving(some ? &of.frames_moving_ : nullptr) {
            if (moving != nullptr) ++*moving;
        }
        ~FramesMoving() {
            if (moving != nullptr) --*moving;
        }
        FramesMoving(const FramesMoving&) = delete;
        FramesMoving& operator=(const FramesMoving&) = delete;
        std::uint32_t* moving;
    };
    int request_pages(Node& node, Batch& batch);
    void install_mapped(Batch& batch);
    void install_copied(Node& node, Batch& batch);
    void install_flipped(Batch& batch);
    int make_room(std::uint16_t reply_flags, std::uint32_t pages, int attempt, bool& wait);
    void entries_are_short();
    policies::TransferDecision decide(const Node& node, policies::TransferRequest::Use use,
                                      std::uint32_t pages, std::uint32_t around = 0);
    std::uint32_t around_pages(const Node& node, std::uint32_t window);
    void wait_for_page();
    void wake_page_waiters();
    void send_released(bool urgent);

    // append.cpp
    Result<std::size_t> append(Node& node, Buffer from, bool sync);

    // write.cpp
    Result<std::size_t> write_at(Node& node, std::uint64_t offset, Buffer from, bool sync);
    std::size_t store_leased(Node& node, std::uint64_t offset, Buffer from,
                             std::size_t buffer_offset);
    Slot writable_slot(Node& node, std::uint64_t page, bool whole);
    int prepare_page(Node& node, std::uint64_t page, bool whole, bool& through);
    int own_frame(Frame& frame);
    void dirtied(Node& node, std::uint64_t end);
    // write_through.cpp
    int store_through(Node& node, std::uint64_t offset, Buffer from, std::size_t buffer_offset,
                      bool sync, std::size_t& stored);
    int store_mapped(Node& node, std::span<const host::Piece> pieces, Buffer from,
                     std::span<const GrantRef> refs, std::uint32_t& good);
    int store_staged(Node& node, std::uint32_t count, Buffer from, std::size_t buffer_offset,
                     std::span<const GrantRef> refs, bool flip, std::uint32_t& good);
    void written(Node& node, std::uint64_t first, std::uint32_t count,
                 std::span<const std::uint32_t> flags);
    int get_for_write(Node& node, const protocol::PagesGetIn& what, bool urgent,
                      std::span<GrantRef> refs, std::span<std::uint32_t> flags,
                      std::uint32_t& granted);
    int commit(Node& node, std::uint64_t offset, std::uint64_t length, protocol::PageMode mode,
               std::span<const GrantRef> refs, std::uint16_t flags, bool urgent);
    std::uint32_t copy_in(std::span<const Frame> frames, std::span<const GrantRef> refs);
    std::uint32_t flip_in(std::span<const Frame> frames, std::span<const GrantRef> refs);

    // flush.cpp
    int flush(Node& node, std::uint32_t most = UINT32_MAX);
    int flush_run(Node& node, std::uint64_t first, std::uint32_t count);
    int flush_oldest();
    void write_behind();

    // resume.cpp
    void follow_server();
    int present();
    int present_items(std::span<const protocol::ResumeItem> items, bool last);
    int present_lock(const Node& node, const FileLock& lock);
    void forget_what_was_told();
    void lost_leases();
    /// After EBADF for a request with this open of the file: there is another one now.
    bool open_again(Node& node, std::uint64_t fh);

    // locks.cpp
    int lock_node(Node& node, const FileLock& lock, bool wait);

    // mmap.cpp
    Slot kernel_copy(Node& node, std::uint64_t page, int& error);
    Slot shared_page(Node& node, std::uint64_t page, std::size_t ahead, bool write, int& error,
                     bool abroad = false);
    bool shares_by_mapping() const;
    bool unpin(Node& node, bool copies, std::uint64_t first_page, std::size_t count,
               std::vector<std::uint64_t>* taken);

    // notices.cpp
    void serve_notices();
    void handle(const protocol::Notice& notice);
    void revoke(NodeId node, std::uint64_t first, std::uint64_t count);
    void give_revoked_back();
    void recall(NodeId node);

    host::Host& host_;
    host::Clock& clock_;
    host::Memory& memory_;
    const ClientConfig config_;
    const host::CoreCosts costs_;
    ClientStats stats_;
    Connection connection_;
    EntryCache entries_;
    NodeTable nodes_;
    HandleTable handles_;
    PageStore pages_;
    std::unique_ptr<policies::TransferPolicy> transfer_;
    std::unordered_map<NodeId, std::string> links_;  ///< targets of symbolic links
    std::vector<NodeId> leases_lost_;                ///< at a successor of the server
    std::vector<PageKey> doomed_;                    ///< fetched, to be used once and dropped
    std::unique_ptr<host::Gate> page_gate_;  ///< a page came, a flush ended, a loan came back
    std::unique_ptr<host::Gate> dirty_gate_;
    std::unique_ptr<host::Gate> exit_gate_;
    std::uint32_t page_waiters_ = 0;
    std::uint32_t frames_moving_ = 0;  ///< tasks that have FramesMoving
    std::uint32_t waiting_locks_ = 0;
    std::uint64_t appends_ = 0;  ///< numbers the owners of append locks
    std::uint32_t entries_out_ = 0;
    Nanoseconds entries_short_until_ = 0;
    std::uint32_t tasks_ = 0;       ///< of ours that run
    std::uint32_t open_fhs_ = 0;    ///< at the server, by nodes without handles
    Nanoseconds epoch_offset_ = 0;  ///< server's wall clock minus our clock, seen at a creation
    std::uint64_t donated_ = 0;
    bool mounted_ = false;
    bool stopping_ = false;
};

}  // namespace xenfs::client
