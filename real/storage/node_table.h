#pragma once
// Which file a node id means, and an open descriptor of it while the budget allows.

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/host/types.h"
#include "real/common/descriptor.h"

namespace xenfs::real::storage {

/// By what means a file whose descriptor was closed is found again; the best that the process and
/// the file system allow, but none better than was asked for.
enum class FindAgain : std::uint8_t {
    by_name,         ///< parent and name; birth times tell files apart
    by_name_handle,  ///< parent and name; file handles tell files apart
    by_handle        ///< by its handle (needs CAP_DAC_READ_SEARCH)
};

/// How much a descriptor may do. A `path` one (O_PATH) names a file without opening it.
enum class OpenMode : std::uint8_t { path, read, write };

/// A file at hand: its descriptor lives as long as anybody holds this.
struct OpenFile {
    std::shared_ptr<const Descriptor> descriptor;
    OpenMode mode = OpenMode::path;
    int get() const { return descriptor->get(); }
};

/// A file that was found: descriptor, what fstat says, and its id.
struct FoundFile {
    NodeId node = 0;
    OpenFile file;
    struct stat status {};
};

/// Node ids of one exported tree. An id is made of the inode number (low 40 bits) and a hash of
/// what tells two lives of one inode number apart (the kernel's file handle, which holds the
/// generation; else the birth time), so that a server that was started again gives the same ids,
/// and a new file in a dead one's inode another. Thread-safe; no lock is held over a system call.
///
/// A file is found again by its handle where the process may (CAP_DAC_READ_SEARCH), else by parent
/// and name with a check that it is the same one. Files whose descriptor cannot be had again (open
/// ones, ones that lost the name that we know) keep it.
class NodeTable {
  public:
    /// `root`: the exported directory, opened for reading. `budget`: descriptors kept; `most_open`:
    /// nodes open at a time.
    NodeTable(Descriptor root, std::size_t budget, std::size_t most_open, FindAgain means);

    /// ESTALE: no such node (any more). ENFILE: too many files are open.
    Result<OpenFile> get(NodeId node);
    /// The same with at least that mode, for regular files and directories (read only).
    Result<OpenFile> get(NodeId node, OpenMode mode);
    /// What stands under a name, without following anything.
    Result<FoundFile> find(NodeId parent, int parent_descriptor, std::string_view name);
    /// Adopts a descriptor of what was just created under that name.
    Result<FoundFile> adopt(NodeId parent, std::string_view name, Descriptor descriptor,
                            OpenMode mode);
    /// The id that a file of that name has or would have, without remembering it; 0 where it went.
    NodeId id_of(int parent_descriptor, const char* name, std::uint64_t inode);

    void moved(NodeId node, NodeId parent, std::string_view name);
    /// It has one name less; `links` are left. `file`: how it was at hand.
    void lost_name(NodeId node, const OpenFile& file, std::uint64_t links);
    /// Counted: an opened node keeps its descriptor.
    int open(NodeId node);
    void close(NodeId node);
    bool opened(NodeId node) const;

    /// What finds the node again in a later life of the server.
    std::string identity(NodeId node) const;
    /// A node that a server before this one knew. Without a handle that can be opened it is looked
    /// for in the whole tree, as is any node that get() does not know. ESTALE: it is gone.
    int restore(NodeId node, std::string_view identity);

    int root() const { return root_.get(); }
    /// This process's descriptors as a directory, to open or change what an O_PATH one names.
    int by_number() const { return by_number_.get(); }
    std::size_t nodes() const;
    std::size_t descriptors() const;

  private:
    struct Record {
        std::string identity;
        OpenFile file;      ///< descriptor null: to be opened again
        NodeId parent = 0;  ///< and name: only where handles cannot be opened
        std::string name;
        std::uint32_t opens = 0;
        bool dead = false, nameless = false;
        bool listed = false;  ///< in recent_: its descriptor may be closed
        std::list<NodeId>::iterator recent;
    };

    Result<std::string> identify(int directory, const char* name, std::uint64_t inode) const;
    Result<OpenFile> open_again(NodeId node);
    Result<Descriptor> open_identity(const std::string& identity, NodeId parent,
                                     const std::string& name);
    Result<OpenFile> kept(NodeId node, OpenFile file);
    template <class Open>
    Descriptor with_room(Open open);
    bool look_for(NodeId node);
    void look_through();

    // Under mutex_
    NodeId id_for(const std::string& identity, std::uint64_t inode) const;
    void place(NodeId node, Record& record);
    void trim(std::size_t most);
    void bury(NodeId node, Record& record);

    Descriptor root_, by_number_;
    dev_t device_ = 0;
    std::size_t budget_;
    const std::size_t most_open_;
    bool by_handle_ = false;  ///< open_by_handle_at works
    bool has_handles_ = false;
    std::mutex look_mutex_;        ///< taken before mutex_
    bool looked_through_ = false;  ///< under look_mutex_
    int looks_ = 0;
    std::atomic<std::uint64_t> moves_{0};

    mutable std::mutex mutex_;
    std::unordered_map<NodeId, Record> records_;
    std::list<NodeId> recent_;  ///< whose descriptor may be closed; most recently used last
    std::size_t descriptors_ = 0;
    std::deque<NodeId> dead_;  ///< remembered, so that their ids are not given again soon
};

/// openat2 for one name below a directory: nothing is followed, no mount point crossed. -1, errno.
int open_below(int directory, const char* name, std::uint64_t flags, std::uint64_t mode = 0);

}  // namespace xenfs::real::storage
