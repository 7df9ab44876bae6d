#pragma once
// One suite runs on every host: simulated, local, real Xen. A case has a body for the server and
// one for each guest. The bodies share no variables, since on other hosts they run in different
// processes or machines: they exchange messages through the store, which every host has.

#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/host.h"

namespace xenfs::conformance {

/// What a body gets: its host, and the domains to which it may send messages. One task uses it.
class Side {
  public:
    struct Others {
        DomainId server = 0;  ///< the server's own domain, for events, store and mappings
        DomainId pool = 0;    ///< the domain whose frames and entries the server grants
        std::vector<DomainId> guests;
    };
    Side(host::Host& on, Others others, std::string case_name);

    host::Host& host;
    const Others others;
    DomainId guest(std::size_t index) const { return others.guests.at(index); }
    /// Destroys a guest, as `xl destroy` does; for the server only. The fixture sets it.
    std::function<void(std::size_t)> destroy_guest;

    /// Leaves a message for one peer. Each key is used once in a case. Whoever has received the
    /// message sees what was written before it.
    void send(DomainId to, std::string_view key, std::string_view text = "done");
    void send(DomainId to, std::string_view key, std::span<const std::uint32_t> numbers);
    /// Waits for a message, and throws where none comes within 2 minutes (an emulated machine on a
    /// busy one is slow).
    std::string receive(DomainId from, std::string_view key);
    std::vector<std::uint32_t> receive_numbers(DomainId from, std::string_view key);

    // Pages: a number names a content, whether the host keeps bytes or fingerprints.
    void fill(host::Page page, std::uint32_t content);
    bool holds(host::Page page, std::uint32_t content);
    std::vector<Frame> frames(std::size_t count);  ///< allocates them, or throws

    // These make batches of one and of many.
    std::vector<GrantRef> grant(DomainId to, std::span<const Frame> frames, Access access);
    GrantRef grant(DomainId to, Frame frame, Access access);
    GrantStatus revoke(GrantRef reference);
    /// Revokes until the peer's mapping has ended, which takes a moment on real hosts.
    GrantStatus revoke_when_idle(GrantRef reference);
    std::vector<MapHandle> map(DomainId granter, std::span<const GrantRef> references,
                               Access access);  ///< throws unless all succeed
    GrantStatus try_map(DomainId granter, GrantRef reference, Access access, MapHandle& handle);
    void unmap(MapHandle handle);

  private:
    std::string path(DomainId from, DomainId to, std::string_view key) const;
    std::string name_;
    std::unique_ptr<host::Gate> gate_;
};

struct Case {
    const char* name;
    std::size_t guests;
    void (*server)(Side&);
    void (*guest)(Side&, std::size_t index);
};

/// Returns all cases. They are found by name, since a guest that is a virtual machine is told which
/// one to run.
std::span<const Case> cases();
const Case* find_case(std::string_view name);

// These are the parts of cases(), each in a file of its own.
std::vector<Case> grant_cases();
std::vector<Case> limit_cases();
std::vector<Case> copy_cases();
std::vector<Case> transfer_cases();
std::vector<Case> death_cases();
std::vector<Case> event_cases();
std::vector<Case> frame_cases();
std::vector<Case> store_cases();
std::vector<Case> time_cases();

}  // namespace xenfs::conformance
