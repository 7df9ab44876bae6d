#pragma once
#include <functional>
#include <vector>

#include "model/host/grants.h"
#include "model/xen/maptrack.h"
#include "real/local/link.h"
#include "real/local/windows.h"

namespace xenfs::real::local {

/// Grants through the broker, one round trip for up to max_batch items, and this domain's mappings.
class LocalGrants final : public host::Grants {
  public:
    explicit LocalGrants(Link& link, const Account& account) : link_(link), account_(account) {}

    std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                      std::span<GrantRef> out) override;
    std::size_t accept_transfer(DomainId from, std::span<GrantRef> out) override;
    void revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) override;
    Frame take_transferred(GrantRef reference) override;
    std::size_t granted() const override;
    std::size_t grant_capacity() const override;
    Result<std::vector<host::FoundEntry>> all() const override;
    void map(DomainId granter, std::span<const GrantRef> references, Access access,
             std::span<MapHandle> out, std::span<GrantStatus> status) override;
    void unmap(std::span<const MapHandle> handles) override;
    void copy(std::span<host::CopyOperation> operations) override;
    void transfer(std::span<host::TransferOperation> operations) override;

    /// Returns null where the handle names no mapping, or no longer does.
    std::byte* address(MapHandle handle) const {
        const std::uint32_t index = handle & index_mask;
        return index < mappings_.size() && mappings_[index].handle == handle
                   ? mappings_[index].address
                   : nullptr;
    }

    /// Returns what another process of this domain needs to map the same page itself: the granter's
    /// segment, as open as the mapping is, and where in it the page lies, in bytes. The descriptor
    /// stays this object's; it is -1 where there is no mapping.
    int descriptor_of(MapHandle handle, std::uint64_t& offset) const {
        if (address(handle) == nullptr) return -1;
        const Mapping& mapping = mappings_[handle & index_mask];
        offset = std::uint64_t{mapping.frame} * page_size;
        return mapping.window->descriptor();
    }

  private:
    static constexpr std::uint32_t index_mask = xen::Maptrack<DomainId>::index_mask;
    struct Mapping {
        std::byte* address = nullptr;
        Window* window = nullptr;
        MapHandle handle = no_handle;
        Frame frame = no_frame;
    };
    void map_batch(DomainId granter, std::span<const GrantRef> references, Access access,
                   std::span<MapHandle> out, std::span<GrantStatus> status);
    void unmap_batch(std::span<const MapHandle> handles);
    Window* window(std::uint64_t granter, Access access, MapHandle by);
    template <class Operation>
    void operate(Call call, std::span<Operation> operations);

    Link& link_;
    const Account& account_;
    Windows windows_;
    std::vector<Mapping> mappings_;  ///< by the handle's index
};

}  // namespace xenfs::real::local
