// fanotify: one mark on the file system reports each change of any of its files, with the handles
// of the file and its directory.
#include <fcntl.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "real/storage/tree_watch.h"

#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x00001000  // Linux 5.17
#endif

namespace xenfs::real::storage {
namespace {

constexpr std::uint64_t names = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO;
// A program that writes through a mapping is heard of when the last of its file goes.
constexpr std::uint64_t contents = FAN_MODIFY | FAN_CLOSE_WRITE;
constexpr std::uint64_t attributes = FAN_ATTRIB | FAN_MOVE_SELF | FAN_DELETE_SELF;

/// A file's handle in an event, as NodeTable keeps it: type, then bytes. `end`: where it ends.
std::string identity_in(const fanotify_event_info_fid& record, const char*& end) {
    const auto* const handle = reinterpret_cast<const file_handle*>(record.handle);
    std::string identity(1, static_cast<char>(handle->handle_type));
    const auto* const bytes = reinterpret_cast<const char*>(handle->f_handle);
    identity.append(bytes, handle->handle_bytes);
    end = bytes + handle->handle_bytes;
    return identity;
}

class FanotifyWatch final : public TreeWatch {
  public:
    FanotifyWatch(Monitor& monitor, NodeTable& nodes, Descriptor queue)
        : TreeWatch(monitor, nodes), queue_(std::move(queue)) {
        nodes_.index_identities();
        start(queue_.get());
    }
    ~FanotifyWatch() override { stop(); }
    const char* means() const override { return "fanotify"; }

  private:
    int read(Changes& changes) override {
        alignas(fanotify_event_metadata) std::array<char, 65536> buffer;
        ssize_t left = ::read(queue_.get(), buffer.data(), buffer.size());
        const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer.data());
        for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
            if ((event->mask & FAN_Q_OVERFLOW) != 0) {
                add(changes, What::everything, 0);
            } else if (event->pid != getpid()) {
                take(*event, changes);
            }
        }
        return -1;
    }

    void take(const fanotify_event_metadata& event, Changes& changes) {
        NodeId directory = 0, node = 0;
        std::string_view name;
        const char* at = reinterpret_cast<const char*>(&event) + event.metadata_len;
        const char* const all = reinterpret_cast<const char*>(&event) + event.event_len;
        while (at < all) {
            const auto& record = *reinterpret_cast<const fanotify_event_info_fid*>(at);
            const char* end = nullptr;
            if (record.hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME) {
                directory = nodes_.node_of(identity_in(record, end));
                name = end;
            } else if (record.hdr.info_type == FAN_EVENT_INFO_TYPE_FID) {
                node = nodes_.node_of(identity_in(record, end));
            }
            at += record.hdr.len;
        }
        if (name == ".") node = std::exchange(directory, 0);
        if ((event.mask & names) != 0 && directory != 0) {
            add(changes, What::name, directory, name);
        }
        if (node == 0) return;
        if ((event.mask & contents) != 0) add(changes, What::content, node);
        if ((event.mask & (attributes | names)) != 0) {
            nodes_.look_for_end(node);
            add(changes, What::attributes, node);
        }
    }

    Descriptor queue_;
};

}  // namespace

Result<Descriptor> open_fanotify(const std::string& directory) {
    constexpr unsigned flags =
        FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_FID | FAN_REPORT_DFID_NAME;
    int opened = fanotify_init(flags | FAN_REPORT_TARGET_FID, O_RDONLY | O_LARGEFILE | O_CLOEXEC);
    if (opened < 0 && errno == EINVAL) {
        opened = fanotify_init(flags, O_RDONLY | O_LARGEFILE | O_CLOEXEC);
    }
    Descriptor queue(opened);
    if (!queue) return Errno{errno};
    if (fanotify_mark(queue.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                      names | contents | attributes | FAN_ONDIR, AT_FDCWD,
                      directory.c_str()) != 0) {
        return Errno{errno};
    }
    return queue;
}

std::unique_ptr<TreeWatch> watch_by_fanotify(Monitor& monitor, NodeTable& nodes, Descriptor queue) {
    return std::make_unique<FanotifyWatch>(monitor, nodes, std::move(queue));
}

}  // namespace xenfs::real::storage
