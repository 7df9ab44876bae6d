#include "real/xen/grant_copy.h"

#include <cstring>
#include <vector>

extern "C" {
#include <xen/grant_table.h>
}

namespace xenfs::real::xen {
namespace {

using Segment = xengnttab_grant_copy_segment_t;

bool fits(const host::CopySide& side, std::uint16_t length) {
    return std::size_t{side.offset} + length <= page_size;
}

/// Fills one side of a segment. Returns false where a local frame is not this domain's.
template <class Pointer>
bool fill(Pointer& pointer, const host::CopySide& side, std::uint16_t flag, std::uint16_t& flags,
          const std::function<std::byte*(Frame)>& local) {
    if (side.reference == no_grant) {
        std::byte* const at = local(side.frame);
        pointer.virt = at + (at != nullptr ? side.offset : 0);
        return at != nullptr;
    }
    pointer.foreign.ref = side.reference;
    pointer.foreign.offset = side.offset;
    pointer.foreign.domid = side.domain;
    flags = static_cast<std::uint16_t>(flags | flag);
    return true;
}

}  // namespace

void grant_copy(xengnttab_handle* device, std::span<host::CopyOperation> operations,
                const std::function<std::byte*(Frame)>& local) {
    std::vector<Segment> segments;
    std::vector<host::CopyOperation*> owners;
    for (host::CopyOperation& operation : operations) {
        Segment segment{};
        segment.len = operation.length;
        operation.status = GrantStatus::okay;
        if (!fits(operation.source, operation.length) ||
            !fits(operation.destination, operation.length)) {
            operation.status = GrantStatus::bad_copy_arg;
        } else if (!fill(segment.source, operation.source, GNTCOPY_source_gref, segment.flags,
                         local) ||
                   !fill(segment.dest, operation.destination, GNTCOPY_dest_gref, segment.flags,
                         local)) {
            operation.status = GrantStatus::bad_page;
        } else if (segment.flags ==
                   0) {  // the kernel refuses a segment that is local on both sides
            std::memmove(segment.dest.virt, segment.source.virt, operation.length);
        } else {
            segments.push_back(segment);
            owners.push_back(&operation);
        }
    }
    if (segments.empty()) return;
    const int result =
        xengnttab_grant_copy(device, static_cast<std::uint32_t>(segments.size()), segments.data());
    for (std::size_t i = 0; i < segments.size(); ++i) {
        // The codes are Xen's, and the seam's are the same.
        owners[i]->status =
            result == 0 ? static_cast<GrantStatus>(segments[i].status) : GrantStatus::general_error;
    }
}

}  // namespace xenfs::real::xen
