#pragma once
// The guest's side of a file server in dom0 that is reached by requests: Linux's 9p and FUSE
// clients, told apart by what they cache and for how long (RemoteOptions) and by how requests
// travel (RemoteProtocol).
//
// Left out: READDIRPLUS and cached directory listings, asynchronous RELEASE and FORGET (a close is
// one request that is waited for), reads in parallel by one reader.

#include <memory>
#include <vector>

#include "sim/arms/fs_driver.h"
#include "sim/arms/remote_server.h"
#include "sim/arms/vfs.h"

namespace xenfs::sim {

struct RemoteOptions {
    DataCaching data = DataCaching::write_through;
    Nanoseconds entry_timeout_ns = 0,
                attribute_timeout_ns = 0;  ///< host::forever: never asked again
    bool keep_pages_at_open = false;       ///< else an open drops the file's cached pages
    bool absent_names = false;             ///< may names that are not there be remembered?
    bool local_locks = false;              ///< locks end at the guest's border
    bool shared_mmap = true;               ///< MAP_SHARED is possible
};

struct RemoteStats {
    std::array<std::uint64_t, remote_ops> operations{};
    std::uint64_t requests = 0;      ///< round trips
    std::uint64_t ring_waits = 0;    ///< requests that waited for room in the ring
    std::uint64_t bytes_copied = 0;  ///< through the ring, by the guest
    std::uint64_t pages_stale = 0;   ///< times that a file's cached pages were dropped
    std::uint64_t attributes_asked = 0;
};

class RemoteFs : public FsDriver {
  public:
    RemoteFs(Machine& machine, Domain& guest, RemoteServer& server, const RemoteProtocol& protocol,
             const RemoteOptions& options);
    /// Before any operation.
    void attach(Vfs& vfs) { vfs_ = &vfs; }

    // remote_names.cpp
    Result<Attr> lookup(NodeId parent, const Name& name) override;
    bool names_valid(NodeId directory) override;
    Result<Attr> create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                        Owner who, std::string_view target, std::uint32_t rdev) override;
    Result<Attr> link(NodeId node, NodeId parent, const Name& name) override;
    Result<Attr> unlink(NodeId parent, const Name& name) override;
    int rmdir(NodeId parent, const Name& name) override;
    int rename(NodeId old_parent, const Name& old_name, NodeId new_parent, const Name& new_name,
               std::uint32_t flags) override;
    Result<std::vector<DirEntry>> readdir(NodeId directory, std::uint64_t offset,
                                          std::size_t max_entries) override;
    Result<std::string> readlink(NodeId node) override;
    bool keeps_absent_names() const override { return options_.absent_names; }

    // remote_attributes.cpp
    Result<Attr> getattr(NodeId node) override;
    Result<Attr> setattr(NodeId node, const SetAttr& change) override;
    Result<StatFs> statfs() override;
    Result<std::string> getxattr(NodeId node, std::string_view name) override;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) override;
    Result<std::vector<std::string>> listxattr(NodeId node) override;
    int removexattr(NodeId node, std::string_view name) override;
    int set_lock(NodeId node, const files::FileLock& lock, bool wait) override;
    Result<files::FileLock> get_lock(NodeId node, const files::FileLock& lock) override;
    void drop_locks(NodeId node, std::uint64_t owner, bool whole_file) override;
    Counters counters() const override;
    void drop_caches() override;

    // remote_fs.cpp
    Result<Attr> open(NodeId node, bool write) override;
    int close(NodeId node, bool wrote, bool last) override;
    Result<std::uint64_t> revalidate(NodeId node) override;
    int commit(NodeId node, bool data_only) override;
    int sync() override { return 0; }
    int read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) override;
    void write_pages(std::span<Run> runs) override;
    std::uint64_t size_of(NodeId node) const override;
    void extend(NodeId node, std::uint64_t end) override;
    DataCaching data_caching() const override { return options_.data; }
    Result<std::size_t> read_range(NodeId node, std::uint64_t offset, host::Buffer into) override;
    int write_range(NodeId node, std::uint64_t offset, host::Buffer from) override;
    int may_map(files::MapKind kind) const override {
        return kind == files::MapKind::shared && !options_.shared_mmap ? ENODEV : 0;
    }

  protected:
    /// What the guest knows of a node.
    struct Info {
        Attr attr;
        Nanoseconds fetched = 0, names_since = 0;
        std::uint64_t local_end = 0;  ///< data written here reaches to it
        std::uint32_t writes = 0;     ///< under way
        std::uint64_t written = 0;    ///< requests sent when the last write was answered
        bool known = false;
        bool expired = false;  ///< attributes are asked for at the next stat whatever their age
    };
    using Body = std::function<void(RemoteServer&, RemoteReply&)>;
    using Call = std::shared_ptr<RemoteCall>;

    /// One operation: its requests one after the other, the work done by the last.
    Call call(RemoteOp op, std::size_t payload_bytes, std::size_t reply_bytes, Body body);
    Call call(RemoteOp op, std::size_t payload_bytes, Body body) {
        return call(op, payload_bytes, 0, std::move(body));
    }
    Info& info(NodeId node);
    bool in_time(Nanoseconds since, Nanoseconds timeout) const;
    /// The attributes that a request was answered with.
    void learn(const Call& call, bool own_change);
    int ask(NodeId node);
    virtual void lost(NodeId node);  ///< it is gone: what is cached goes

    Machine& machine_;
    Domain& guest_;
    host::Clock& clock_;
    RemoteServer& server_;
    const RemoteProtocol& protocol_;
    RemoteOptions options_;
    Vfs* vfs_ = nullptr;
    RemoteStats stats_;

  private:
    Call request(RemoteOp op, std::size_t payload_bytes, std::size_t reply_bytes, Body body);
    void charge_ring(std::size_t bytes);

    Nanoseconds lock_retry_ns_;
    std::size_t ring_used_ = 0;
    std::unique_ptr<host::Gate> ring_space_;
    LockTable own_locks_;
    std::unique_ptr<host::Gate> unlocked_;
    std::vector<std::unique_ptr<Info>> infos_;  ///< by node id
};

}  // namespace xenfs::sim
