#pragma once
#include <functional>
#include <span>

#include "model/host/grants.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// Makes a batch of grant copies in one ioctl. `local` tells where a local frame lies, or null
/// where it is not this domain's. Memory that dom0 has mapped by xenforeignmemory is no operand,
/// since the kernel cannot pin it.
void grant_copy(xengnttab_handle* device, std::span<host::CopyOperation> operations,
                const std::function<std::byte*(Frame)>& local);

}  // namespace xenfs::real::xen
