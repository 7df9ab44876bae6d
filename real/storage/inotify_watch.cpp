// inotify: a watch on each directory in which names were looked up. Its events do not say which
// process changed something, so what this process did itself is told apart by what it has left.
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <set>

#include "real/storage/nameless.h"
#include "real/storage/tree_watch.h"

namespace xenfs::real::storage {
namespace {

constexpr std::uint32_t names = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
// A program that writes through a mapping is heard of when the last of its file goes.
constexpr std::uint32_t contents = IN_MODIFY | IN_CLOSE_WRITE;
constexpr std::uint32_t attributes = IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;

/// What tells two states of a file apart.
struct State {
    std::int64_t size = 0, mtime = 0, mtime_ns = 0, ctime = 0, ctime_ns = 0;
    friend bool operator==(const State&, const State&) = default;

    static State of(const struct stat& status) {
        // A directory's times move with its names, which are told by themselves.
        if (S_ISDIR(status.st_mode)) return {status.st_mode, status.st_uid, status.st_gid, 0, 0};
        return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
    }
};

/// What this process has left behind where it changed something. Thread-safe.
///
/// Invariant: `left_names_` has each name that this process changed until the events of that change
/// have been read, which is so when the queue was found empty twice since. What is remembered is
/// bounded; a change that was forgotten counts as somebody else's, which costs what is cached.
class OwnWork {
  public:
    void begin(NodeId node, std::string_view name) {
        std::lock_guard hold(mutex_);
        ++under_way_[{node, std::string(name)}];
    }
    void end_node(NodeId node, const State& state) {
        std::lock_guard hold(mutex_);
        bound();
        left_[node] = {state, ++ends_};
        over({node, std::string()});
    }
    void end_name(NodeId directory, std::string_view name, NodeId stands_for) {
        std::lock_guard hold(mutex_);
        if (left_names_[0].size() >= most) left_names_[1] = std::exchange(left_names_[0], {});
        left_names_[0][{directory, std::string(name)}] = {stands_for, ++ends_};
        over({directory, std::string(name)});
    }
    void give_up(NodeId node, std::string_view name) {
        std::lock_guard hold(mutex_);
        over({node, std::string(name)});
    }

    /// Returns a number that is the same later if this process has changed neither the node nor
    /// the name since, or 0 where it is changing one of them just now.
    std::uint64_t moment(NodeId node, NodeId directory, std::string_view name) {
        std::lock_guard hold(mutex_);
        return moment_of(node, directory, name);
    }

    struct Event {
        NodeId directory = 0;
        std::string name;
        std::uint32_t mask = 0;
    };
    struct Verdict {
        bool later = false;    ///< this process has changed it meanwhile: what was seen is old
        bool renamed = false;  ///< somebody else has changed what the name stands for
        bool changed = false;  ///< somebody else has changed the node
    };
    /// Judges what was seen of an event since `moment`: the node that the name stands for (0: none)
    /// and its state. Both are compared at once with what this process has left.
    Verdict judge(const Event& event, std::uint64_t moment, NodeId node, const State& now) {
        std::lock_guard hold(mutex_);
        if (moment == 0 || moment_of(node, event.directory, event.name) != moment) return {true};
        Verdict verdict;
        const bool named = !event.name.empty() && (event.mask & names) != 0;
        verdict.renamed = named && !known_name(event.directory, event.name, node);
        const bool touched = verdict.renamed || (event.mask & (contents | attributes)) != 0;
        verdict.changed = node != 0 && touched && !known(node, now);
        return verdict;
    }
    /// The queue was found empty. Returns whether there are names left to be forgotten.
    bool queue_was_empty() {
        std::lock_guard hold(mutex_);
        left_names_[1] = std::exchange(left_names_[0], {});
        return !left_names_[1].empty();
    }

  private:
    using Place = std::pair<NodeId, std::string>;
    struct Left {
        State state;
        std::uint64_t end = 0;  ///< number of the operation's end
    };
    struct LeftName {
        NodeId stands_for = 0;
        std::uint64_t end = 0;
    };
    using Names = std::map<Place, LeftName>;

    std::uint64_t moment_of(NodeId node, NodeId directory, std::string_view name) const {
        const Place place{directory, std::string(name)};
        if (under_way_.contains(place) || under_way_.contains({node, std::string()})) return 0;
        std::uint64_t last = 1;
        const auto left = left_.find(node);
        if (left != left_.end()) last = std::max(last, left->second.end);
        for (const Names& all : left_names_) {
            const auto named = all.find(place);
            if (named != all.end()) last = std::max(last, named->second.end);
        }
        return last;
    }
    /// Whether the node is as this process has left it, or as it was when somebody was told of it
    /// last; it is noted as it is now.
    bool known(NodeId node, const State& now) {
        bound();
        const auto [left, fresh] = left_.try_emplace(node, Left{now, 0});
        if (!fresh && left->second.state == now) return true;
        left->second.state = now;
        return false;
    }
    bool known_name(NodeId directory, std::string_view name, NodeId stands_for) const {
        for (const Names& all : left_names_) {
            const auto left = all.find({directory, std::string(name)});
            if (left != all.end()) return left->second.stands_for == stands_for;
        }
        return false;
    }
    static constexpr std::size_t most = 65536;
    void bound() {
        while (left_.size() >= most) left_.erase(left_.begin());
    }
    void over(const Place& place) {
        const auto at = under_way_.find(place);
        if (at != under_way_.end() && --at->second == 0) under_way_.erase(at);
    }

    std::mutex mutex_;
    std::map<Place, int> under_way_;
    std::unordered_map<NodeId, Left> left_;
    std::uint64_t ends_ = 1;
    Names left_names_[2];  ///< since the queue was found empty; before that
};

class InotifyWatch final : public TreeWatch {
  public:
    InotifyWatch(Monitor& monitor, NodeTable& nodes, Descriptor queue)
        : TreeWatch(monitor, nodes), queue_(std::move(queue)) {
        nodes_.before_names(
            [this](NodeId directory, int descriptor) { cover(directory, descriptor); });
        start(queue_.get());
    }
    ~InotifyWatch() override {
        stop();
        nodes_.before_names(nullptr);
    }
    const char* means() const override { return "inotify"; }
    std::size_t unseen() const override { return unseen_; }

    void cover(NodeId directory, int descriptor) {
        std::lock_guard hold(mutex_);
        if (!covered_.insert(directory).second) return;
        const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
        const int watch = inotify_add_watch(queue_.get(), path.c_str(),
                                            names | contents | attributes | IN_ONLYDIR);
        if (watch < 0) {
            ++unseen_;
        } else {
            directories_[watch] = directory;
        }
    }
    void begin_own(NodeId node, std::string_view name) override { own_.begin(node, name); }
    void end_own(NodeId node, std::string_view name) override {
        const auto file = nodes_.get(node);
        struct stat status {};
        if (!file) {
            own_.give_up(node, name);
        } else if (!name.empty()) {
            own_.end_name(node, name, node_at(*file, name, status));
        } else if (fstat(file->get(), &status) == 0) {
            own_.end_node(node, State::of(status));
        } else {
            own_.give_up(node, name);
        }
    }

  private:
    using Event = OwnWork::Event;

    int read(Changes& changes) override {
        for (Event& event : std::exchange(waiting_, {})) look_at(std::move(event), changes);
        alignas(inotify_event) std::array<char, 65536> buffer;
        ssize_t got = 0;
        while ((got = ::read(queue_.get(), buffer.data(), buffer.size())) > 0) {
            for (ssize_t at = 0; at < got;) {
                const auto& event = *reinterpret_cast<const inotify_event*>(buffer.data() + at);
                at += static_cast<ssize_t>(sizeof event + event.len);
                take(event, changes);
            }
        }
        if (!waiting_.empty()) return 1;
        return own_.queue_was_empty() ? 1000 : -1;
    }

    void take(const inotify_event& event, Changes& changes) {
        if ((event.mask & IN_Q_OVERFLOW) != 0) return add(changes, What::everything, 0);
        NodeId directory = 0;
        {
            std::lock_guard hold(mutex_);
            const auto found = directories_.find(event.wd);
            if (found == directories_.end()) return;
            directory = found->second;
            if ((event.mask & IN_IGNORED) != 0) {  // it is gone
                covered_.erase(directory);
                directories_.erase(found);
                return;
            }
        }
        const char* const name = event.len == 0 ? "" : event.name;
        if (directory == root_node && name == Nameless::directory_name) return;
        look_at({directory, name, event.mask}, changes);
    }

    /// What this process is changing just now is looked at when it is done.
    void look_at(Event event, Changes& changes) {
        const auto above = nodes_.get(event.directory);
        if (!above) return;
        struct stat status {};
        const bool self = event.name.empty();
        const auto look = [&] {
            if (!self) return node_at(*above, event.name, status);
            return fstat(above->get(), &status) == 0 ? event.directory : 0;
        };
        const NodeId before = look();
        const std::uint64_t moment = own_.moment(before, event.directory, event.name);
        const NodeId node = look();
        const auto verdict =
            own_.judge(event, node == before ? moment : 0, node, State::of(status));
        if (verdict.later) {
            waiting_.push_back(std::move(event));
            return;
        }
        if (verdict.renamed) {
            add(changes, What::name, event.directory, event.name);
            // Where files are found again by their names, the table must know this one.
            if (nodes_.knows(node)) (void)nodes_.find(event.directory, above->get(), event.name);
        }
        if (self) nodes_.look_for_end(node);
        // An event may be about less than what has changed since the last one.
        if (verdict.changed) add(changes, What::content, node);
    }

    /// What the name stands for, as its id and fstat's answer; 0: nothing.
    NodeId node_at(const OpenFile& directory, std::string_view name, struct stat& status) {
        const std::string text(name);
        if (fstatat(directory.get(), text.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
        return nodes_.id_of(directory.get(), text.c_str(), status.st_ino);
    }

    Descriptor queue_;
    OwnWork own_;
    std::vector<Event> waiting_;  ///< the thread's own
    std::atomic<std::size_t> unseen_{0};
    std::mutex mutex_;  ///< of what follows
    std::set<NodeId> covered_;
    std::unordered_map<int, NodeId> directories_;  ///< by watch
};

}  // namespace

std::unique_ptr<TreeWatch> watch_by_inotify(Monitor& monitor, NodeTable& nodes) {
    Descriptor queue(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!queue) return nullptr;
    return std::make_unique<InotifyWatch>(monitor, nodes, std::move(queue));
}

}  // namespace xenfs::real::storage
