#pragma once
// The files that a client knows, by node id.

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "model/client/file_state.h"
#include "model/client/file_use.h"
#include "model/client/hash_index.h"

namespace xenfs::client {

/// One file. Its address is stable while it is in the table.
struct Node {
    NodeId id = 0;
    FileState state;
    ServerOpen open;
    std::uint32_t index = 0;     ///< in the table
    std::uint32_t handles = 0;   ///< how many this client's programs have open
    std::uint32_t openings = 0;  ///< tasks that open it, and have no handle yet
    std::uint32_t users = 0;     ///< operations in progress (NodeUse); the record must stay
    /// since when its longest dirty page is dirty, while there is one
    Nanoseconds dirty_since = 0;
    bool used = false;
    bool flushing = false;      ///< a task has write-backs of its pages in flight
    bool referenced = false;    ///< CLOCK's bit
    bool appending = false;     ///< a task appends; other appenders wait
    bool append_lease = false;  ///< it appends under the lease; a recall waits for it
    bool gone = false;          ///< a directory of which the server said that it is no more
    bool changing = false;      ///< a task has the server change its pages or size: no others write
    bool unlinked = false;      ///< its last name is gone, and it goes with its last handle
    bool forgotten = false;     ///< so, and the kernel above asks for it no more
    bool wanted = false;        ///< so, but other guests may open it yet, and expect its content

    FileUse uses;  ///< the use of its pages

    /// The file is new, or has got a name again.
    void has_name() { unlinked = wanted = forgotten = false; }

    /// The file's number in the page cache, and that of the guest kernel's copies
    /// (MmapMode::private_copy).
    std::uint32_t file() const { return 2 * index; }
    std::uint32_t kernel_file() const { return 2 * index + 1; }
    static std::uint32_t index_of(std::uint32_t file) { return file / 2; }
};

/// Keeps a node in the table, so that a reference to it may be held across a yield.
class YIELD_GUARD NodeUse {
  public:
    explicit NodeUse(Node& node) : node_(&node) { ++node.users; }
    NodeUse(NodeUse&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    NodeUse& operator=(NodeUse&&) = delete;
    ~NodeUse() {
        if (node_ != nullptr) --node_->users;
    }
    Node& operator*() const { return *node_; }
    Node* operator->() const { return node_; }

  private:
    Node* node_;
};

/// Sends a request that carries the file's open, `ask(fh)`, and repeats it where another task has
/// replaced that open at the server meanwhile.
template <class Ask>
int with_open(const Node& node, Ask&& ask) MAY_YIELD {
    for (;;) {
        const std::uint64_t fh = node.open.fh();
        const int error = ask(fh);
        if (error != EBADF || !node.open.valid() || node.open.fh() == fh) return error;
    }
}

/// The nodes by id. Indices are dense and reused; the caller of remove() has dropped the node's
/// pages.
class NodeTable {
  public:
    Node* find(NodeId id) {
        const std::uint32_t i =
            index_.find(mix_hash(id, 1), [&](std::uint32_t r) { return at(r).id == id; });
        if (i == no_record) return nullptr;
        at(i).referenced = true;
        return &at(i);
    }
    Node& find_or_add(NodeId id) {
        Node* known = find(id);
        return known != nullptr ? *known : add(id);
    }
    Node& at(std::uint32_t index) { return chunks_[index / chunk][index % chunk]; }
    void remove(Node& node);
    /// Calls `each` for each node; it must not yield.
    template <class Each>
    void for_each(Each&& each) {
        for (std::uint32_t i = 0; i < records_; ++i) {
            if (at(i).used) each(at(i));
        }
    }
    std::uint32_t size() const { return index_.size(); }
    /// nodes are at(0 … records() - 1) where Node::used
    std::uint32_t records() const { return records_; }

    /// Advances the CLOCK hand. Returns the next node that was not asked for since the hand last
    /// passed it, or null after a bounded walk. The caller removes it if nothing holds it.
    Node* next_idle();

  private:
    static constexpr std::uint32_t chunk = 256;
    Node& add(NodeId id);

    std::vector<std::unique_ptr<Node[]>> chunks_;
    std::vector<std::uint32_t> free_;
    HashIndex index_;
    std::uint32_t records_ = 0;
    std::uint32_t hand_ = 0;
};

}  // namespace xenfs::client
