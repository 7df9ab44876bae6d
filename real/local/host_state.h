#pragma once
// This is the broker's state, the hypervisor's part of the local host. One thread uses it. The
// rules are Xen's, in model/xen/; here are the pages to which they apply.

#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/xen/page_rules.h"
#include "model/xen/store_tree.h"
#include "real/local/segment.h"
#include "real/local/wire.h"

namespace xenfs::real::local {

struct FrameRecord {
    static constexpr std::uint32_t max_entries = std::numeric_limits<std::uint32_t>::max(),
                                   max_mappings = max_entries;
    bool used = false, shared = false;  ///< shared: it came from allocate_shared
    std::uint32_t entries = 0;          ///< how many grant entries name it
    std::uint32_t mappings = 0;         ///< how many mappings by grant it has
};

/// Two eventfds, one for each direction; both ends hold both.
struct Channel {
    Descriptor to_allocator, to_binder;
};

struct PortRecord {
    DomainId peer = 0;
    Port peer_port = 0;
    bool bound = false;
    bool allocator = false;  ///< this end allocated the channel, and did not bind it
    std::shared_ptr<Channel> channel;
};

/// A domain. Whoever has mapped one of its pages keeps the record alive after its death.
struct DomainRecord {
    DomainRecord(DomainId number, std::string called, DomainShape shaped, std::size_t segment_pages,
                 std::size_t& host_free)
        : id(number),
          name(std::move(called)),
          shape(shaped),
          segment("xenfs-local " + name, segment_pages),
          account(shaped.memory_pages, shaped.populated != 0, host_free),
          grants(std::size_t{shaped.grant_frames} * 512),
          maptrack(std::size_t{shaped.maptrack_frames} * 256) {}

    DomainId id;
    std::uint64_t serial = 0;  ///< counts the host's domains, since an id may be used again
    std::string name;
    DomainShape shape;
    Segment segment;
    std::vector<FrameRecord> frames;  ///< all that were ever used
    std::vector<Frame> free;
    xen::FrameAccount account;
    xen::GrantTable grants;
    xen::Maptrack<std::shared_ptr<DomainRecord>> maptrack;
    std::map<Port, PortRecord> ports;
    Port last_port = 0;
    Descriptor store_event;               ///< raised when a watch fires
    std::set<std::uint64_t> store_fired;  ///< tokens of the watches that fired and were not fetched
    bool alive = true;
};
using DomainPointer = std::shared_ptr<DomainRecord>;

struct HostState {
    HostState(std::size_t pages, bool fill_fresh_frames);

    DomainRecord* alive(DomainId id);
    /// Returns null where there is no such domain, or it is dead.
    DomainPointer pointer(DomainId id);

    /// Adds a domain. Returns null where that fails, with an errno: ENOMEM (the host has not that
    /// much memory), EEXIST, ENOSPC (there are no more numbers).
    DomainPointer create(DomainId id, std::string name, const DomainShape& shape, int& error);
    DomainId next_id() const { return next_id_; }
    /// Ends what the domain has elsewhere (mappings, channels, watches), then its grants and
    /// memory.
    void end(DomainRecord& domain, bool store_nodes);

    /// Returns no_frame where the domain's limit, or the host's free memory, is reached.
    Frame take_frame(DomainRecord& domain, bool shared);

    // The members below are what xen::map_page and the other rules ask of a machine
    // (model/xen/page_rules.h).
    bool owns(const DomainRecord& domain, Frame frame) const {
        return frame < domain.frames.size() && domain.frames[frame].used;
    }
    bool transferable(const DomainRecord& domain, Frame frame) const {
        return owns(domain, frame) && !domain.frames[frame].shared;
    }
    FrameRecord& record(DomainRecord& domain, Frame frame) { return domain.frames[frame]; }
    void granting(DomainRecord&, Frame) {}
    void count_mapping(DomainRecord& domain, Frame frame, bool added) {
        domain.frames[frame].mappings += added ? 1u : ~0u;
    }
    void give_frame(DomainRecord& domain, Frame frame);
    Frame move_frame(DomainRecord& from, Frame frame, DomainRecord& to);
    DomainPointer hold(DomainRecord& domain) { return pointer(domain.id); }
    DomainRecord& granter_of(const xen::Mapping<DomainPointer>& mapping) {
        return *mapping.granter;
    }
    template <class Visit>
    void for_each_frame(DomainRecord& domain, Visit visit) {
        for (Frame frame = 0; frame < domain.frames.size(); ++frame) {
            if (domain.frames[frame].used) visit(frame);
        }
    }

    void close_port(DomainRecord& domain, Port port);
    void publish(const DomainRecord& domain);

    std::size_t memory_pages, free_pages;
    bool poison;
    xen::StoreTree store;
    Descriptor accounts, accounts_readable;  ///< a memfd that holds Account[max_published]

  private:
    Frame place_frame(DomainRecord& domain, bool shared);
    void clear_frame(DomainRecord& domain, Frame frame);
    std::map<DomainId, DomainPointer> domains_;
    DomainId next_id_ = 0;
    std::uint64_t last_serial_ = 0;
    Mapped published_;
};

/// The broker's answer to a call. The descriptors stay its own; the kernel copies them.
struct Answer {
    explicit Answer(int error) : packet(error) {}
    Writer packet;
    std::vector<int> descriptors;
};

/// The domain that calls: `self` maps, copies, and has ports and watches; `granter` has frames and
/// grant entries. They differ for the server only, which acts for the pool.
struct Caller {
    DomainPointer self, granter;
    bool may_raise_limit = false;
};

// These are the calls, by family. The reader stands behind the call's number.
Answer frames_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer grants_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer mappings_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer events_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer store_call(HostState& host, Caller& caller, Call call, Reader& reader);

}  // namespace xenfs::real::local
