#pragma once
#include <cstdint>
#include <string>

#include "model/host/types.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// Which machine frame stands at which place of the pool, for a successor of a server that was
/// killed: Xen has no call that tells. A file in memory (/run) that is mapped here, or no file, for
/// a pool that ends with its maker. Each change is one aligned word, so that it is whole at any
/// instant; between two changes at worst some frames are known to nobody until the pool's end.
class PoolRecord {
  public:
    enum : std::uint64_t { handed_out = 1, shared = 2 };  ///< flags beside a machine frame
    struct Domain {
        std::uint64_t id = 0, grant_frames = 0;
        std::uint8_t handle[16] = {};  ///< Xen's name for it, which no other domain ever has
    };

    /// Opens or makes FILE and locks it; empty: without a file. XenError, also where another
    /// process has it.
    explicit PoolRecord(const std::string& file);
    ~PoolRecord();
    PoolRecord(const PoolRecord&) = delete;
    PoolRecord& operator=(const PoolRecord&) = delete;

    /// The predecessor's, or id 0.
    const Domain& domain() const { return header_->domain; }
    /// Forgets all frames and names a new domain.
    void begin(const Domain& domain);
    /// The pool is no more.
    void end();

    std::uint32_t frames() const;  ///< places that were ever used: the highest + 1
    void set(Frame frame, xen_pfn_t machine_frame, std::uint64_t flags);
    void clear(Frame frame) { words_[frame] = 0; }
    bool has(Frame frame) const { return words_[frame] != 0; }
    xen_pfn_t machine_frame(Frame frame) const { return words_[frame] >> 8; }
    std::uint64_t flags(Frame frame) const { return words_[frame] & 3; }

  private:
    static constexpr std::uint64_t magic = 0x31306c6f6f706678;        ///< "xfpool01"
    static constexpr std::size_t most_frames = std::size_t{1} << 26;  ///< 256 GiB; a sparse file
    struct Header {
        std::uint64_t magic;
        Domain domain;
        std::uint64_t frames;
    };
    std::string file_;
    int descriptor_ = -1;
    void* mapped_ = nullptr;
    Header* header_ = nullptr;
    volatile std::uint64_t* words_ = nullptr;
};

}  // namespace xenfs::real::xen
