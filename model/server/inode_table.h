#pragma once
// What the server remembers of a file while anybody uses it or any of its pages is cached.

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "model/host/storage.h"
#include "model/server/client_set.h"

namespace xenfs::server {

inline constexpr std::uint32_t no_file = ~0u;

struct FileLocks;  // locks.h

/// What clients believe about a node, and who has its lease.
class Believers {
  public:
    const ClientSet& holders() const { return holders_; }  ///< were told attributes or entries
    const ClientSet& copiers() const { return copiers_; }  ///< took data away by copy or flip
    ConnectionIndex lease() const { return lease_; }
    bool leased_to_other(ConnectionIndex c) const { return lease_ != no_connection && lease_ != c; }
    /// The client that is asked for the lease; no_connection: none.
    ConnectionIndex asked() const { return recall_.holder; }

  private:
    friend class Coherence;
    /// The notice that asked for the lease, until its holder has carried it out. It may have given
    /// the lease back before.
    struct Recall {
        std::uint64_t sequence = 0;  ///< 0: none
        Nanoseconds since = 0;
        std::uint32_t generation = 0;
        ConnectionIndex holder = no_connection;
    };

    ClientSet holders_, copiers_;
    Recall recall_;
    ConnectionIndex lease_ = no_connection;
};

/// How often each client has a file open.
class Openers {
  public:
    bool empty() const { return counts_.empty(); }
    bool contains(ConnectionIndex client) const {
        const auto at = place_of(client);
        return at != counts_.end() && at->client == client;
    }
    /// Whether anybody but this client has it open.
    bool others(ConnectionIndex client) const {
        return counts_.size() > 1 || (counts_.size() == 1 && counts_.front().client != client);
    }
    ClientSet clients() const;
    void add(ConnectionIndex client);
    /// True: it was the client's last.
    bool remove(ConnectionIndex client);

  private:
    struct Opens {
        ConnectionIndex client;
        std::uint32_t count;
    };
    std::vector<Opens>::const_iterator place_of(ConnectionIndex client) const;

    std::vector<Opens> counts_;  ///< none is 0; by ascending client
};

struct Inode {
    Inode();
    ~Inode();
    Inode(Inode&&) noexcept;
    Inode& operator=(Inode&&) noexcept;

    NodeId node = 0;  ///< 0: a vacant record
    host::Attr attr;
    bool attr_valid = false;
    bool size_ahead = false;       ///< size and mtime here are newer than the storage's
    bool storage_open = false;     ///< pinned by Storage::open_node
    bool storage_pinning = false;  ///< a task is about to pin it, or to let it go
    bool dirty_listed = false;     ///< in the write-back queue
    bool writing = false;          ///< a worker is writing back
    bool draining = false;         ///< somebody waits for io to become 0
    bool cutting = false;          ///< a worker is cutting it: see FileIo::begin_cut()
    /// It has lost its last name, and is kept until then for those who may know it by node id; 0:
    /// no such time. See OpenFiles::keep_nameless().
    Nanoseconds nameless_until = 0;
    /// The client that made the file and is the only one that was told of it; no_connection: others
    /// may know it.
    ConnectionIndex sole = no_connection;
    bool untold = false;  ///< changed without a server; clients may have mapped what it was
    Believers believers;
    std::uint32_t telling = 0;     ///< outside changes that not all clients have been told of
    std::uint64_t changed_at = 0;  ///< InodeTable::moment() when its attributes changed last
    std::uint32_t linking = 0;     ///< tasks that give it another name
    std::uint32_t refs = 0;        ///< tasks that use the record across a yield
    std::uint32_t io = 0;          ///< tasks that hold cache slots of this file across a yield
    Openers openers;
    std::uint32_t record = ~0u;        ///< in the directory for a successor; ~0: none
    std::uint32_t file = no_file;      ///< the file's number in the cache
    std::vector<std::uint32_t> files;  ///< dedup "none": by connection instead
    Nanoseconds dirty_since = 0;
    std::uint64_t stored_size = 0;  ///< as the storage said last, while size_ahead too
    WorldTime stored_mtime;
    std::unique_ptr<FileLocks> locks;
};

/// Records by node id, with stable addresses. Numbers for the cache's files are handed out here.
class InodeTable {
  public:
    using Index = std::uint32_t;
    static constexpr Index none = ~Index{0};

    Index find(NodeId node) const {
        const auto found = by_node_.find(node);
        return found == by_node_.end() ? none : found->second;
    }
    Index find_or_make(NodeId node);
    Inode& operator[](Index index) { return records_[index]; }
    const Inode& operator[](Index index) const { return records_[index]; }
    std::size_t size() const { return by_node_.size(); }
    /// What the storage says is true of the moment at which it was asked; the attributes here may
    /// have changed since (Inode::changed_at).
    std::uint64_t moment() const { return moment_; }
    void changed(Inode& inode) { inode.changed_at = ++moment_; }
    std::uint64_t next_moment() { return ++moment_; }
    /// Removes a record that nothing refers to.
    void erase(Index index);

    /// A number for the cache, mapped back to the record.
    std::uint32_t make_file(Index owner);
    void free_file(std::uint32_t file) {
        file_owner_[file] = none;
        free_files_.push_back(file);
    }
    Index owner_of(std::uint32_t file) const { return file_owner_[file]; }

    template <class Each>
    void for_each(Each&& each) {
        for (Index i = 0; i < records_.size(); ++i) {
            if (records_[i].node != 0) each(i, records_[i]);
        }
    }

  private:
    std::deque<Inode> records_;
    std::vector<Index> vacant_;
    std::unordered_map<NodeId, Index> by_node_;
    std::vector<Index> file_owner_;
    std::vector<std::uint32_t> free_files_;
    std::uint64_t moment_ = 0;
};

}  // namespace xenfs::server
