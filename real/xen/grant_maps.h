#pragma once
#include <span>
#include <vector>

#include "model/host/grants.h"
#include "model/host/memory.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// Mappings of peers' granted pages in this process, through /dev/xen/gntdev: one call maps a batch
/// into one region. Pages of a region are given back in runs with munmap(2). In a PV guest that
/// ends a grant at once (gntdev watches the address space); in a PVH guest the grants end with the
/// last page of their region. gntdev's record of the region goes with its last page.
class GrantMaps {
  public:
    GrantMaps();
    ~GrantMaps();
    void map(DomainId granter, std::span<const GrantRef> references, Access access,
             std::span<MapHandle> out, std::span<GrantStatus> status);
    void unmap(std::span<const MapHandle> handles);
    /// Returns null where the handle names no mapping.
    std::byte* address(MapHandle handle) const;
    xengnttab_handle* handle() const { return handle_.get(); }

  private:
    struct Region {
        std::uint64_t device_offset = 0;
        std::uint32_t pages = 0, live = 0;
    };
    struct Mapping {
        std::byte* address = nullptr;
        std::uint32_t region = 0;
    };
    bool map_region(DomainId granter, std::span<const GrantRef> references, Access access,
                    std::span<MapHandle> out);
    void release(const Mapping& first, std::uint32_t count);

    GrantMapper handle_;
    std::vector<Region> regions_;
    std::vector<std::uint32_t> free_regions_;
    std::vector<Mapping> mappings_;
    std::vector<MapHandle> free_handles_;
};

}  // namespace xenfs::real::xen
