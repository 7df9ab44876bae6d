#include "real/local/store_tree.h"

#include <algorithm>
#include <cerrno>
#include <optional>

namespace xenfs::real::local {
namespace {

// XENSTORE_ABS_PATH_MAX and XENSTORE_PAYLOAD_MAX of xs_wire.h; xenstored's default quotas for a
// guest [M].
constexpr std::size_t max_path = 3072, max_value = 4096, max_watches = 128, max_nodes = 1000;

bool allowed(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '@';
}

/// The components of an absolute path; none where it is not one.
std::optional<std::vector<std::string_view>> split(std::string_view path) {
    if (path.empty() || path.front() != '/' || path.size() > max_path) return std::nullopt;
    std::vector<std::string_view> parts;
    path.remove_prefix(1);
    while (!path.empty()) {
        const auto slash = std::min(path.find('/'), path.size());
        const auto part = path.substr(0, slash);
        if (part.empty() || !std::all_of(part.begin(), part.end(), allowed)) return std::nullopt;
        parts.push_back(part);
        if (slash + 1 == path.size()) return std::nullopt;  // ends with a slash
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return parts;
}

bool at_or_below(std::string_view path, std::string_view top) {
    return top == "/" || path == top ||
           (path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/');
}

bool may_read(const StoreTree::Node& node, DomainId who) {
    return who == 0 || node.owner == who || node.readers.contains(who);
}

bool may_write(const StoreTree::Node& node, DomainId who) {
    return who == 0 || node.owner == who;
}

bool all_writable(const StoreTree::Node& top, DomainId who) {
    return may_write(top, who) &&
           std::all_of(top.children.begin(), top.children.end(),
                       [&](const auto& child) { return all_writable(child.second, who); });
}

std::string home(DomainId domain) {
    return "/local/domain/" + std::to_string(domain);
}

}  // namespace

StoreTree::Found StoreTree::find(const std::vector<std::string_view>& path, std::size_t depth) {
    Found found{&root_, 0};
    while (found.depth < depth) {
        const auto child = found.node->children.find(path[found.depth]);
        if (child == found.node->children.end()) break;
        found = {&child->second, found.depth + 1};
    }
    return found;
}

void StoreTree::introduce(DomainId domain, std::string_view name) {
    (void)write(0, home(domain), "");
    const std::string path = home(domain);
    Node& node = *find(*split(path), 3).node;
    --nodes_of_[node.owner];
    ++nodes_of_[domain];
    node.owner = domain;
    // As the toolstack does: the domain may read these, not change them.
    const auto told = [&](std::string_view key, std::string_view value) {
        const std::string path_of_key = path + "/" + std::string(key);
        (void)write(0, path_of_key, value);
        Node& told_node = *find(*split(path_of_key), 4).node;
        --nodes_of_[domain];
        ++nodes_of_[0];
        told_node.owner = 0;
        told_node.readers = {domain};
    };
    told("name", name);
    // Tells two domains of one number apart, as the UUID in a toolstack's does.
    told("vm", "/vm/" + std::to_string(++introduced_));
}

void StoreTree::forget(DomainId domain, bool nodes) {
    watches_.erase(domain);
    if (nodes) (void)remove(0, home(domain));  // its nodes elsewhere stay, as in xenstored
}

Result<std::string> StoreTree::read(DomainId who, std::string_view path) {
    const auto parts = split(path);
    if (!parts) return Errno{EINVAL};
    const Found found = find(*parts, parts->size());
    if (!may_read(*found.node, who)) return Errno{EACCES};
    if (!found.exact(*parts)) return Errno{ENOENT};
    return found.node->value;
}

int StoreTree::write(DomainId who, std::string_view path, std::string_view value) {
    const auto parts = split(path);
    if (!parts || value.size() > max_value) return EINVAL;
    Found found = find(*parts, parts->size());
    if (!may_write(*found.node, who)) return EACCES;
    // Missing nodes on the way inherit from the one above; they belong to whoever makes them, or
    // where domain 0 makes them, to the owner of the one above.
    if (who != 0 && nodes_of_[who] + parts->size() - found.depth > max_nodes) return ENOSPC;
    for (; !found.exact(*parts); ++found.depth) {
        Node child;
        child.owner = who != 0 ? who : found.node->owner;
        child.readers = found.node->readers;
        ++nodes_of_[child.owner];
        found.node =
            &found.node->children.emplace((*parts)[found.depth], std::move(child)).first->second;
    }
    found.node->value = value;
    changed(path, false);
    return 0;
}

int StoreTree::remove(DomainId who, std::string_view path) {
    const auto parts = split(path);
    if (!parts || parts->empty()) return EINVAL;
    const Found found = find(*parts, parts->size());
    if (!may_write(*found.node, who)) return EACCES;
    if (!found.exact(*parts)) return ENOENT;
    if (!all_writable(*found.node, who)) return EACCES;
    const Found parent = find(*parts, parts->size() - 1);
    forget_nodes(*found.node);
    parent.node->children.erase(parent.node->children.find(parts->back()));
    changed(path, true);
    return 0;
}

void StoreTree::forget_nodes(const Node& top) {
    --nodes_of_[top.owner];
    for (const auto& [name, child] : top.children) forget_nodes(child);
}

Result<std::vector<std::string>> StoreTree::list(DomainId who, std::string_view path) {
    const auto parts = split(path);
    if (!parts) return Errno{EINVAL};
    const Found found = find(*parts, parts->size());
    if (!may_read(*found.node, who)) return Errno{EACCES};
    if (!found.exact(*parts)) return Errno{ENOENT};
    std::vector<std::string> names;
    for (const auto& [name, child] : found.node->children) names.push_back(name);
    return names;
}

int StoreTree::allow(DomainId who, std::string_view path, DomainId reader) {
    const auto parts = split(path);
    if (!parts) return EINVAL;
    const Found found = find(*parts, parts->size());
    if (!may_write(*found.node, who)) return EACCES;
    if (!found.exact(*parts)) return ENOENT;
    found.node->readers.insert(reader);
    changed(path, false);  // xenstored fires watches for permissions, too
    return 0;
}

int StoreTree::watch(DomainId who, std::uint64_t token, std::string_view path) {
    if (!split(path)) return EINVAL;
    auto& own = watches_[who];
    if (who != 0 && own.size() >= max_watches) return E2BIG;
    Watch& made = own[token];
    made.path = path;
    fire(who, made);
    return 0;
}

void StoreTree::unwatch(DomainId who, std::uint64_t token) {
    if (const auto own = watches_.find(who); own != watches_.end()) own->second.erase(token);
}

std::vector<std::uint64_t> StoreTree::take_fired(DomainId who) {
    std::vector<std::uint64_t> tokens;
    const auto own = watches_.find(who);
    if (own == watches_.end()) return tokens;
    for (auto& [token, watch] : own->second) {
        if (std::exchange(watch.fired, false)) tokens.push_back(token);
    }
    return tokens;
}

void StoreTree::changed(std::string_view path, bool removed) {
    for (auto& [who, own] : watches_) {
        for (auto& [token, watch] : own) {
            if (at_or_below(path, watch.path) || (removed && at_or_below(watch.path, path))) {
                fire(who, watch);
            }
        }
    }
}

void StoreTree::fire(DomainId who, Watch& watch) {
    if (std::exchange(watch.fired, true)) return;
    wake_(who);
}

}  // namespace xenfs::real::local
