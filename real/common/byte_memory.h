#pragma once
#include "model/host/memory.h"

namespace xenfs::real {

/// Page contents on a host whose pages hold bytes. The host says where a page lies; the rest is
/// memcpy.
class ByteMemory : public host::Memory {
  public:
    void load(std::span<const host::Piece> pieces, host::Buffer into) final;
    void store(std::span<const host::Piece> pieces, host::Buffer from) final;
    void zero(host::Page page, std::uint16_t offset, std::uint16_t length) final;
    void copy(host::Page from, host::Page to) final;
    /// The hash is XXH3; only the page of zeros gives zero_fingerprint.
    void hash(std::span<const host::Page> pages, std::span<Fingerprint> out) final;
    bool equal(host::Page a, host::Page b) final;
    /// Returns the bytes of any page that this domain can address, not of rings only. Aborts with a
    /// sentence on a page that it does not have, since any other way would use somebody else's
    /// memory.
    std::byte* bytes(host::Page page) final;

  protected:
    /// Returns null where the page is not this domain's.
    virtual std::byte* address(host::Page page) const = 0;
};

}  // namespace xenfs::real
