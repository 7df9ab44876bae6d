#pragma once
// Outside changes: what somebody in the server's domain does to the exported tree past the server.

#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>

#include "model/server/attributes.h"
#include "model/server/open_files.h"

namespace xenfs::server {

/// Whoever changes the tree outside is one more client of the coherence protocol that asks for
/// nothing: its changes have happened when they are heard of, and nobody waits for a reply. Clean
/// pages of the file are dropped and clients told to forget; what clients have written stays, and
/// is written later: the last writer of a page wins.
///
/// Invariant: a change that was heard of is in `nodes_`, `names_` or `pending_` until the clients
/// have carried out its notices, or nobody here knows its node. Inode::telling counts the node's
/// places in `pending_`: no lease begins before its former notices are done.
class OutsideChanges : public Part {
  public:
    /// `recovering`: clients of a predecessor are not all back, and would not hear.
    OutsideChanges(const Shared& shared, FileIo& io, OpenFiles& files, PageFill& fill,
                   Attributes& attributes, std::function<bool()> recovering);
    ~OutsideChanges();

    /// The task.
    void run() MAY_YIELD;
    void wake() { gate_->wake_all(); }
    /// A lease has ended, or clients have carried out notices.
    void others_moved_on() {
        if (!pending_.empty()) gate_->wake_one();
    }
    /// All that was heard of has been told, and carried out by the clients.
    bool settled() const { return nodes_.empty() && names_.empty() && pending_.empty() && !busy_; }

  private:
    struct Pending {
        Pending(Inodes& inodes, Inodes::Index index, bool whole)
            : inode(inodes, index), content(whole) {
            ++inode->telling;
        }
        ~Pending() { --inode->telling; }
        Pending(const Pending&) = delete;
        Pending& operator=(const Pending&) = delete;

        InodeUse inode;
        bool content;
        bool told = false;
        Acks acks;  ///< of those who were told
    };

    void heard(const host::OutsideChange& change);
    void tell_name(NodeId directory, std::string_view name) MAY_YIELD;
    void begin(NodeId node, bool content);
    bool advance(Pending& change) MAY_YIELD;
    void tell(Pending& change) MAY_YIELD;

    FileIo& io_;
    OpenFiles& files_;
    PageFill& fill_;
    Attributes& attributes_;
    std::function<bool()> recovering_;
    std::unique_ptr<host::Gate> gate_;
    std::map<NodeId, bool> nodes_;  ///< heard of: whether the content has changed too
    std::set<std::pair<NodeId, std::string>> names_;  ///< by directory
    std::list<Pending> pending_;
    bool busy_ = false;
};

}  // namespace xenfs::server
