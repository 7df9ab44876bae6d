#include "real/xen/grant_maps.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xen/gntdev.h>

namespace xenfs::real::xen {
namespace {

GrantStatus status_of(int error) {
    switch (error) {
        case EPERM:
        case EACCES:
            return GrantStatus::permission_denied;
        case ENOMEM:
        case ENOSPC:
            return GrantStatus::no_device_space;
        case ESRCH:
            return GrantStatus::bad_domain;
        case EAGAIN:
            return GrantStatus::eagain;
        default:
            return GrantStatus::bad_gntref;  // gntdev answers EINVAL for any entry it cannot map
    }
}

}  // namespace

GrantMaps::GrantMaps()
    : handle_(opened<GrantMapper>(xengnttab_open(quiet_logger(), 0), "/dev/xen/gntdev",
                                  "is this a Xen domain, and the module xen-gntdev loaded?")) {}

GrantMaps::~GrantMaps() {
    for (Mapping& mapping : mappings_) {
        if (mapping.address != nullptr) release(mapping);
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
    // The kernel's name for the region is needed once its pages are gone; ask while they are there.
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
    // gntdev maps all or none and does not say which entry was wrong: one by one, then.
    for (std::size_t i = 0; i < references.size(); ++i) {
        errno = 0;
        const bool mapped =
            map_region(granter, references.subspan(i, 1), access, out.subspan(i, 1));
        status[i] = mapped ? GrantStatus::okay : status_of(errno);
        if (!mapped) out[i] = no_handle;
    }
}

void GrantMaps::release(Mapping& mapping) {
    ::munmap(mapping.address, page_size);
    Region& region = regions_[mapping.region];
    if (--region.live == 0) {
        ioctl_gntdev_unmap_grant_ref gone{};
        gone.index = region.device_offset;
        gone.count = region.pages;
        ioctl(xengnttab_fd(handle_.get()), IOCTL_GNTDEV_UNMAP_GRANT_REF, &gone);
        free_regions_.push_back(mapping.region);
    }
    mapping.address = nullptr;
}

void GrantMaps::unmap(std::span<const MapHandle> handles) {
    for (MapHandle handle : handles) {
        if (address(handle) == nullptr) continue;
        release(mappings_[handle]);
        free_handles_.push_back(handle);
    }
}

std::byte* GrantMaps::address(MapHandle handle) const {
    return handle < mappings_.size() ? mappings_[handle].address : nullptr;
}

}  // namespace xenfs::real::xen
