#include "real/xen/grant_maps.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xen/gntdev.h>

#include <utility>

#include "real/xen/grant_copy.h"

namespace xenfs::real::xen {
namespace {

/// Finds out why a map was refused. gntdev says EINVAL for everything; a grant copy of one byte
/// tells what Xen thinks of the entry.
GrantStatus why_refused(xengnttab_handle* device, DomainId granter, GrantRef reference,
                        Access access) {
    std::byte taken{};
    host::CopyOperation look;
    look.source.domain = granter;
    look.source.reference = reference;
    look.destination.frame = 0;
    look.length = 1;
    grant_copy(device, {&look, 1}, [&](Frame) { return &taken; });
    if (look.status != GrantStatus::okay) return look.status;
    return access == Access::read ? GrantStatus::no_device_space : GrantStatus::permission_denied;
}

}  // namespace

GrantMaps::GrantMaps()
    : handle_(opened<GrantMapper>(xengnttab_open(quiet_logger(), 0), "/dev/xen/gntdev",
                                  "is this a Xen domain, and the module xen-gntdev loaded?")) {}

GrantMaps::~GrantMaps() {
    for (const Mapping& mapping : mappings_) {
        if (mapping.address != nullptr) release(mapping, 1);
    }
}

bool GrantMaps::map_region(DomainId granter, std::span<const GrantRef> references, Access access,
                           std::span<MapHandle> out) {
    std::vector<std::uint32_t> wanted(references.begin(), references.end());
    const int protection = access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
    void* address =
        xengnttab_map_domain_grant_refs(handle_.get(), static_cast<std::uint32_t>(wanted.size()),
                                        granter, wanted.data(), protection);
    if (address == nullptr) return false;
    // The kernel's name for the region is needed after its pages have gone, so it is asked for now.
    ioctl_gntdev_get_offset_for_vaddr where{};
    where.vaddr = reinterpret_cast<std::uintptr_t>(address);
    if (ioctl(xengnttab_fd(handle_.get()), IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &where) != 0) {
        throw XenError("gntdev does not know a mapping that it has just made");
    }
    std::uint32_t region = 0;
    if (free_regions_.empty()) {
        region = static_cast<std::uint32_t>(regions_.size());
        regions_.emplace_back();
    } else {
        region = free_regions_.back();
        free_regions_.pop_back();
    }
    regions_[region] = {where.offset, where.count, where.count};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (free_handles_.empty()) {
            out[i] = static_cast<MapHandle>(mappings_.size());
            mappings_.emplace_back();
        } else {
            out[i] = free_handles_.back();
            free_handles_.pop_back();
        }
        mappings_[out[i]] = {static_cast<std::byte*>(address) + i * page_size, region};
    }
    return true;
}

void GrantMaps::map(DomainId granter, std::span<const GrantRef> references, Access access,
                    std::span<MapHandle> out, std::span<GrantStatus> status) {
    if (references.empty()) return;
    if (map_region(granter, references, access, out)) {
        for (GrantStatus& each : status) each = GrantStatus::okay;
        return;
    }
    // gntdev maps all or none and does not say which entry was wrong, so they are mapped one by
    // one.
    for (std::size_t i = 0; i < references.size(); ++i) {
        const bool mapped =
            map_region(granter, references.subspan(i, 1), access, out.subspan(i, 1));
        status[i] =
            mapped ? GrantStatus::okay : why_refused(handle_.get(), granter, references[i], access);
        if (!mapped) out[i] = no_handle;
    }
}

/// Ends `count` mappings that lie side by side in one region, in one call: each costs a TLB flush.
void GrantMaps::release(const Mapping& first, std::uint32_t count) {
    ::munmap(first.address, count * page_size);
    Region& region = regions_[first.region];
    region.live -= count;
    if (region.live > 0) return;
    ioctl_gntdev_unmap_grant_ref gone{};
    gone.index = region.device_offset;
    gone.count = region.pages;
    ioctl(xengnttab_fd(handle_.get()), IOCTL_GNTDEV_UNMAP_GRANT_REF, &gone);
    free_regions_.push_back(first.region);
}

void GrantMaps::unmap(std::span<const MapHandle> handles) {
    Mapping first;
    std::uint32_t count = 0;
    for (const MapHandle handle : handles) {
        if (address(handle) == nullptr) continue;
        const Mapping mapping = std::exchange(mappings_[handle], {});
        free_handles_.push_back(handle);
        const bool adjacent = count > 0 && mapping.region == first.region &&
                              mapping.address == first.address + count * page_size;
        if (!adjacent) {
            if (count > 0) release(first, count);
            first = mapping;
            count = 0;
        }
        ++count;
    }
    if (count > 0) release(first, count);
}

std::byte* GrantMaps::address(MapHandle handle) const {
    return handle < mappings_.size() ? mappings_[handle].address : nullptr;
}

}  // namespace xenfs::real::xen
