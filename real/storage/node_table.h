#pragma once
// NodeTable knows which file a node id means, and keeps an open descriptor of it while the budget
// allows.

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/host/types.h"
#include "real/common/descriptor.h"

namespace xenfs::real::storage {

/// The means by which a file is found again after its descriptor was closed. The table uses the
/// best one that the process and the file system allow, and none better than it was asked for.
enum class FindAgain : std::uint8_t {
    by_name,         ///< by parent and name; birth times tell files apart
    by_name_handle,  ///< by parent and name; file handles tell files apart
    by_handle        ///< by its handle, which needs CAP_DAC_READ_SEARCH
};

/// What a descriptor can be used for. A `path` one (O_PATH) names a file without opening it.
enum class OpenMode : std::uint8_t { path, read, write };

/// An open file; its descriptor lives as long as anybody holds this.
struct OpenFile {
    std::shared_ptr<const Descriptor> descriptor;
    OpenMode mode = OpenMode::path;
    int get() const { return descriptor->get(); }
};

/// A file that was found: its descriptor, the result of fstat, and its id.
struct FoundFile {
    NodeId node = 0;
    OpenFile file;
    struct stat status {};
};

/// NodeTable assigns the node ids of one exported tree. An id consists of the inode number (low 40
/// bits) and a hash of what distinguishes two lives of one inode number: the kernel's file handle,
/// which holds the generation, else the birth time. A restarted server thus gives the same ids, and
/// a new file in a dead one's inode gets another id. Thread-safe; no lock is held over a system
/// call.
///
/// A file is found again by its handle where the process may (CAP_DAC_READ_SEARCH), else by parent
/// and name with a check that it is the same file. A file that could not be found again (an open
/// one, or one that has lost the name that the table knows) keeps its descriptor.
class NodeTable {
  public:
    /// `root` is the exported directory, opened for reading. `budget` is the number of descriptors
    /// that are kept, `most_open` the number of nodes that may be open at a time.
    NodeTable(Descriptor root, std::size_t budget, std::size_t most_open, FindAgain means);

    /// Returns the node's file. ESTALE says that there is no such node any more, ENFILE that too
    /// many files are open.
    Result<OpenFile> get(NodeId node);
    /// Returns the file with at least that mode, for regular files and directories (which are read
    /// only).
    Result<OpenFile> get(NodeId node, OpenMode mode);
    /// Returns what a name stands for, without following anything.
    Result<FoundFile> find(NodeId parent, int parent_descriptor, std::string_view name);
    /// Adopts the descriptor of a file that was just created under that name.
    Result<FoundFile> adopt(NodeId parent, std::string_view name, Descriptor descriptor,
                            OpenMode mode);
    /// Returns the id that the file of that name has or would have, without remembering it; 0 where
    /// the file is gone.
    NodeId id_of(int parent_descriptor, const char* name, std::uint64_t inode);

    void moved(NodeId node, NodeId parent, std::string_view name);
    /// Notes that the node has lost a name; `links` names are left, and `file` is how it was open.
    /// Without a name the node counts as opened once more.
    void lost_name(NodeId node, const OpenFile& file, std::uint64_t links);
    /// Counts an open; an opened node keeps its descriptor.
    int open(NodeId node);
    void close(NodeId node);
    bool opened(NodeId node) const;
    /// Returns whether no node more may be open.
    bool full() const;

    // Whoever watches the tree asks these.
    /// From now on node_of() finds nodes; called before any but the root is known.
    void index_identities();
    /// Returns the node of that identity(), or 0 where the table does not know it.
    NodeId node_of(std::string_view identity) const;
    /// Somebody else may have removed the node's last name: then its descriptor, which keeps the
    /// file's blocks from being freed, is closed as soon as no client has it open.
    void look_for_end(NodeId node);
    bool knows(NodeId node) const;
    /// `look` is called before a name of a directory is looked at, with the directory's descriptor.
    void before_names(std::function<void(NodeId, int)> look) { before_names_ = std::move(look); }
    /// To be called by whoever looks at names without find().
    void look_at_names(NodeId directory, int descriptor) const {
        if (before_names_) before_names_(directory, descriptor);
    }
    bool keeps_handles() const { return has_handles_; }

    /// Returns the handle by which a later server finds the node again.
    std::string identity(NodeId node) const;
    /// Makes a node known that an earlier server knew. Where its handle cannot be opened, the node
    /// is searched for in the whole tree, like any node that get() does not know. ESTALE says that
    /// the node is gone.
    int restore(NodeId node, std::string_view identity);

    int root() const { return root_.get(); }
    /// Returns a directory that names this process's descriptors, so that what an O_PATH one names
    /// can be opened or changed.
    int by_number() const { return by_number_.get(); }
    std::size_t nodes() const;
    std::size_t descriptors() const;

  private:
    struct Record {
        std::string identity;
        OpenFile file;      ///< its descriptor is null where it must be opened again
        NodeId parent = 0;  ///< parent and name are kept only where handles cannot be opened
        std::string name;
        std::uint32_t opens = 0;
        bool dead = false, nameless = false;
        bool buried = false;  ///< it is in dead_
        bool listed = false;  ///< in recent_, so its descriptor may be closed
        std::list<NodeId>::iterator recent;
    };

    Result<std::string> identify(int directory, const char* name, std::uint64_t inode) const;
    Result<OpenFile> open_again(NodeId node);
    Result<Descriptor> open_identity(const std::string& identity, NodeId parent,
                                     const std::string& name);
    Result<OpenFile> kept(NodeId node, OpenFile file);
    template <class Open>
    Descriptor with_room(Open open);
    bool search(NodeId node);
    void index_tree();

    // The members below are used with mutex_ held.
    void give_identity(NodeId node, Record& record, std::string_view identity);
    NodeId id_for(const std::string& identity, std::uint64_t inode) const;
    void place(NodeId node, Record& record);
    void trim(std::size_t most);
    void mark_dead(NodeId node, Record& record);

    Descriptor root_, by_number_;
    dev_t device_ = 0;
    std::size_t budget_;
    const std::size_t most_open_;
    bool by_handle_ = false;  ///< open_by_handle_at works
    bool has_handles_ = false;
    std::mutex search_mutex_;  ///< taken before mutex_
    bool indexed_ = false;     ///< used with search_mutex_ held
    int looks_ = 0;
    std::atomic<std::uint64_t> moves_{0};
    std::function<void(NodeId, int)> before_names_;  ///< set before the table is used

    mutable std::mutex mutex_;
    std::unordered_map<NodeId, Record> records_;
    bool index_ = false;
    /// By identity, which lies in the record; only with index_.
    std::unordered_map<std::string_view, NodeId> by_identity_;
    /// nodes whose descriptor may be closed; the most recently used one is last
    std::list<NodeId> recent_;
    std::size_t descriptors_ = 0;
    std::deque<NodeId> dead_;  ///< remembered so that their ids are not given again soon
};

/// Calls openat2 for one name below a directory: it follows nothing and crosses no mount point.
/// Returns -1 and errno on failure.
int open_below(int directory, const char* name, std::uint64_t flags, std::uint64_t mode = 0);

}  // namespace xenfs::real::storage
