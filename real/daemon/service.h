#pragma once
// A Service is what the daemon does between start and stop: it offers the exports to the named
// domains as these come and go.

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/server/server.h"
#include "real/daemon/backing.h"
#include "real/daemon/config.h"
#include "real/daemon/text_socket.h"
#include "real/storage/tree_storage.h"

namespace xenfs::real::daemon {

class Service {
  public:
    /// Makes the host and the server. Nothing is offered yet. `fanotify` is what open_watch()
    /// returned. Throws DaemonError.
    Service(const DaemonConfig& config, Descriptor fanotify);
    /// Opens the queue of the tree's events while the process has the privilege for it. Nothing
    /// where another means is wanted or must do. Throws DaemonError.
    static Descriptor open_watch(const ExportConfig& exported);
    ~Service();

    void start();
    /// Writes back what is dirty and withdraws the offers. Called from outside the host's domain.
    void stop();
    /// Returns a descriptor that is readable when the host is gone (its broker ended) and nothing
    /// can be served any more.
    int gone() const { return gone_.get(); }
    /// Logs once where the exported directory was removed under the daemon, and once where there
    /// are more directories than can be watched.
    void look_at_export();

  private:
    struct Device {
        std::uint32_t number = 0;
        std::string export_name, access;
    };
    struct Domain {
        std::string name, vm;  ///< `vm` differs when another domain has come under the number
        std::vector<Device> devices;      ///< devices that are attached
        std::set<std::uint32_t> refused;  ///< devices for which there was no place
    };
    std::string answer(const std::string& question);
    void watch_domains();
    void look_at_domains();
    void attach(DomainId domain, const std::string& name, const std::string& vm);
    void attach_refused();
    void refuse(DomainId domain, Domain& known, std::uint32_t device, const std::string& exported);
    std::map<DomainId, Domain>::iterator detach(std::map<DomainId, Domain>::iterator domain);

    const DaemonConfig& config_;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    /// declared first, so that they are destroyed last
    std::unique_ptr<TextSocket> control_, metrics_;
    std::unique_ptr<Backing> backing_;
    Descriptor gone_;
    std::unique_ptr<storage::TreeStorage> storage_;
    std::unique_ptr<server::Server> server_;
    std::unique_ptr<host::Gate> domains_gate_;
    std::uint64_t watch_ = 0;
    void watch_tree(Descriptor fanotify);

    bool domains_changed_ = true, stopping_ = false, vanished_ = false, unseen_ = false;
    std::map<DomainId, Domain> domains_;  ///< the domains that are served
};

}  // namespace xenfs::real::daemon
