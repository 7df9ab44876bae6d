#pragma once
// The NFS client of a guest, after Linux's with protocol 3: attributes are trusted for a time that
// grows while they do not change, an open asks for them again (close-to-open), a close writes back.
//
// Left out: delegations, READDIRPLUS and cached directory listings, writes of parts of a page (two
// guests that write different parts of one page: the later one's whole page stands), a flush before
// stat. Locks go to the server (as NLM does), waiting is by asking again.

#include <deque>
#include <memory>
#include <vector>

#include "sim/arms/fs_driver.h"
#include "sim/arms/network.h"
#include "sim/arms/nfs_rpc.h"
#include "sim/arms/nfs_server.h"
#include "sim/arms/vfs.h"

namespace xenfs::sim {

struct NfsClientStats {
    std::array<std::uint64_t, nfs_procedure_names.size()> calls{};
    std::uint64_t revalidations = 0;  ///< GETATTRs because the trust had run out
    std::uint64_t pages_stale = 0;    ///< times that a file's pages were dropped as stale
    std::uint64_t silly_renames = 0;  ///< of files unlinked while open
};

class NfsFs final : public FsDriver {
  public:
    NfsFs(Machine& machine, Domain& guest, VirtualNetwork& network, NfsServer& server);
    /// Before any operation.
    void attach(Vfs& vfs) { vfs_ = &vfs; }

    // nfs_names.cpp
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

    // nfs_attributes.cpp
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

    // nfs_data.cpp
    Result<Attr> open(NodeId node, bool write) override;
    int close(NodeId node, bool wrote, bool last) override;
    Result<std::uint64_t> revalidate(NodeId node) override;
    int commit(NodeId node, bool data_only) override;
    int sync() override { return 0; }
    int read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) override;
    void write_pages(std::span<Run> runs) override;
    std::uint64_t size_of(NodeId node) const override;
    void extend(NodeId node, std::uint64_t end) override;

  private:
    /// What the client knows of a node.
    struct Info {
        Attr attr;
        Nanoseconds fetched = 0, trust = 0;  ///< attr may be used until fetched + trust
        /// of a directory: the mtime that cached names belong to
        std::optional<WorldTime> names_mtime;
        std::uint64_t local_end = 0;  ///< data written here reaches to it
        std::uint32_t writes = 0;     ///< WRITEs under way
        bool known = false;
        bool access = false;    ///< ACCESS was answered for these attributes
        bool fresh = false;     ///< looked up just now: an open need not ask again
        bool unstable = false;  ///< written, not committed
        std::string silly;      ///< its last name, after an unlink while it was open
        NodeId silly_parent = 0;
    };
    using Body = std::function<void(NfsServer&, NfsReply&)>;
    using Call = std::shared_ptr<NfsCall>;

    Call start(NfsProcedure procedure, std::size_t payload_bytes, Body body);
    void wait(const Call& call);
    Call call(NfsProcedure procedure, std::size_t payload_bytes, Body body);

    Info& info(NodeId node);
    bool trusted(const Info& info) const;
    void learn(const Attr& attr, bool own_change);
    void learn_directory(NodeId directory, const NfsReply& reply, bool own_change);
    int ask(NodeId node);  ///< GETATTR
    int check_access(NodeId node);
    void lost(NodeId node);

    Domain& guest_;
    host::Clock& clock_;
    VirtualNetwork& network_;
    NfsServer& server_;
    Vfs* vfs_ = nullptr;
    Nanoseconds request_ns_, file_trust_, file_trust_max_, directory_trust_, directory_trust_max_;
    Nanoseconds lock_retry_;
    std::uint64_t transfer_pages_;
    std::size_t header_bytes_;
    std::vector<std::unique_ptr<Info>> infos_;  ///< by node id
    NfsClientStats stats_;
};

}  // namespace xenfs::sim
