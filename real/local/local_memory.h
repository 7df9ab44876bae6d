#pragma once
#include "model/host/frames.h"
#include "real/common/byte_memory.h"
#include "real/local/local_grants.h"

namespace xenfs::real::local {

/// The granter's frames, as the broker counts them.
class LocalFrames final : public host::Frames {
  public:
    LocalFrames(Link& link, const Account* accounts, DomainId granter)
        : link_(link), accounts_(accounts), granter_(granter) {}
    std::size_t allocate(std::span<Frame> out) override { return allocate(out, false); }
    void release(std::span<const Frame> frames) override { release(frames, false); }
    std::size_t donate(std::size_t pages) override { return balloon(Call::frames_donate, pages); }
    std::size_t reclaim(std::size_t pages) override { return balloon(Call::frames_reclaim, pages); }
    std::size_t donated_by(DomainId domain) const override;
    std::size_t owned() const override;
    std::size_t limit() const override;
    void set_limit(std::size_t frames) override;
    Result<std::vector<host::OwnedFrame>> all() const override;

    std::size_t allocate(std::span<Frame> out, bool shared);
    /// Aborts with a sentence where a frame is not this domain's or is still granted.
    void release(std::span<const Frame> frames, bool shared);

  private:
    std::size_t balloon(Call call, std::size_t pages);
    Link& link_;
    const Account* accounts_;
    DomainId granter_;
};

/// The bytes of pages: a domain's own frames lie in its segment, peers' in the windows. Neither the
/// broker nor a system call is needed.
class LocalMemory final : public ByteMemory {
  public:
    LocalMemory(LocalFrames& frames, LocalGrants& grants, const Mapped& segment)
        : frames_(frames), grants_(grants), segment_(segment) {}
    Result<Frame> allocate_shared() override;
    void release_shared(Frame frame) override;

  private:
    std::byte* address(host::Page page) const override;
    LocalFrames& frames_;
    LocalGrants& grants_;
    const Mapped& segment_;
};

}  // namespace xenfs::real::local
