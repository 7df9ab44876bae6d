#pragma once
#include <cstdint>
#include <string>

#include "model/host/types.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// The record of which machine frame stands at which place of the pool. A successor of a server
/// that was killed reads it, since Xen has no call that tells. It is a file in memory (/run) that
/// is mapped here, or no file where the pool ends with its maker. Each change is one aligned word,
/// so that it is whole at any instant; between two changes at worst some frames are known to nobody
/// until the pool's end.
class PoolRecord {
  public:
    enum : std::uint64_t { handed_out = 1, shared = 2 };  ///< flags beside a machine frame
    struct Domain {
        std::uint64_t id = 0, grant_frames = 0;
        std::uint8_t handle[16] =
            {};  ///< the domain's handle on Xen, which no other domain ever has
    };

    /// Opens or makes FILE and locks it; an empty name means no file. Throws XenError, also where
    /// another process has it.
    explicit PoolRecord(const std::string& file);
    ~PoolRecord();
    PoolRecord(const PoolRecord&) = delete;
    PoolRecord& operator=(const PoolRecord&) = delete;

    /// Returns the predecessor's domain, or one of id 0.
    const Domain& domain() const { return header_->domain; }
    /// Forgets all frames and names a new domain.
    void begin(const Domain& domain);
    /// Records that the pool is no more.
    void end();

    std::uint32_t frames() const;  ///< returns one more than the highest place that was ever used
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
