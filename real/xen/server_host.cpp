#include "real/xen/server_host.h"

#include <vector>

#include "real/xen/grant_copy.h"

namespace xenfs::real::xen {

ServerFrames::ServerFrames(Pool& pool)
    : pool_(pool),
      control_(opened<Control>(xc_interface_open(quiet_logger(), quiet_logger(), 0),
                               "Xen's control interface",
                               "this must run in dom0 as root, with the module xen-privcmd "
                               "loaded")) {}

std::size_t ServerFrames::donated_by(DomainId domain) const {
    const auto now = std::chrono::steady_clock::now();
    auto [found, fresh] = donors_.try_emplace(domain);
    Donor& donor = found->second;
    if (!fresh && now - donor.looked < std::chrono::milliseconds(10)) return donor.donated;
    const auto info = domain_info(control_.get(), domain);
    if (!info) {
        donors_.erase(found);  // it is gone; another domain of its id starts anew
        return 0;
    }
    if (fresh) donor.at_first = info->tot_pages;
    donor.donated = donor.at_first - std::min<std::size_t>(donor.at_first, info->tot_pages);
    donor.looked = now;
    return donor.donated;
}

void ServerFrames::set_limit(std::size_t frames) {
    try {
        pool_.frames().set_limit(frames);
    } catch (const XenError&) {
        // Where Xen refuses, the limit stays as it was, and limit() tells so.
    }
}

void ServerGrants::revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) {
    for (std::size_t i = 0; i < references.size(); ++i) status[i] = pool_.revoke(references[i]);
}

void ServerGrants::copy(std::span<host::CopyOperation> operations) {
    std::vector<host::CopyOperation> lent(operations.begin(), operations.end());
    std::vector<GrantRef> entries;
    const auto lend = [&](host::CopySide& side, Access access) {
        GrantRef reference = no_grant;
        if (side.reference != no_grant || pool_.frames().bytes(side.frame) == nullptr) return;
        if (pool_.grant(0, {&side.frame, 1}, access, {&reference, 1}) != 1) return;
        side.domain = pool_.domain();
        side.reference = reference;
        entries.push_back(reference);
    };
    for (host::CopyOperation& operation : lent) {
        lend(operation.source, Access::read);
        lend(operation.destination, Access::read_write);
    }
    // A frame that could not be lent (it is not ours, or no entry is left) is refused as a bad
    // page.
    grant_copy(maps_.handle(), lent, [](Frame) -> std::byte* { return nullptr; });
    for (const GrantRef entry : entries) (void)pool_.revoke(entry);
    for (std::size_t i = 0; i < lent.size(); ++i) operations[i].status = lent[i].status;
}

void ServerGrants::transfer(std::span<host::TransferOperation> operations) {
    for (auto& operation : operations) operation.status = GrantStatus::not_supported;
}

ServerHost::ServerHost(const std::string& pool_name, const Pool::Limits& limits)
    : XenHost(true),
      pool_(pool_name, limits),
      frames_(pool_),
      grants_(pool_, maps_),
      pages_(pool_, maps_) {}

}  // namespace xenfs::real::xen
