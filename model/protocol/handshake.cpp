#include "model/protocol/handshake.h"

#include <bit>
#include <charconv>
#include <limits>

namespace xenfs::protocol {
namespace {

constexpr const char* refused = "refused";

std::string under(const std::string& directory, const char* name) {
    return directory + "/" + name;
}

int write_number(host::Store& store, const std::string& path, std::uint64_t value) {
    return store.write(path, std::to_string(value));
}

/// Reads a decimal number in [0, limit] with nothing before or after it; EPROTO otherwise.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t limit) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > limit) {
        return Errno{EPROTO};
    }
    return value;
}

Result<std::uint64_t> read_number(host::Store& store, const std::string& path,
                                  std::uint64_t limit) {
    const auto text = store.read(path);
    if (!text) return Errno{text.error() == ENOENT ? EPROTO : text.error()};
    return parse_number(*text, limit);
}

/// Returns 0 where the value is missing or no number.
std::uint64_t read_optional(host::Store& store, const std::string& path) {
    const auto value = read_number(store, path, std::numeric_limits<std::uint64_t>::max());
    return value ? *value : 0;
}

/// Returns whether the comma-separated list contains our version.
bool lists_our_version(std::string_view versions) {
    while (!versions.empty()) {
        const auto comma = versions.find(',');
        const auto word = versions.substr(0, comma);
        const auto number = parse_number(word, std::numeric_limits<std::uint32_t>::max());
        if (number && *number == protocol_version) return true;
        if (comma == std::string_view::npos) break;
        versions.remove_prefix(comma + 1);
    }
    return false;
}

int check_version(host::Store& store, const std::string& directory) {
    const auto versions = store.read(under(directory, "versions"));
    if (!versions) return versions.error() == ENOENT ? EPROTO : versions.error();
    return lists_our_version(*versions) ? 0 : EPROTONOSUPPORT;
}

XenbusState read_state(host::Store& store, const std::string& directory) {
    const auto state = read_number(store, under(directory, "state"), 6);
    return state ? static_cast<XenbusState>(*state) : XenbusState::unknown;
}

}  // namespace

std::string frontend_path(const Device& device) {
    return "/local/domain/" + std::to_string(device.guest) + "/device/xenfs/" +
           std::to_string(device.number);
}

std::string backend_path(const Device& device) {
    return "/local/domain/" + std::to_string(device.server) + "/backend/xenfs/" +
           std::to_string(device.guest) + "/" + std::to_string(device.number);
}

std::string pool_mark_path(DomainId domain) {
    return "/local/domain/" + std::to_string(domain) + "/xenfs-pool";
}

int write_backend_offer(host::Store& store, const Device& device, const BackendOffer& offer) {
    if (int e = store.hand_over(frontend_path(device), device.guest)) return e;
    const std::string at = backend_path(device);
    // The reader may read only what is made below a node after allow().
    if (int e = store.write(at, "")) return e;
    if (int e = store.allow(at, device.guest)) return e;
    if (int e = write_backend_state(store, device, XenbusState::initialising)) return e;
    if (store.read(under(at, refused))) {
        if (int e = store.remove(under(at, refused))) return e;
    }
    if (int e = write_number(store, under(at, "versions"), offer.version)) return e;
    if (int e = write_number(store, under(at, "max-slots"), offer.max_slots)) return e;
    if (int e = write_number(store, under(at, "pool-domid"), offer.pool_domain)) return e;
    if (int e = store.write(under(at, "export"), offer.export_name)) return e;
    if (int e = write_number(store, under(at, "quota"), offer.quota_pages)) return e;
    if (int e = store.write(under(at, "access"), offer.read_only ? "ro" : "rw")) return e;
    if (int e = write_number(store, under(at, "session"), offer.session)) return e;
    return write_backend_state(store, device, XenbusState::init_wait);
}

int write_backend_refusal(host::Store& store, const Device& device) {
    const std::string at = backend_path(device);
    if (int e = store.write(at, "")) return e;
    if (int e = store.allow(at, device.guest)) return e;
    if (int e = store.write(under(at, refused), "guests")) return e;
    return write_backend_state(store, device, XenbusState::closed);
}

bool read_backend_refusal(host::Store& store, const Device& device) {
    return read_backend_state(store, device) == XenbusState::closed &&
           store.read(under(backend_path(device), refused));
}

Result<BackendOffer> read_backend_offer(host::Store& store, const Device& device) {
    const std::string at = backend_path(device);
    BackendOffer offer;
    if (int e = check_version(store, at)) return Errno{e};
    const auto slots = read_number(store, under(at, "max-slots"), max_slots);
    if (!slots) return Errno{slots.error()};
    const auto pool = read_number(store, under(at, "pool-domid"), 0x7fff);
    if (!pool) return Errno{pool.error()};
    const auto export_name = store.read(under(at, "export"));
    if (!export_name) return Errno{EPROTO};
    const auto quota =
        read_number(store, under(at, "quota"), std::numeric_limits<std::uint64_t>::max());
    if (!quota) return Errno{quota.error()};
    if (*slots == 0) return Errno{EPROTO};
    offer.max_slots = std::bit_floor(static_cast<std::uint32_t>(*slots));
    offer.pool_domain = static_cast<DomainId>(*pool);
    offer.export_name = *export_name;
    offer.quota_pages = *quota;
    const auto access = store.read(under(at, "access"));
    offer.read_only = access && *access == "ro";
    offer.session = read_optional(store, under(at, "session"));
    return offer;
}

int write_frontend_offer(host::Store& store, const Device& device, const FrontendOffer& offer) {
    const std::string at = frontend_path(device);
    if (int e = store.write(at, "")) return e;
    if (int e = store.allow(at, device.server)) return e;
    if (int e = write_frontend_state(store, device, XenbusState::initialising)) return e;
    if (int e = write_number(store, under(at, "versions"), offer.version)) return e;
    if (int e = write_number(store, under(at, "slots"), offer.slots)) return e;
    for (std::uint32_t i = 0; i <= offer.slots; ++i) {
        const std::string name = "ring-ref-" + std::to_string(i);
        if (int e = write_number(store, under(at, name.c_str()), offer.ring_refs[i])) return e;
    }
    if (int e = write_number(store, under(at, "event-channel"), offer.event_channel)) return e;
    if (offer.resume) {
        if (int e = write_number(store, under(at, "resume"), *offer.resume)) return e;
    }
    return write_frontend_state(store, device, XenbusState::initialised);
}

Result<FrontendOffer> read_frontend_offer(host::Store& store, const Device& device,
                                          std::uint32_t limit) {
    const std::string at = frontend_path(device);
    FrontendOffer offer;
    if (int e = check_version(store, at)) return Errno{e};
    const auto slots = read_number(store, under(at, "slots"), limit);
    if (!slots) return Errno{slots.error()};
    if (*slots > max_slots || !std::has_single_bit(*slots)) return Errno{EPROTO};
    offer.slots = static_cast<std::uint32_t>(*slots);
    for (std::uint32_t i = 0; i <= offer.slots; ++i) {
        const std::string name = "ring-ref-" + std::to_string(i);
        const auto ref = read_number(store, under(at, name.c_str()), no_grant - 1);
        if (!ref) return Errno{ref.error()};
        offer.ring_refs[i] = static_cast<GrantRef>(*ref);
    }
    const auto port = read_number(store, under(at, "event-channel"), 0xffff'ffffu);
    if (!port) return Errno{port.error()};
    offer.event_channel = static_cast<Port>(*port);
    return offer;
}

std::uint64_t read_resume(host::Store& store, const Device& device) {
    return read_optional(store, under(frontend_path(device), "resume"));
}

XenbusState read_frontend_state(host::Store& store, const Device& device) {
    return read_state(store, frontend_path(device));
}
XenbusState read_backend_state(host::Store& store, const Device& device) {
    return read_state(store, backend_path(device));
}
int write_frontend_state(host::Store& store, const Device& device, XenbusState state) {
    return write_number(store, under(frontend_path(device), "state"),
                        static_cast<std::uint64_t>(state));
}
int write_backend_state(host::Store& store, const Device& device, XenbusState state) {
    return write_number(store, under(backend_path(device), "state"),
                        static_cast<std::uint64_t>(state));
}

}  // namespace xenfs::protocol
