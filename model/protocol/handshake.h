#pragma once
// The two ends find each other through xenstore, in the manner of XenBus. Each side writes only
// below its own directory, which the other may read. SPECIFICATION.md has the states and their
// order.

#include <array>
#include <optional>
#include <string>

#include "model/host/store.h"
#include "model/protocol/control_page.h"

namespace xenfs::protocol {

/// xen/include/public/io/xenbus.h
enum class XenbusState : int {
    unknown = 0,
    initialising = 1,
    init_wait = 2,
    initialised = 3,
    connected = 4,
    closing = 5,
    closed = 6
};

inline constexpr std::uint32_t protocol_version = 1;  ///< the versions node lists them: "1"

/// Names one device: the `n`th of `guest`, served by `server`.
struct Device {
    DomainId guest = 0;
    DomainId server = 0;
    std::uint32_t number = 0;
};

/// /local/domain/<guest>/device/xenfs/<n>
std::string frontend_path(const Device& device);
/// /local/domain/<server>/backend/xenfs/<guest>/<n>
std::string backend_path(const Device& device);

/// Returns /local/domain/<id>/xenfs-pool. A domain that only owns a server's frames has this node
/// before it has a name, so that no other server offers it an export.
std::string pool_mark_path(DomainId domain);

/// What the server offers before the client comes.
struct BackendOffer {
    std::uint32_t version = protocol_version;  ///< after agreement: the one to be used
    std::uint32_t max_slots = protocol::max_slots;
    DomainId pool_domain = 0;  ///< whose grant references PAGES_GET gives
    std::string export_name;   ///< which tree
    std::uint64_t quota_pages = 0;
    bool read_only = false;  ///< whatever changes something will be refused with EROFS
    /// Names this connection to a successor of the server; 0: the server will have none.
    std::uint64_t session = 0;
};

/// What the client answers.
struct FrontendOffer {
    std::uint32_t version = protocol_version;
    std::uint32_t slots = 0;                          ///< a power of two, ≤ max_slots
    std::array<GrantRef, 1 + max_slots> ring_refs{};  ///< of the client: control page, then slots
    Port event_channel = 0;  ///< unbound, allocated by the client for the server
    /// The session that shall continue; 0: a new one begins. Empty: the server has no sessions.
    std::optional<std::uint64_t> resume = {};
};

/// Writes the offer, lets the peer read it, then changes the state initialising → init_wait.
/// Returns 0 or an errno.
int write_backend_offer(host::Store& store, const Device& device, const BackendOffer& offer);
/// Tells the guest that the server has nothing for this device, since it serves as many as it may:
/// the state is `closed`, and there is a node that says why. An offer takes it back.
int write_backend_refusal(host::Store& store, const Device& device);
/// Whether that is what the server has told last.
bool read_backend_refusal(host::Store& store, const Device& device);
/// EPROTO: a value is missing or no number in range. EPROTONOSUPPORT: there is no common version.
Result<BackendOffer> read_backend_offer(host::Store& store, const Device& device);

/// Writes the answer and lets the peer read it; the state is `initialised` afterwards.
int write_frontend_offer(host::Store& store, const Device& device, const FrontendOffer& offer);
/// `limit` is the max_slots that was offered. No value is believed beyond its range.
Result<FrontendOffer> read_frontend_offer(host::Store& store, const Device& device,
                                          std::uint32_t limit);

/// Returns the client's `resume`; 0 where there is none.
std::uint64_t read_resume(host::Store& store, const Device& device);

/// Returns `unknown` where the node is missing or holds no state.
XenbusState read_frontend_state(host::Store& store, const Device& device);
XenbusState read_backend_state(host::Store& store, const Device& device);
int write_frontend_state(host::Store& store, const Device& device, XenbusState state);
int write_backend_state(host::Store& store, const Device& device, XenbusState state);

}  // namespace xenfs::protocol
