#pragma once
#include "model/host/memory.h"

namespace xenfs::real {

/// Page contents where pages hold bytes. A host says where a page lies; the rest is memcpy.
class ByteMemory : public host::Memory {
  public:
    void load(std::span<const host::Piece> pieces, host::Buffer into) final;
    void store(std::span<const host::Piece> pieces, host::Buffer from) final;
    void zero(host::Page page, std::uint16_t offset, std::uint16_t length) final;
    void copy(host::Page from, host::Page to) final;
    /// XXH3; the page of zeros alone gives zero_fingerprint.
    void hash(std::span<const host::Page> pages, std::span<Fingerprint> out) final;
    bool equal(host::Page a, host::Page b) final;
    /// Of any page that this domain can address, not of rings only. On one that it has not: aborts
    /// with a sentence, since to go on would be to use somebody else's memory.
    std::byte* bytes(host::Page page) final;

  protected:
    /// Null: not a page of this domain.
    virtual std::byte* address(host::Page page) const = 0;
};

}  // namespace xenfs::real
