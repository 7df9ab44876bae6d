#include "sim/arms/cluster_fs.h"

namespace xenfs::sim {

ClusterFs::ClusterFs(Domain& guest, VolumeStorage& storage, LockManager& locks,
                     ClusterRangeLocks& range_locks)
    : guest_(guest),
      clock_(guest.host().clock()),
      storage_(storage),
      fs_(guest, storage),
      locks_(locks),
      range_locks_(range_locks),
      self_(locks.join(guest, *this)) {}

ClusterFs::Use::Use(ClusterFs& fs, std::vector<NodeId> nodes, LockMode mode)
    : fs_(fs), nodes_(std::move(nodes)) {
    std::sort(nodes_.begin(), nodes_.end());
    nodes_.erase(std::unique(nodes_.begin(), nodes_.end()), nodes_.end());
    if (!nodes_.empty() && nodes_.front() == 0) nodes_.erase(nodes_.begin());
    for (const NodeId node : nodes_) fs_.locks_.acquire(fs_.self_, node, mode);
}

ClusterFs::Use::~Use() {
    for (const NodeId node : nodes_) fs_.locks_.release(fs_.self_, node);
}

void ClusterFs::demote(NodeId node, LockMode from, LockMode to) {
    if (from == LockMode::exclusive) {
        vfs_->pages().flush(node);
        storage_.sync(node, false);
    }
    if (to != LockMode::none) return;
    vfs_->pages().invalidate(node);
    vfs_->names().forget_directory(node);
    fs_.forgotten(node);
    storage_.invalidate(node);
}

void ClusterFs::forgotten(NodeId node) {
    fs_.forgotten(node);
    vfs_->pages().forget(node);
}

/// What a name stands for now; 0: nothing. For the choice of locks only.
NodeId ClusterFs::named(NodeId parent, const Name& name) const {
    const Result<Attr> found = storage_.volume().lookup(parent, name.text, name.hash);
    return found ? found->node : 0;
}

Result<Attr> ClusterFs::lookup(NodeId parent, const Name& name) {
    NodeId node = 0;
    {
        const Use use(*this, {parent}, LockMode::shared);
        const Result<Attr> found = fs_.lookup(parent, name);
        if (!found) return found;
        node = found->node;
        if (locks_.holds(self_, node, LockMode::shared)) return found;
    }
    return getattr(node);
}

bool ClusterFs::names_valid(NodeId directory) {
    if (locks_.holds(self_, directory, LockMode::shared)) return true;
    const Use use(*this, {directory}, LockMode::shared);
    return false;
}

Result<Attr> ClusterFs::create(NodeId parent, const Name& name, FileType type, std::uint32_t mode,
                               Owner who, std::string_view target, std::uint32_t rdev) {
    const Use use(*this, {parent}, LockMode::exclusive);
    const Result<Attr> made = fs_.create(parent, name, type, mode, who, target, rdev);
    if (!made) return made;
    const Use own(*this, {made->node}, LockMode::exclusive);  // new: nobody has it, none waits
    return made;
}

Result<Attr> ClusterFs::link(NodeId node, NodeId parent, const Name& name) {
    const Use use(*this, {node, parent}, LockMode::exclusive);
    return fs_.link(node, parent, name);
}

Result<Attr> ClusterFs::unlink(NodeId parent, const Name& name) {
    for (;;) {
        const Use use(*this, {parent, named(parent, name)}, LockMode::exclusive);
        if (use.covers(named(parent, name))) return fs_.unlink(parent, name);
    }
}

int ClusterFs::rmdir(NodeId parent, const Name& name) {
    for (;;) {
        const Use use(*this, {parent, named(parent, name)}, LockMode::exclusive);
        if (use.covers(named(parent, name))) return fs_.rmdir(parent, name);
    }
}

int ClusterFs::rename(NodeId old_parent, const Name& old_name, NodeId new_parent,
                      const Name& new_name, std::uint32_t flags) {
    for (;;) {
        const Use use(
            *this,
            {old_parent, new_parent, named(old_parent, old_name), named(new_parent, new_name)},
            LockMode::exclusive);
        if (use.covers(named(old_parent, old_name)) && use.covers(named(new_parent, new_name))) {
            return fs_.rename(old_parent, old_name, new_parent, new_name, flags);
        }
    }
}

Result<std::vector<DirEntry>> ClusterFs::readdir(NodeId directory, std::uint64_t offset,
                                                 std::size_t max_entries) {
    const Use use(*this, {directory}, LockMode::shared);
    return fs_.readdir(directory, offset, max_entries);
}

Result<Attr> ClusterFs::getattr(NodeId node) {
    const Use use(*this, {node}, LockMode::shared);
    return fs_.getattr(node);
}

Result<Attr> ClusterFs::setattr(NodeId node, const SetAttr& change) {
    const Use use(*this, {node}, LockMode::exclusive);
    return fs_.setattr(node, change);
}

Result<std::string> ClusterFs::readlink(NodeId node) {
    const Use use(*this, {node}, LockMode::shared);
    return fs_.readlink(node);
}

Result<std::string> ClusterFs::getxattr(NodeId node, std::string_view name) {
    const Use use(*this, {node}, LockMode::shared);
    return fs_.getxattr(node, name);
}

int ClusterFs::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    const Use use(*this, {node}, LockMode::exclusive);
    return fs_.setxattr(node, name, value, flags);
}

Result<std::vector<std::string>> ClusterFs::listxattr(NodeId node) {
    const Use use(*this, {node}, LockMode::shared);
    return fs_.listxattr(node);
}

int ClusterFs::removexattr(NodeId node, std::string_view name) {
    const Use use(*this, {node}, LockMode::exclusive);
    return fs_.removexattr(node, name);
}

Result<Attr> ClusterFs::open(NodeId node, bool write) {
    const Use use(*this, {node}, LockMode::shared);
    return fs_.open(node, write);
}

Result<std::uint64_t> ClusterFs::begin(NodeId node, bool write) {
    locks_.acquire(self_, node, write ? LockMode::exclusive : LockMode::shared);
    return fs_.revalidate(node);
}

/// Owners of different guests are different: the guest's number is mixed in.
int ClusterFs::set_lock(NodeId node, const files::FileLock& lock, bool wait) {
    files::FileLock wanted = lock;
    wanted.owner ^= std::uint64_t{guest_.id()} << 48;
    for (;;) {
        locks_.round_trip(self_, node);
        if (range_locks_.table.set(node, wanted)) return 0;
        if (!wait) return EAGAIN;
        clock_.sleep(range_locks_.retry_ns);
    }
}

Result<files::FileLock> ClusterFs::get_lock(NodeId node, const files::FileLock& lock) {
    files::FileLock wanted = lock;
    wanted.owner ^= std::uint64_t{guest_.id()} << 48;
    locks_.round_trip(self_, node);
    files::FileLock found = range_locks_.table.conflict(node, wanted);
    found.owner ^= std::uint64_t{guest_.id()} << 48;
    return found;
}

void ClusterFs::drop_locks(NodeId node, std::uint64_t owner, bool whole_file) {
    locks_.round_trip(self_, node);
    range_locks_.table.drop(node, owner ^ (std::uint64_t{guest_.id()} << 48), whole_file);
}

Counters ClusterFs::counters() const {
    Counters counters = fs_.counters();
    const LockStats& locks = locks_.stats(self_);
    const Counters mine = {{"lock_requests", locks.requests},
                           {"lock_messages", locks.messages},
                           {"lock_callbacks", locks.callbacks},
                           {"lock_demotions", locks.demotions}};
    counters.insert(counters.end(), mine.begin(), mine.end());
    return counters;
}

}  // namespace xenfs::sim
