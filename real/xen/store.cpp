#include "real/xen/store.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <charconv>

namespace xenfs::real::xen {
namespace {

struct Free {
    void operator()(void* pointer) const { std::free(pointer); }
};

}  // namespace

XenStore::XenStore(Monitor& monitor)
    : monitor_(monitor),
      handle_(
          opened<StoreHandle>(xs_open(0), "xenstore",
                              "is xenstored running (dom0), or /dev/xen/xenbus there (guest)?")),
      stop_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { deliver(); }) {}

XenStore::~XenStore() {
    eventfd_write(stop_, 1);
    thread_.join();
    ::close(stop_);
}

Result<std::string> XenStore::read(std::string_view path) {
    unsigned length = 0;
    std::unique_ptr<void, Free> value(
        xs_read(handle_.get(), XBT_NULL, std::string(path).c_str(), &length));
    if (value == nullptr) return Errno{errno};
    return std::string(static_cast<const char*>(value.get()), length);
}

int XenStore::write(std::string_view path, std::string_view value) {
    return xs_write(handle_.get(), XBT_NULL, std::string(path).c_str(), value.data(),
                    static_cast<unsigned>(value.size()))
               ? 0
               : errno;
}

int XenStore::remove(std::string_view path) {
    return xs_rm(handle_.get(), XBT_NULL, std::string(path).c_str()) ? 0 : errno;
}

Result<std::vector<std::string>> XenStore::list(std::string_view path) {
    unsigned count = 0;
    std::unique_ptr<char*, Free> names(
        xs_directory(handle_.get(), XBT_NULL, std::string(path).c_str(), &count));
    if (names == nullptr) return Errno{errno};
    return std::vector<std::string>(names.get(), names.get() + count);
}

int XenStore::allow(std::string_view path, DomainId reader) {
    // The first entry names the owner and what everybody else may do; it must stay as it is.
    unsigned count = 0;
    std::unique_ptr<xs_permissions, Free> now(
        xs_get_permissions(handle_.get(), XBT_NULL, std::string(path).c_str(), &count));
    if (now == nullptr || count == 0) return errno;
    std::vector<xs_permissions> wanted(now.get(), now.get() + count);
    // A guest's node has five entries at most: a reader that has one needs no other.
    for (unsigned i = 1; i < count; ++i) {
        if (wanted[i].id == reader && wanted[i].perms == XS_PERM_READ) return 0;
    }
    wanted.push_back({reader, XS_PERM_READ});
    return xs_set_permissions(handle_.get(), XBT_NULL, std::string(path).c_str(), wanted.data(),
                              static_cast<unsigned>(wanted.size()))
               ? 0
               : errno;
}

int XenStore::hand_over(std::string_view path, DomainId owner) {
    unsigned length = 0;
    const std::unique_ptr<void, Free> there(
        xs_read(handle_.get(), XBT_NULL, std::string(path).c_str(), &length));
    if (there == nullptr) {
        if (int error = write(path, "")) return error;
    }
    xs_permissions whose{owner, XS_PERM_NONE};
    return xs_set_permissions(handle_.get(), XBT_NULL, std::string(path).c_str(), &whose, 1)
               ? 0
               : errno;
}

std::uint64_t XenStore::watch(std::string_view path, std::function<void()> changed) {
    const std::uint64_t token = next_token_++;
    watches_[token] = {std::string(path), std::move(changed)};
    xs_watch(handle_.get(), watches_[token].path.c_str(), std::to_string(token).c_str());
    return token;
}

void XenStore::unwatch(std::uint64_t token) {
    const auto found = watches_.find(token);
    if (found == watches_.end()) return;
    xs_unwatch(handle_.get(), found->second.path.c_str(), std::to_string(token).c_str());
    watches_.erase(found);
}

void XenStore::deliver() {
    pollfd waits[2] = {{xs_fileno(handle_.get()), POLLIN, 0}, {stop_, POLLIN, 0}};
    for (;;) {
        if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
        if (waits[1].revents != 0) return;
        unsigned count = 0;
        while (char** raw = xs_check_watch(handle_.get())) {
            std::unique_ptr<char*, Free> event(raw);
            const std::string_view text = event.get()[XS_WATCH_TOKEN];
            std::uint64_t token = 0;
            std::from_chars(text.data(), text.data() + text.size(), token);
            Monitor::Entry entry(monitor_);
            if (auto found = watches_.find(token); found != watches_.end()) {
                auto changed = found->second.changed;  // it may unwatch itself
                changed();
            }
            ++count;
        }
        if (count == 0 && (waits[0].revents & (POLLERR | POLLHUP)) != 0) return;
    }
}

}  // namespace xenfs::real::xen
