#pragma once
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/host/grants.h"
#include "real/xen/libraries.h"
#include "real/xen/pool_frames.h"

namespace xenfs::real::xen {

/// The pool domain owns the shared cache's frames and never runs. dom0 maps its frames and its
/// grant table and writes the entries itself, so that one frame can be granted to any number of
/// domains on stock kernels. The class is not thread-safe: it is used inside the server's monitor.
class Pool {
  public:
    struct Limits {
        std::size_t pages = 0;  ///< maxmem
        /// Each has 512 entries. 0 means as many as these pages need for four guests, or as many as
        /// the hypervisor allows.
        std::uint32_t grant_frames = 0;
        /// A file in memory by which a successor finds the pool again if this process is killed.
        /// Where the name is empty, none will.
        std::string record = {};
        bool take_over = true;  ///< otherwise what a predecessor left is destroyed
    };
    /// Creates the domain and names it in xenstore, or takes over the one that the record names, if
    /// that lives. Throws XenError, which says what to put on Xen's command line where the grant
    /// table is larger than the hypervisor allows.
    Pool(const std::string& name, const Limits& limits);
    /// Destroys the domain. Pages that a guest still maps live on as a zombie until it unmaps them.
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    DomainId domain() const { return domain_; }

    PoolFrames& frames() { return *frames_; }
    const PoolFrames& frames() const { return *frames_; }

    // Grant entries, version 1
    std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                      std::span<GrantRef> out);
    GrantStatus revoke(GrantRef reference);
    std::size_t granted() const { return granted_; }
    std::size_t grant_capacity() const;

    // The members below are for a successor.
    std::vector<host::OwnedFrame> all_frames() const { return frames_->all(); }
    std::vector<host::FoundEntry> all_entries() const;

  private:
    bool find();
    void create(const std::string& name, const Limits& limits);
    bool try_create(std::uint32_t grant_frames);
    void map_table();
    void destroy();

    Control control_;
    ForeignMemory foreign_;
    PoolRecord record_;
    std::uint32_t domain_ = 0, grant_frames_ = 0;
    bool exists_ = false;
    std::optional<PoolFrames> frames_;
    std::size_t granted_ = 0;
    xenforeignmemory_resource_handle* table_resource_ = nullptr;
    grant_entry_v1_t* table_ = nullptr;
    std::size_t entries_ = 0;
    std::deque<GrantRef> free_entries_;
    std::vector<bool> used_entries_;
};

}  // namespace xenfs::real::xen
