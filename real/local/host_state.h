#pragma once
// What the broker knows: the hypervisor's part of the local host. One thread uses it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "real/local/grant_tables.h"
#include "real/local/segment.h"
#include "real/local/store_tree.h"
#include "real/local/wire.h"

namespace xenfs::real::local {

struct FrameRecord {
    bool used = false, shared = false;  ///< shared: from allocate_shared
    std::uint32_t entries = 0;          ///< grant entries that name it
    std::uint32_t mappings = 0;         ///< by grant
};

/// Two eventfds, one for each direction. Both ends hold both.
struct Channel {
    Descriptor to_allocator, to_binder;
};

struct PortRecord {
    DomainId peer = 0;
    Port peer_port = 0;
    bool bound = false;
    bool allocator = false;  ///< which of the channel's two ends this is
    std::shared_ptr<Channel> channel;
};

/// allocated <= reserved <= limit, for every domain, unless the limit was lowered afterwards.
struct DomainRecord {
    DomainRecord(DomainId number, std::string called, DomainShape shaped, std::size_t segment_pages)
        : id(number),
          name(std::move(called)),
          shape(shaped),
          segment("xenfs-local " + name, segment_pages),
          limit(shaped.memory_pages),
          grants(std::size_t{shaped.grant_frames} * 512),
          maptrack(std::size_t{shaped.maptrack_frames} * 256) {}

    DomainId id;
    std::uint64_t serial = 0;  ///< of all domains of the host; numbers may be used again
    std::string name;
    DomainShape shape;
    Segment segment;
    std::vector<FrameRecord> frames;  ///< that were used at some time
    std::vector<Frame> free;
    std::size_t limit = 0;      ///< maxmem
    std::size_t reserved = 0;   ///< host memory that is the domain's
    std::size_t allocated = 0;  ///< of it, handed out
    std::size_t donated = 0;    ///< ballooned out for the pool
    GrantTable grants;
    Maptrack maptrack;
    std::map<Port, PortRecord> ports;
    Port last_port = 0;
    Descriptor store_event;  ///< raised when a watch fired
    bool alive = true;

    bool owns(Frame frame) const { return frame < frames.size() && frames[frame].used; }
};
using DomainPointer = std::shared_ptr<DomainRecord>;

struct HostState {
    HostState(std::size_t pages, bool fill_fresh_frames);

    DomainRecord* alive(DomainId id);
    DomainPointer pointer(DomainId id);  ///< null: none such, or dead

    /// Null, and an errno: ENOMEM (the host has not so much), EEXIST, ENOSPC (no more numbers).
    DomainPointer create(DomainId id, std::string name, const DomainShape& shape, int& error);
    DomainId next_id() const { return next_id_; }
    /// Everything that the domain has elsewhere goes: mappings, channels, watches; its grants end;
    /// its memory is free, but for pages that peers have mapped, which wait for their unmap.
    void end(DomainRecord& domain, bool store_nodes);

    Frame take_frame(DomainRecord& domain, bool shared);
    void give_frame(DomainRecord& domain, Frame frame);
    void drop_mapping(DomainRecord& mapper, MapHandle handle);
    void close_port(DomainRecord& domain, Port port);
    void publish(const DomainRecord& domain);

    std::size_t memory_pages, free_pages;
    bool poison;
    StoreTree store;
    Descriptor accounts, accounts_readable;  ///< memfd of Account[max_published]

  private:
    void free_memory(DomainRecord& domain, Frame frame);
    std::map<DomainId, DomainPointer> domains_;
    DomainId next_id_ = 0;
    std::uint64_t last_serial_ = 0;
    Mapped published_;
};

/// What a domain asked and what it gets. Descriptors stay the broker's; the kernel copies them.
struct Answer {
    explicit Answer(int error) : packet(error) {}
    Writer packet;
    std::vector<int> descriptors;
};

/// Who asks: `self` maps, copies, has ports and watches; `granter` has frames and entries. They
/// differ for the server, which speaks for the pool.
struct Caller {
    DomainPointer self, granter;
    bool may_raise_limit = false;
};

// The calls, by family; the reader stands after the call's number.
Answer frames_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer grants_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer mappings_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer events_call(HostState& host, Caller& caller, Call call, Reader& reader);
Answer store_call(HostState& host, Caller& caller, Call call, Reader& reader);

}  // namespace xenfs::real::local
