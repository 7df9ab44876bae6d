#pragma once
// What the parts of a server have in common: the host and the storage, the settings, and the tables
// and parts on which all others build.

#include "model/host/host.h"
#include "model/server/clients.h"
#include "model/server/coherence.h"
#include "model/server/inode_use.h"
#include "model/server/notices.h"
#include "model/server/parking.h"
#include "model/server/residency.h"

namespace xenfs::server {

/// Outlives the parts. The tables keep their own invariants; each other state has one part that
/// owns it.
struct Shared {
    host::Host& host;
    host::Storage& storage;
    const Config& config;
    Stats& stats;
    const std::unique_ptr<Journal>& journal;
    Residency& residency;
    Inodes& inodes;
    Clients& clients;
    Notices& notices;
    Coherence& coherence;
    Parking& parking;
    bool by_name, by_content;  ///< what the dedup policy shares
    const bool& stopping;      ///< the server's tasks end
};

class Part {
  public:
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

  protected:
    explicit Part(const Shared& shared)
        : host_(shared.host),
          storage_(shared.storage),
          config_(shared.config),
          stats_(shared.stats),
          journal_(shared.journal),
          residency_(shared.residency),
          cache_(residency_.pages()),
          pool_(residency_.pool()),
          book_(residency_.book()),
          inodes_(shared.inodes),
          clients_(shared.clients),
          notices_(shared.notices),
          coherence_(shared.coherence),
          parking_(shared.parking),
          by_name_(shared.by_name),
          by_content_(shared.by_content),
          stopping_(shared.stopping) {}
    ~Part() = default;

    host::Host& host_;
    host::Storage& storage_;
    const Config& config_;
    Stats& stats_;
    const std::unique_ptr<Journal>& journal_;
    Residency& residency_;
    // Views of it, for what only reads.
    const cache::PageCache& cache_;
    const pages::FramePool& pool_;
    const pages::GrantBook& book_;
    Inodes& inodes_;
    Clients& clients_;
    Notices& notices_;
    Coherence& coherence_;
    Parking& parking_;
    const bool by_name_, by_content_;
    const bool& stopping_;
};

}  // namespace xenfs::server
