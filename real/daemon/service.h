#pragma once
// What the daemon does between start and stop: serves the exports to the domains that are named,
// as these come and go.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/server/server.h"
#include "real/daemon/backing.h"
#include "real/daemon/config.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::daemon {

class Service {
  public:
    /// Nothing is offered yet. Throws DaemonError.
    explicit Service(const DaemonConfig& config);
    ~Service();

    void start();
    /// Writes back what is dirty, takes the offers back. From outside the host's domain.
    void stop();
    /// Readable when the host is gone (its broker ended): nothing can be served any more.
    int gone() const { return gone_.get(); }

  private:
    struct Domain {
        std::string name;
        std::vector<std::uint32_t> devices;  ///< attached
    };
    void watch_domains();
    void look_at_domains();
    void attach(DomainId domain, const std::string& name);

    const DaemonConfig& config_;
    std::unique_ptr<Backing> backing_;
    Descriptor gone_;
    std::unique_ptr<storage::TreeStorage> storage_;
    std::unique_ptr<server::Server> server_;
    std::unique_ptr<host::Gate> domains_gate_;
    std::uint64_t watch_ = 0;
    bool domains_changed_ = true, stopping_ = false;
    std::map<DomainId, Domain> domains_;  ///< those that are served
};

}  // namespace xenfs::real::daemon
