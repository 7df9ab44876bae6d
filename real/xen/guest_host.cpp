#include "real/xen/guest_host.h"

#include <fstream>

#include "real/xen/grant_copy.h"

namespace xenfs::real::xen {

std::size_t GuestGrants::grant(DomainId to, std::span<const Frame> frames, Access access,
                               std::span<GrantRef> out) {
    std::size_t made = 0;
    for (const Frame frame : frames) {
        const GrantRef reference = memory_.reference_of(frame);
        if (reference == no_grant || to != memory_.peer() || access != Access::read_write) break;
        out[made++] = reference;
    }
    granted_ += made;
    return made;
}

void GuestGrants::revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) {
    for (std::size_t i = 0; i < references.size(); ++i) {
        const bool ours = granted_ > 0 && memory_.is_shared(references[i]);
        status[i] = ours ? GrantStatus::okay : GrantStatus::bad_gntref;
        if (ours) --granted_;
    }
}

std::size_t GuestGrants::grant_capacity() const {
    std::size_t limit = 1024;  // gntalloc's default, where the module does not tell
    std::ifstream("/sys/module/xen_gntalloc/parameters/limit") >> limit;
    return limit;
}

void GuestGrants::copy(std::span<host::CopyOperation> operations) {
    grant_copy(maps_.handle(), operations, [this](Frame frame) { return memory_.address(frame); });
}

void GuestGrants::transfer(std::span<host::TransferOperation> operations) {
    for (auto& operation : operations) operation.status = GrantStatus::not_supported;
}

GuestHost::GuestHost(std::size_t pages, DomainId server)
    : XenHost(GuestMemory::has_balloon()),
      memory_(pages, server),
      grants_(memory_, maps_),
      pages_(memory_, maps_) {}

}  // namespace xenfs::real::xen
