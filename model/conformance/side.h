#pragma once
// One suite over every host: simulated, local, real Xen. A case has a body for the server and one
// for each guest. The bodies share no variables, since elsewhere they run in different processes or
// machines: they speak through the store, which every host has.

#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/host.h"

namespace xenfs::conformance {

/// What a body has: its host, and whom it may speak to. Used by one task.
class Side {
  public:
    struct Others {
        DomainId server = 0;  ///< the server's own domain (events, store, mappings)
        DomainId pool = 0;    ///< whose frames and entries it grants
        std::vector<DomainId> guests;
    };
    Side(host::Host& on, Others others, std::string case_name);

    host::Host& host;
    const Others others;
    DomainId guest(std::size_t index) const { return others.guests.at(index); }
    /// The server only; on real hosts, `xl destroy`. Set by the fixture.
    std::function<void(std::size_t)> destroy_guest;

    /// Leaves a message for one peer; each key is used once in a case. What was written before is
    /// visible to whoever has heard it.
    void tell(DomainId to, std::string_view key, std::string_view text = "done");
    void tell(DomainId to, std::string_view key, std::span<const std::uint32_t> numbers);
    /// Waits for it; throws where it does not come within 2 minutes (an emulated machine on a busy
    /// one is slow).
    std::string hear(DomainId from, std::string_view key);
    std::vector<std::uint32_t> hear_numbers(DomainId from, std::string_view key);

    // Pages: a content is named by a number, whether the host keeps bytes or fingerprints.
    void fill(host::Page page, std::uint32_t content);
    bool holds(host::Page page, std::uint32_t content);
    std::vector<Frame> frames(std::size_t count);  ///< allocated, or throws

    // Batches of one and of many
    std::vector<GrantRef> grant(DomainId to, std::span<const Frame> frames, Access access);
    GrantRef grant(DomainId to, Frame frame, Access access);
    GrantStatus revoke(GrantRef reference);
    /// Waits until the peer's mapping is gone: on real hosts that takes a moment.
    GrantStatus revoke_when_idle(GrantRef reference);
    std::vector<MapHandle> map(DomainId granter, std::span<const GrantRef> references,
                               Access access);  ///< all must succeed, or it throws
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

/// All cases. By name, since a guest that is a virtual machine is told which one to run.
std::span<const Case> cases();
const Case* find_case(std::string_view name);

// The parts of cases(), each in a file of its own.
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
