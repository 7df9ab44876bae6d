#pragma once
// The parts of a client have this in common: the guest's host, the settings, the connection, and
// the three tables of what is known and held.

#include "model/client/config.h"
#include "model/client/connection.h"
#include "model/client/handles.h"
#include "model/client/nodes.h"
#include "model/client/page_store.h"
#include "model/client/stats.h"
#include "model/host/host.h"

namespace xenfs::client {

/// It outlives the parts. The tables keep their own invariants; any other state belongs to one
/// part.
struct Shared {
    host::Host& host;
    const ClientConfig& config;
    ClientStats& stats;
    Connection& connection;
    NodeTable& nodes;
    HandleTable& handles;
    PageStore& pages;
};

class Part {
  public:
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

  protected:
    explicit Part(const Shared& shared)
        : shared_(shared),
          host_(shared.host),
          clock_(shared.host.clock()),
          memory_(shared.host.memory()),
          costs_(shared.host.core_costs()),
          config_(shared.config),
          stats_(shared.stats),
          connection_(shared.connection),
          nodes_(shared.nodes),
          handles_(shared.handles),
          pages_(shared.pages) {}
    ~Part() = default;

    const Shared& shared_;
    host::Host& host_;
    host::Clock& clock_;
    host::Memory& memory_;
    const host::CoreCosts& costs_;
    const ClientConfig& config_;
    ClientStats& stats_;
    Connection& connection_;
    NodeTable& nodes_;
    HandleTable& handles_;
    PageStore& pages_;
};

}  // namespace xenfs::client
