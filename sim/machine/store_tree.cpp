#include "sim/machine/store_tree.h"

#include <algorithm>
#include <cerrno>

namespace xenfs::sim {
namespace {

constexpr std::size_t max_path = 3072, max_value = 4096;  // XENSTORE_ABS_PATH_MAX, _PAYLOAD_MAX

bool below(std::string_view path, std::string_view top) {
    return top == "/" || (path.size() > top.size() && path.substr(0, top.size()) == top &&
                          path[top.size()] == '/');
}

std::string_view parent(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

}  // namespace

struct StoreTree::Watch final : Timer {
    Watch(StoreTree& in, TaskOwner& of, DomainId domain, std::string_view at,
          std::function<void()> calls)
        : tree(in), owner(of), who(domain), path(at), handler(std::move(calls)) {}
    void fire() override {
        const auto keep = handler;  // the handler may end its own watch
        tree.scheduler_.run_handler(&owner, keep);
    }
    /// Changes in quick succession become one call.
    void trigger() {
        if (armed()) return;
        tree.scheduler_.timers().arm(*this, tree.scheduler_.now_charged() + tree.watch_latency_);
    }
    StoreTree& tree;
    TaskOwner& owner;
    DomainId who;
    std::string path;
    std::function<void()> handler;
};

StoreTree::StoreTree(Scheduler& scheduler, Nanoseconds watch_latency)
    : scheduler_(scheduler), watch_latency_(watch_latency) {
    nodes_["/"] = {};
}

StoreTree::~StoreTree() {
    for (const auto& [token, watch] : watches_) scheduler_.timers().disarm(*watch);
}

bool StoreTree::valid(std::string_view path) {
    if (path.empty() || path.front() != '/' || path.size() > max_path) return false;
    if (path == "/") return true;
    if (path.back() == '/' || path.find("//") != std::string_view::npos) return false;
    return std::all_of(path.begin(), path.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '/' || c == '_' || c == '@';
    });
}

bool StoreTree::may_read(const Node& node, DomainId who) {
    return who == 0 || node.owner == who ||
           std::find(node.readers.begin(), node.readers.end(), who) != node.readers.end();
}

std::map<std::string, StoreTree::Node, std::less<>>::iterator StoreTree::nearest(
    std::string_view path) {
    for (;;) {
        const auto found = nodes_.find(path);
        if (found != nodes_.end()) return found;
        path = parent(path);
    }
}

void StoreTree::introduce(DomainId domain) {
    const std::string home = "/local/domain/" + std::to_string(domain);
    (void)write(0, home, "");
    nodes_.at(home).owner = domain;
}

void StoreTree::forget(DomainId domain) {
    unwatch_all(domain);
    (void)remove(0, "/local/domain/" + std::to_string(domain));
}

void StoreTree::unwatch_all(DomainId domain) {
    std::erase_if(watches_, [&](const auto& entry) {
        if (entry.second->who != domain) return false;
        scheduler_.timers().disarm(*entry.second);
        return true;
    });
}

Result<std::string> StoreTree::read(DomainId who, std::string_view path) {
    if (!valid(path)) return Errno{EINVAL};
    const auto node = nearest(path);
    if (!may_read(node->second, who)) return Errno{EACCES};
    if (node->first != path) return Errno{ENOENT};
    return node->second.value;
}

int StoreTree::write(DomainId who, std::string_view path, std::string_view value) {
    if (!valid(path) || value.size() > max_value) return EINVAL;
    auto node = nearest(path);
    if (who != 0 && node->second.owner != who) return EACCES;
    // The missing nodes on the way inherit from the one above; they belong to whoever makes them,
    // or where domain 0 makes them, to the owner of the one above.
    while (node->first != path) {
        const std::size_t from = node->first == "/" ? 1 : node->first.size() + 1;
        const auto name = path.substr(0, path.find('/', from));
        Node child;
        child.owner = who != 0 ? who : node->second.owner;
        child.readers = node->second.readers;
        node = nodes_.emplace(std::string(name), std::move(child)).first;
    }
    node->second.value = value;
    changed(path, false);
    return 0;
}

int StoreTree::remove(DomainId who, std::string_view path) {
    if (!valid(path) || path == "/") return EINVAL;
    const auto node = nearest(path);
    if (who != 0 && node->second.owner != who) return EACCES;
    if (node->first != path) return ENOENT;
    const std::string top = node->first;
    nodes_.erase(node);
    for (auto at = nodes_.lower_bound(top + "/"); at != nodes_.end() && below(at->first, top);) {
        at = nodes_.erase(at);
    }
    changed(top, true);
    return 0;
}

Result<std::vector<std::string>> StoreTree::list(DomainId who, std::string_view path) {
    if (!valid(path)) return Errno{EINVAL};
    const auto node = nearest(path);
    if (!may_read(node->second, who)) return Errno{EACCES};
    if (node->first != path) return Errno{ENOENT};
    const std::string prefix = path == "/" ? "/" : std::string(path) + "/";
    std::vector<std::string> names;
    for (auto at = nodes_.lower_bound(prefix);
         at != nodes_.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at) {
        if (at->first.size() == prefix.size()) continue;  // the root itself
        const std::string_view rest = std::string_view(at->first).substr(prefix.size());
        if (rest.find('/') == std::string_view::npos) names.emplace_back(rest);
    }
    return names;
}

int StoreTree::allow(DomainId who, std::string_view path, DomainId reader) {
    if (!valid(path)) return EINVAL;
    const auto node = nearest(path);
    if (who != 0 && node->second.owner != who) return EACCES;
    if (node->first != path) return ENOENT;
    auto& readers = node->second.readers;
    if (std::find(readers.begin(), readers.end(), reader) == readers.end()) {
        readers.push_back(reader);
    }
    changed(path, false);  // xenstored fires watches for permissions, too
    return 0;
}

std::uint64_t StoreTree::watch(TaskOwner& owner, DomainId who, std::string_view path,
                               std::function<void()> handler) {
    auto& watch = watches_[++last_token_];
    watch = std::make_unique<Watch>(*this, owner, who, path, std::move(handler));
    watch->trigger();
    return last_token_;
}

void StoreTree::unwatch(DomainId who, std::uint64_t token) {
    const auto found = watches_.find(token);
    if (found == watches_.end() || found->second->who != who) return;
    scheduler_.timers().disarm(*found->second);
    watches_.erase(found);
}

void StoreTree::changed(std::string_view path, bool removed) {
    for (const auto& [token, watch] : watches_) {
        if (watch->path == path || below(path, watch->path) ||
            (removed && below(watch->path, path))) {
            watch->trigger();
        }
    }
}

}  // namespace xenfs::sim
