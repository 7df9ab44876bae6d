#include "real/storage/node_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace xenfs::real::storage {
namespace {

constexpr unsigned inode_bits = 40;
constexpr int most_looks = 4;
/// This many descriptors are kept even where those that must stay fill the budget.
constexpr std::size_t least_recent = 16;
/// The first byte of an identity that is no handle; file handle types are small numbers.
constexpr char by_birth_time = '\xff';

struct HandleBuffer {
    alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + MAX_HANDLE_SZ> bytes{};
    file_handle* get() { return reinterpret_cast<file_handle*>(bytes.data()); }
    HandleBuffer() { get()->handle_bytes = MAX_HANDLE_SZ; }
};

}  // namespace

int open_below(int directory, const char* name, std::uint64_t flags, std::uint64_t mode) {
    open_how how{};
    how.flags = flags | O_NOFOLLOW | O_CLOEXEC;
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    return static_cast<int>(syscall(SYS_openat2, directory, name, &how, sizeof how));
}

NodeTable::NodeTable(Descriptor root, std::size_t budget, std::size_t most_open, FindAgain means)
    : root_(std::move(root)),
      by_number_(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC)),
      budget_(budget),
      most_open_(most_open) {
    struct stat status {};
    fstat(root_.get(), &status);
    device_ = status.st_dev;
    HandleBuffer handle;
    int mount = 0;
    has_handles_ = means != FindAgain::by_name &&
                   name_to_handle_at(root_.get(), "", handle.get(), &mount, AT_EMPTY_PATH) == 0;
    if (has_handles_ && means == FindAgain::by_handle) {
        const Descriptor again(open_by_handle_at(root_.get(), handle.get(), O_PATH | O_CLOEXEC));
        by_handle_ = static_cast<bool>(again);
    }
    Record record;
    if (const auto identity = identify(root_.get(), "", status.st_ino)) {
        record.identity = *identity;
    }
    record.opens = 1;
    record.file = {std::make_shared<const Descriptor>(dup(root_.get())), OpenMode::read};
    ++descriptors_;
    records_.emplace(root_node, std::move(record));
}

Result<std::string> NodeTable::identify(int directory, const char* name,
                                        std::uint64_t inode) const {
    const int here = *name == '\0' ? AT_EMPTY_PATH : 0;
    if (has_handles_) {
        HandleBuffer handle;
        int mount = 0;
        if (name_to_handle_at(directory, name, handle.get(), &mount, here) != 0) {
            return Errno{errno};
        }
        std::string identity(1, static_cast<char>(handle.get()->handle_type));
        identity.append(reinterpret_cast<const char*>(handle.get()->f_handle),
                        handle.get()->handle_bytes);
        return identity;
    }
    struct statx status {};
    if (statx(directory, name, here | AT_SYMLINK_NOFOLLOW, STATX_BTIME, &status) != 0) {
        return Errno{errno};
    }
    std::string identity(1, by_birth_time);
    const std::array<std::uint64_t, 3> life{
        inode, static_cast<std::uint64_t>(status.stx_btime.tv_sec), status.stx_btime.tv_nsec};
    identity.append(reinterpret_cast<const char*>(life.data()), sizeof life);
    return identity;
}

NodeId NodeTable::id_for(const std::string& identity, std::uint64_t inode) const {
    if (records_.at(root_node).identity == identity) return root_node;
    constexpr NodeId step = NodeId{1} << inode_bits;
    const std::uint64_t hash = XXH3_64bits(identity.data(), identity.size());
    for (NodeId id = (inode & (step - 1)) | hash << inode_bits;; id += step) {
        if (id <= root_node) continue;
        const auto known = records_.find(id);
        if (known == records_.end()) return id;
        if (!known->second.dead && known->second.identity == identity) return id;
    }
}

NodeId NodeTable::id_of(int parent_descriptor, const char* name, std::uint64_t inode) {
    const auto identity = identify(parent_descriptor, name, inode);
    if (!identity) return 0;
    std::lock_guard hold(mutex_);
    return id_for(*identity, inode);
}

/// Calls `open`, which returns a descriptor, or -1 and errno. Where the process has no descriptor
/// left, it closes some and calls again.
template <class Open>
Descriptor NodeTable::with_room(Open open) {
    Descriptor descriptor(open());
    if (!descriptor && (errno == EMFILE || errno == ENFILE)) {
        {
            std::lock_guard hold(mutex_);
            trim(descriptors_ / 2);
        }
        descriptor = Descriptor(open());
        if (!descriptor && errno == EMFILE) errno = ENFILE;
    }
    return descriptor;
}

Result<FoundFile> NodeTable::find(NodeId parent, int parent_descriptor, std::string_view name) {
    const std::string text(name);
    look_at_names(parent, parent_descriptor);
    Descriptor descriptor = with_room([&] {
        int opened = -1;
        for (int tries = 0; tries < 8; ++tries) {
            opened = open_below(parent_descriptor, text.c_str(), O_PATH);
            if (opened >= 0 || errno != EAGAIN) break;  // EAGAIN: a rename raced with the look-up
        }
        return opened;
    });
    if (!descriptor) return Errno{errno};
    return adopt(parent, name, std::move(descriptor), OpenMode::path);
}

Result<FoundFile> NodeTable::adopt(NodeId parent, std::string_view name, Descriptor descriptor,
                                   OpenMode mode) {
    FoundFile found;
    if (fstat(descriptor.get(), &found.status) != 0) return Errno{errno};
    // openat2 refuses mount points; a btrfs subvolume is another device without being a mount
    // point.
    if (found.status.st_dev != device_) return Errno{EXDEV};
    const auto identity = identify(descriptor.get(), "", found.status.st_ino);
    if (!identity) return Errno{identity.error()};
    found.file = {std::make_shared<const Descriptor>(std::move(descriptor)), mode};

    std::lock_guard hold(mutex_);
    found.node = id_for(*identity, found.status.st_ino);
    Record& record = records_[found.node];
    give_identity(found.node, record, *identity);
    if (!by_handle_ && found.node != root_node) {
        record.parent = parent;
        record.name = name;
        record.nameless = false;
    }
    if (record.file.descriptor == nullptr) {
        record.file = found.file;
        ++descriptors_;
    } else {
        found.file = record.file;
    }
    place(found.node, record);
    return found;
}

Result<OpenFile> NodeTable::get(NodeId node) {
    bool unknown = false;
    {
        std::lock_guard hold(mutex_);
        unknown = !records_.contains(node);
    }
    if (unknown && !search(node)) return Errno{ESTALE};
    {
        std::lock_guard hold(mutex_);
        const auto known = records_.find(node);
        if (known == records_.end()) return Errno{ESTALE};
        if (known->second.file.descriptor != nullptr) {
            // the insertion may close descriptors that nobody uses
            const OpenFile file = known->second.file;
            place(node, known->second);
            return file;
        }
        if (known->second.dead) return Errno{ESTALE};
    }
    return open_again(node);
}

Result<OpenFile> NodeTable::open_again(NodeId node) {
    std::string identity, name;
    NodeId parent = 0;
    {
        std::lock_guard hold(mutex_);
        const auto known = records_.find(node);
        if (known == records_.end()) return Errno{ESTALE};
        identity = known->second.identity;
        parent = known->second.parent;
        name = known->second.name;
    }
    auto descriptor = open_identity(identity, parent, name);
    if (!descriptor) {
        if (descriptor.error() == ESTALE) {
            std::lock_guard hold(mutex_);
            const auto known = records_.find(node);
            // Somebody else removed the file: whoever uses its id is told so from now on.
            if (by_handle_ && known != records_.end() && !known->second.dead &&
                known->second.file.descriptor == nullptr) {
                mark_dead(node, known->second);
            }
        }
        return Errno{descriptor.error()};
    }
    return kept(node, {std::make_shared<const Descriptor>(std::move(*descriptor)), OpenMode::path});
}

Result<Descriptor> NodeTable::open_identity(const std::string& identity, NodeId parent,
                                            const std::string& name) {
    if (by_handle_) {
        HandleBuffer handle;
        handle.get()->handle_type = static_cast<unsigned char>(identity[0]);
        handle.get()->handle_bytes = static_cast<unsigned>(identity.size() - 1);
        std::memcpy(handle.get()->f_handle, identity.data() + 1, identity.size() - 1);
        Descriptor opened = with_room(
            [&] { return open_by_handle_at(root_.get(), handle.get(), O_PATH | O_CLOEXEC); });
        if (!opened) return Errno{errno};
        return opened;
    }
    const auto above = get(parent);
    if (!above) return Errno{above.error()};
    Descriptor opened = with_room([&] { return open_below(above->get(), name.c_str(), O_PATH); });
    if (!opened) return Errno{errno == ENOENT || errno == EXDEV ? ESTALE : errno};
    struct stat status {};
    if (fstat(opened.get(), &status) != 0) return Errno{errno};
    const auto now = identify(opened.get(), "", status.st_ino);
    if (!now || *now != identity) return Errno{ESTALE};  // the name belongs to another file now
    return opened;
}

Result<OpenFile> NodeTable::get(NodeId node, OpenMode mode) {
    const auto file = get(node);
    if (!file || file->mode >= mode) return file;
    struct stat status {};
    if (fstat(file->get(), &status) != 0) return Errno{errno};
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOATIME;
    if (S_ISDIR(status.st_mode)) {
        if (mode == OpenMode::write) return Errno{EISDIR};
        flags |= O_RDONLY | O_DIRECTORY;
    } else if (S_ISREG(status.st_mode)) {
        flags |= mode == OpenMode::write ? O_RDWR : O_RDONLY;
    } else {
        return Errno{EINVAL};  // devices and fifos are never opened here
    }
    const std::string number = std::to_string(file->get());
    Descriptor opened = with_room([&] {
        int result = openat(by_number(), number.c_str(), flags);
        // The file is another user's and CAP_FOWNER is missing, so this open moves its atime.
        if (result < 0 && errno == EPERM) {
            result = openat(by_number(), number.c_str(), flags & ~O_NOATIME);
        }
        return result;
    });
    if (!opened) return Errno{errno};
    return kept(node, {std::make_shared<const Descriptor>(std::move(opened)), mode});
}

/// Keeps the descriptor in place of one with fewer rights. Returns what is kept.
Result<OpenFile> NodeTable::kept(NodeId node, OpenFile file) {
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    if (known == records_.end()) return Errno{ESTALE};
    Record& record = known->second;
    // the node died meanwhile, so the descriptor serves this one call
    if (record.dead && record.opens == 0) return file;
    if (record.file.descriptor == nullptr) ++descriptors_;
    if (record.file.descriptor == nullptr || record.file.mode < file.mode) record.file = file;
    const OpenFile now = record.file;
    place(node, record);
    return now;
}

int NodeTable::restore(NodeId node, std::string_view identity) {
    {
        std::lock_guard hold(mutex_);
        if (records_.contains(node)) return 0;
        if (by_handle_ && !identity.empty()) {
            give_identity(node, records_[node], identity);
            return 0;
        }
    }
    return search(node) ? 0 : ESTALE;
}

/// Searches the whole tree for a node to which an earlier server gave its id. The tree is searched
/// once, and again only where something has moved since, so that requests for ids that never
/// existed cost nothing.
bool NodeTable::search(NodeId node) {
    std::lock_guard one(search_mutex_);
    if (!indexed_) {
        const std::uint64_t before = moves_;
        index_tree();
        indexed_ = moves_ == before || ++looks_ == most_looks;
    }
    std::lock_guard hold(mutex_);
    return records_.contains(node);
}

/// Learns the id, parent and name of everything in the tree.
void NodeTable::index_tree() {
    std::vector<NodeId> directories{root_node};
    while (!directories.empty()) {
        const NodeId node = directories.back();
        directories.pop_back();
        const auto opened = get(node, OpenMode::read);
        if (!opened) continue;
        DIR* const listing = fdopendir(dup(opened->get()));
        if (listing == nullptr) continue;
        rewinddir(listing);
        while (const dirent* const entry = readdir(listing)) {
            const std::string_view name(entry->d_name);
            if (name == "." || name == "..") continue;
            const auto found = find(node, opened->get(), name);
            if (found && S_ISDIR(found->status.st_mode)) directories.push_back(found->node);
        }
        closedir(listing);
    }
}

void NodeTable::moved(NodeId node, NodeId parent, std::string_view name) {
    ++moves_;
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    if (known == records_.end()) return;
    if (known->second.opens != 0) known->second.dead = false;  // a nameless file got a name again
    if (by_handle_) return;
    known->second.parent = parent;
    known->second.name = name;
}

void NodeTable::lost_name(NodeId node, const OpenFile& file, std::uint64_t links) {
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    if (known == records_.end()) return;
    Record& record = known->second;
    if (links != 0) {
        record.nameless = !by_handle_;  // the file has another name, which is not known here
    } else {
        record.dead = true;
        ++record.opens;
    }
    if ((record.dead || record.nameless) && record.file.descriptor == nullptr) {
        record.file = file;
        ++descriptors_;
    }
    place(node, record);
}

int NodeTable::open(NodeId node) {
    const auto file = get(node);
    if (!file) return file.error();
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    if (known == records_.end() || (known->second.dead && known->second.opens == 0)) return ESTALE;
    Record& record = known->second;
    if (record.file.descriptor == nullptr) {
        record.file = *file;
        ++descriptors_;
    }
    if (record.opens == 0 && descriptors_ - recent_.size() >= most_open_) return ENFILE;
    ++record.opens;
    place(node, record);
    return 0;
}

void NodeTable::close(NodeId node) {
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    if (known == records_.end() || known->second.opens == 0) return;
    Record& record = known->second;
    if (--record.opens != 0) return;
    if (record.dead) {
        mark_dead(node, record);
    } else {
        place(node, record);
    }
}

bool NodeTable::full() const {
    std::lock_guard hold(mutex_);
    return descriptors_ - recent_.size() >= most_open_;
}

bool NodeTable::opened(NodeId node) const {
    std::lock_guard hold(mutex_);
    const auto known = records_.find(node);
    return known != records_.end() && known->second.opens != 0;
}

/// Lists the node as the most recently used one, or removes it from the list where its descriptor
/// must stay.
void NodeTable::place(NodeId node, Record& record) {
    const bool may_go = record.file.descriptor != nullptr && record.opens == 0 && !record.nameless;
    if (may_go && record.listed) {
        recent_.splice(recent_.end(), recent_, record.recent);
    } else if (may_go) {
        record.recent = recent_.insert(recent_.end(), node);
        record.listed = true;
    } else if (record.listed) {
        recent_.erase(record.recent);
        record.listed = false;
    }
    if (descriptors_ > budget_ && recent_.size() > least_recent) {
        trim(std::max(budget_, descriptors_ - recent_.size() + least_recent));
    }
}

void NodeTable::trim(std::size_t most) {
    while (descriptors_ > most && !recent_.empty()) {
        Record& record = records_.at(recent_.front());
        record.file = {};
        record.listed = false;
        recent_.pop_front();
        --descriptors_;
    }
}

std::size_t NodeTable::nodes() const {
    std::lock_guard hold(mutex_);
    return records_.size() - dead_.size();
}

std::size_t NodeTable::descriptors() const {
    std::lock_guard hold(mutex_);
    return descriptors_;
}

}  // namespace xenfs::real::storage
