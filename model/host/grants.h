#pragma once
#include <span>
#include <vector>

#include "model/host/types.h"

namespace xenfs::host {

/// One side of a grant copy: a local frame, or a reference that a peer has granted to this domain.
struct CopySide {
    DomainId domain = 0;  ///< who granted `reference`; unused for a local frame
    GrantRef reference = no_grant;
    Frame frame = no_frame;    ///< a local frame, where reference == no_grant
    std::uint16_t offset = 0;  ///< bytes into the page
};

struct CopyOperation {
    CopySide source;
    CopySide destination;
    std::uint16_t length = 0;  ///< bytes; offset + length <= page_size on both sides
    GrantStatus status = GrantStatus::okay;
};

/// A page flip (GNTTABOP_transfer): `frame` leaves this domain and becomes the page that `domain`
/// offered under `reference` (an accept-transfer entry). As in Xen, the page is lost even on an
/// error, except for bad_page.
struct TransferOperation {
    Frame frame = no_frame;
    DomainId domain = 0;
    GrantRef reference = no_grant;
    GrantStatus status = GrantStatus::okay;
};

/// An entry of this domain's table as a successor of the server finds it.
struct FoundEntry {
    GrantRef reference = no_grant;
    DomainId domain = 0;     ///< to whom
    Frame frame = no_frame;  ///< no_frame: an accept entry under which none has arrived
    Access access = Access::read;
    bool accepts = false;  ///< from accept_transfer
    bool revoked = false;  ///< softly: it ends with its last mapping
};

/// Grant tables, version 1. All calls take batches: a call is one hypercall (or none, where the
/// entry is only memory), and an implementation charges for it as such. Spans that belong together
/// have the same length.
class Grants {
  public:
    virtual ~Grants() = default;

    // Calls of the domain that grants:
    /// Writes one entry for each frame, for `to`, and returns how many fitted (the table is
    /// finite).
    virtual std::size_t grant(DomainId to, std::span<const Frame> frames, Access access,
                              std::span<GrantRef> out) = 0;
    /// Offers out.size() empty slots to which `from` may transfer a frame, and returns how many
    /// fitted.
    virtual std::size_t accept_transfer(DomainId from, std::span<GrantRef> out) = 0;
    /// Ends entries. `busy` says that an entry is still mapped or being copied: it stays, later
    /// maps are refused (soft revoke), and the caller asks again later. As in Xen, the end is never
    /// forced.
    virtual void revoke(std::span<const GrantRef> references, std::span<GrantStatus> status) = 0;
    /// For an accept entry: returns the frame that arrived and ends the entry, or no_frame while
    /// none has.
    virtual Frame take_transferred(GrantRef reference) = 0;
    /// Return the number of entries in use, and of all entries that the table's frames hold.
    virtual std::size_t granted() const = 0;
    virtual std::size_t grant_capacity() const = 0;
    /// Returns all entries in use, for a server that takes over its predecessor's pool. ENOTSUP as
    /// for Frames::all().
    virtual Result<std::vector<FoundEntry>> all() const { return Errno{ENOTSUP}; }

    // Calls of the domain that is granted to:
    virtual void map(DomainId granter, std::span<const GrantRef> references, Access access,
                     std::span<MapHandle> out, std::span<GrantStatus> status) = 0;
    virtual void unmap(std::span<const MapHandle> handles) = 0;
    virtual void copy(std::span<CopyOperation> operations) = 0;
    virtual void transfer(std::span<TransferOperation> operations) = 0;
};

}  // namespace xenfs::host
