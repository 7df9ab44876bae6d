#pragma once
// What a server leaves in the pool for a successor, should it be killed: which frame holds which
// page of which file, sizes that the storage does not know yet, whose entries stand, who was
// connected, and which changes were under way. The pool domain outlives the server, and so do these
// frames.
//
// Kept by plain stores in an order that makes sense at any instant of a kill: fields first, then
// the word that says that they mean something (release); taken back before what it names is used
// for anything else. Nothing here is read again by the server that wrote it.

#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "model/host/memory.h"
#include "model/host/world_time.h"
#include "model/server/client_set.h"

namespace xenfs::server {

/// Stores a word that another process may read when this one is gone.
template <class Word>
void publish(Word& word, Word value) {
    std::atomic_ref<Word>(word).store(value, std::memory_order_release);
}

/// Records of one size in frames of the pool, by number. Grows a frame at a time, never shrinks.
class PoolTable {
  public:
    static constexpr std::size_t index_pages = 64, leaves_per_index = page_size / 4;

    PoolTable(host::Memory& memory, std::size_t record_bytes)
        : memory_(memory), record_bytes_(record_bytes), per_leaf_(page_size / record_bytes) {}
    /// `index`: of the root page, zero where nothing is. False: it names a frame not in `shared`
    /// (sorted), so this is no directory.
    bool attach(std::uint32_t* index, std::span<const Frame> shared);

    /// Null: the table is not so long.
    std::byte* find(std::uint32_t record) const {
        const std::size_t leaf = record / per_leaf_;
        return leaf < leaves_.size() ? leaves_[leaf] + record % per_leaf_ * record_bytes_ : nullptr;
    }
    /// Makes it so long. Null: the pool has no frame to spare.
    std::byte* reach(std::uint32_t record);
    std::uint32_t records() const { return static_cast<std::uint32_t>(leaves_.size() * per_leaf_); }
    void list_frames(std::vector<Frame>& out) const;

  private:
    bool grow();
    host::Memory& memory_;
    std::size_t record_bytes_, per_leaf_;
    std::uint32_t* index_ = nullptr;  ///< of the root: frame + 1 of index pages
    std::vector<std::uint32_t*> indices_;
    std::vector<std::byte*> leaves_;
};

enum class PageKept : std::uint32_t {
    no = 0,
    clean = 1,
    dirty = 2,
    flux = 3  ///< zeros that a client is about to overwrite: not the file's content yet
};

/// By the number of the frame (pages::FrameIndex).
struct PageRecord {
    NodeId node;
    std::uint32_t page;
    Frame frame;
    std::uint32_t sequence;  ///< of two records for one page the later one counts
    std::uint32_t state;     ///< PageKept; stored last, and zero first
};
static_assert(sizeof(PageRecord) == 24);

/// Record of a file that has cached pages, or whose size here is newer than the storage's.
struct NodeRecord {
    enum State : std::uint32_t {
        vacant = 0,
        used = 1,
        ahead = 2,    ///< size and mtime are newer than the storage's
        cutting = 3,  ///< so, and what lies behind the size may not be gone yet, there or here
        nameless = 4  ///< as `ahead`; without its last name it may be gone, and nothing is lost
    };
    NodeId node;
    std::uint64_t size;  ///< bytes
    std::int64_t mtime_seconds;
    std::uint32_t state;  ///< stored last
    std::uint32_t handle_bytes;
    char handle[96];  ///< host::Storage::handle
    // The storage's file when its clean pages were last known to agree with it. Whoever changes it
    // while there is no server leaves another size or time.
    std::uint64_t stored_size;
    std::int64_t stored_seconds;
    std::uint32_t mtime_nanoseconds, stored_nanoseconds;

    WorldTime mtime() const { return {mtime_seconds, mtime_nanoseconds}; }
    WorldTime stored_mtime() const { return {stored_seconds, stored_nanoseconds}; }
};
static_assert(sizeof(NodeRecord) == 152);

/// Record of a client that was connected; its place is the connection's index.
struct ClientRecord {
    std::uint64_t session;  ///< 0: nobody; stored last
    std::uint32_t number;
    DomainId domain;
    std::uint16_t reserved;
};
static_assert(sizeof(ClientRecord) == 16);

/// A change that a worker is making, by worker. Told from its outcome whether it took effect.
struct IntentRecord {
    enum : std::uint32_t { none = 0, started = 1, done = 2 };
    std::uint64_t unique;  ///< of the request
    NodeId parent, new_parent, node, replaced;
    std::uint64_t size;
    std::uint32_t opcode, flags;
    std::uint32_t client;  ///< connection index
    std::uint32_t state;   ///< stored last
    char name[256], new_name[256];
};
static_assert(sizeof(IntentRecord) == 576);

class Directory {
  public:
    explicit Directory(host::Memory& memory);
    /// Null: the pool has no frame to spare.
    static std::unique_ptr<Directory> make(host::Memory& memory);
    /// Null: what is there is no directory, or of a version that cannot be read. One of the version
    /// before is this version's from then on. `shared`: the pool's shared frames, sorted.
    static std::unique_ptr<Directory> open(host::Memory& memory, Frame root,
                                           std::span<const Frame> shared);
    Frame root() const { return root_frame_; }
    std::vector<Frame> frames() const;  ///< all that it lies in, sorted
    std::uint64_t next_session();

    // Pages
    bool reach_page(std::uint32_t index) { return pages.reach(index) != nullptr; }
    void keep_page(std::uint32_t index, Frame frame, NodeId node, std::uint32_t page,
                   PageKept state);
    void keep_state(std::uint32_t index, PageKept state) {
        publish(page(index).state, static_cast<std::uint32_t>(state));
    }
    bool keeps_page(std::uint32_t index) const {
        return pages.find(index) != nullptr && page(index).state != 0;
    }
    void drop_page(std::uint32_t index) {
        if (pages.find(index) != nullptr) keep_state(index, PageKept::no);
    }
    PageRecord& page(std::uint32_t index) const {
        std::byte* const at = pages.find(index);
        assert(at != nullptr);
        return *reinterpret_cast<PageRecord*>(at);
    }

    // Nodes
    static constexpr std::uint32_t no_node = ~0u;
    std::uint32_t keep_node(NodeId node, std::string_view handle);  ///< no_node: no frame to spare
    std::uint32_t kept_nodes() const {
        return fresh_node_ - static_cast<std::uint32_t>(vacant_nodes_.size());
    }
    void keep_stored(std::uint32_t record, std::uint64_t size, WorldTime mtime);
    void keep_size(std::uint32_t record, std::uint64_t size, WorldTime mtime,
                   NodeRecord::State state);
    void drop_node(std::uint32_t record);
    NodeRecord& node(std::uint32_t record) const {
        std::byte* const at = nodes.find(record);
        assert(at != nullptr);
        return *reinterpret_cast<NodeRecord*>(at);
    }

    // Entries: under which request of which connection each was given
    void keep_entry(GrantRef reference, std::uint32_t client, std::uint64_t unique);
    void drop_entry(GrantRef reference);
    struct Given {
        bool known = false;  ///< false: the client was never told of it
        std::uint32_t client = 0;
        std::uint64_t unique = 0;
    };
    Given entry(GrantRef reference) const;

    void keep_client(std::uint32_t index, DomainId domain, std::uint32_t number,
                     std::uint64_t session);
    void drop_client(std::uint32_t index);
    const ClientRecord* client(std::uint32_t index) const {
        return reinterpret_cast<const ClientRecord*>(clients.find(index));
    }
    /// Null: no frame to spare.
    IntentRecord* intent(std::uint32_t worker) {
        return reinterpret_cast<IntentRecord*>(intents.reach(worker));
    }

    /// For the successor, first of all: sets up what is not in the pool (vacant records, sequence).
    void begin();

    PoolTable pages, nodes, entries, clients, intents;

  private:
    struct Root;
    bool attach(Frame root, std::span<const Frame> shared);
    host::Memory& memory_;
    Frame root_frame_ = no_frame;
    Root* root_ = nullptr;
    std::uint32_t sequence_ = 0;
    std::vector<std::uint32_t> vacant_nodes_;
    std::uint32_t fresh_node_ = 0;
};

}  // namespace xenfs::server
