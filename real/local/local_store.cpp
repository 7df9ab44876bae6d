#include "real/local/local_store.h"

#include <sys/eventfd.h>

namespace xenfs::real::local {
namespace {

/// A path with its value that is longer than this need not travel (XENSTORE_PAYLOAD_MAX is less).
constexpr std::size_t longest = 8192;

}  // namespace

Result<std::string> LocalStore::read(std::string_view path) {
    if (path.size() > longest) return Errno{EINVAL};
    const Reply reply = link_.call(Writer(Call::store_read).put_text(path));
    if (reply.error != 0) return Errno{reply.error};
    return reply.rest().take_text();
}

int LocalStore::write(std::string_view path, std::string_view value) {
    if (path.size() + value.size() > longest) return E2BIG;
    return link_.call(Writer(Call::store_write).put_text(path).put_text(value)).error;
}

int LocalStore::remove(std::string_view path) {
    if (path.size() > longest) return EINVAL;
    return link_.call(Writer(Call::store_remove).put_text(path)).error;
}

Result<std::vector<std::string>> LocalStore::list(std::string_view path) {
    if (path.size() > longest) return Errno{EINVAL};
    const Reply reply = link_.call(Writer(Call::store_list).put_text(path));
    if (reply.error != 0) return Errno{reply.error};
    std::vector<std::string> names;
    for (Reader rest = reply.rest();;) {
        std::string name = rest.take_text();
        if (!rest.ok()) return names;
        names.push_back(std::move(name));
    }
}

int LocalStore::allow(std::string_view path, DomainId reader) {
    if (path.size() > longest) return EINVAL;
    return link_.call(Writer(Call::store_allow).put_text(path).put(reader)).error;
}

std::uint64_t LocalStore::watch(std::string_view path, std::function<void()> changed) {
    const std::uint64_t token = ++last_token_;
    watches_[token] = std::make_shared<const std::function<void()>>(std::move(changed));
    const std::string at(path.substr(0, longest));
    (void)link_.call(Writer(Call::store_watch).put_text(at).put(token));
    return token;
}

void LocalStore::unwatch(std::uint64_t token) {
    if (watches_.erase(token) == 0) return;
    (void)link_.call(Writer(Call::store_unwatch).put(token));
}

void LocalStore::deliver() {
    eventfd_t count = 0;
    if (eventfd_read(fired_.get(), &count) != 0) return;
    const Reply reply = link_.call(Writer(Call::store_fired));
    for (const auto token : reply.rest().take_rest<std::uint64_t>()) {
        Monitor::Entry entry(monitor_);
        const auto found = watches_.find(token);
        if (found == watches_.end()) continue;
        const Handler handler = found->second;  // it may end its own watch
        (*handler)();
    }
}

}  // namespace xenfs::real::local
