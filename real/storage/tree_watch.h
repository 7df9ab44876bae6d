#pragma once
// A TreeWatch hears from the kernel what other processes change in the exported tree.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "model/host/storage.h"
#include "real/common/monitor.h"
#include "real/storage/node_table.h"

namespace xenfs::real::storage {

/// A thread reads the kernel's events, finds the nodes that they are about, and tells of those that
/// the table knows: nobody was told of others. What this process does itself is not told.
///
/// Two means: fanotify, which sees the whole file system and names the process that changed
/// something, and inotify on each directory in which names were looked up, which needs no
/// privilege. Neither sees what a program stores through a shared mapping before it unmaps the file
/// or closes it.
class TreeWatch {
  public:
    using Tell = std::function<void(const host::OutsideChange&)>;

    /// Monitor and table outlive the watch.
    TreeWatch(Monitor& monitor, NodeTable& nodes);
    /// Called without the monitor.
    virtual ~TreeWatch();
    TreeWatch(const TreeWatch&) = delete;
    TreeWatch& operator=(const TreeWatch&) = delete;

    /// `tell` is called with the monitor held from now on, by the watch's thread. Null ends that.
    void tell(Tell tell);
    virtual const char* means() const = 0;
    /// Directories whose changes are not seen, for want of watches.
    virtual std::size_t unseen() const { return 0; }

    /// This process is about to change a node, or what a name stands for.
    virtual void begin_own(NodeId /*node*/, std::string_view /*name*/) {}
    /// It has, or has failed to.
    virtual void end_own(NodeId /*node*/, std::string_view /*name*/) {}

  protected:
    using What = host::OutsideChange::What;
    using Changes = std::vector<host::OutsideChange>;

    /// Reads what the kernel has queued and appends what it means; does not block. Returns for how
    /// many milliseconds nothing is to be done unless there are events, or -1 for ever.
    virtual int read(Changes& changes) = 0;
    /// The most derived class ends the thread before its members go.
    void start(int descriptor);
    void stop();
    static void add(Changes& changes, What what, NodeId node, std::string_view name = {});

    Monitor& monitor_;
    NodeTable& nodes_;

  private:
    void run(int descriptor);

    Descriptor stop_;
    std::mutex mutex_;  ///< of tell_; taken with the monitor held, never before it
    Tell tell_;
    std::thread thread_;
};

/// Keeps in mind, while it lives, that this process is changing the node, or a name of the
/// directory. The watch may be null.
class OwnChange {
  public:
    OwnChange(TreeWatch* watch, NodeId node, std::string_view name = {})
        : watch_(watch), node_(node), name_(name) {
        if (watch_ != nullptr) watch_->begin_own(node_, name_);
    }
    ~OwnChange() {
        if (watch_ != nullptr) watch_->end_own(node_, name_);
    }
    OwnChange(const OwnChange&) = delete;
    OwnChange& operator=(const OwnChange&) = delete;

  private:
    TreeWatch* watch_;
    NodeId node_;
    std::string_view name_;
};

/// Opens the queue of fanotify's events on the file system of a directory. This needs
/// CAP_SYS_ADMIN, which is not needed any more to read them. An errno where it is missing (EPERM),
/// or the file system has no file handles (EOPNOTSUPP, ENODEV, EXDEV), or the kernel is older than
/// 5.9 (EINVAL).
Result<Descriptor> open_fanotify(const std::string& directory);
/// `queue` comes from open_fanotify(); the table keeps handles.
std::unique_ptr<TreeWatch> watch_by_fanotify(Monitor& monitor, NodeTable& nodes, Descriptor queue);
/// Null and errno where the kernel refuses an inotify instance.
std::unique_ptr<TreeWatch> watch_by_inotify(Monitor& monitor, NodeTable& nodes);

}  // namespace xenfs::real::storage
