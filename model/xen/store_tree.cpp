#include "model/xen/store_tree.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <optional>

namespace xenfs::xen {
namespace {

// These are XENSTORE_ABS_PATH_MAX and XENSTORE_PAYLOAD_MAX of public/io/xs_wire.h.
constexpr std::size_t max_path = 3072, max_payload = 4096;
// These are the sizes of a record of xenstored: its header, and one permission.
constexpr std::size_t record_header = 24, record_permission = 8;

bool allowed(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '@';
}

/// Returns the components of an absolute path, or nothing where it is not one.
std::optional<std::vector<std::string_view>> split(std::string_view path) {
    if (path.empty() || path.front() != '/' || path.size() > max_path) return std::nullopt;
    std::vector<std::string_view> parts;
    path.remove_prefix(1);
    while (!path.empty()) {
        const auto slash = std::min(path.find('/'), path.size());
        const auto part = path.substr(0, slash);
        if (part.empty() || !std::all_of(part.begin(), part.end(), allowed)) return std::nullopt;
        parts.push_back(part);
        if (slash + 1 == path.size()) return std::nullopt;  // it ends with a slash
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return parts;
}

bool at_or_below(std::string_view path, std::string_view top) {
    return top == "/" || path == top ||
           (path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/');
}

std::string home(DomainId domain) {
    return "/local/domain/" + std::to_string(domain);
}

}  // namespace

bool StoreTree::Node::fits(std::size_t bytes, std::size_t names) const {
    return record_header + record_permission * (1 + readers.size()) + bytes + name_bytes + names <=
           max_entry;
}

StoreTree::Found StoreTree::find(const Path& path) const {
    Found found{&root_, 0};
    while (found.depth < path.size()) {
        const auto child = found.node->children.find(path[found.depth]);
        if (child == found.node->children.end()) break;
        found = {&child->second, found.depth + 1};
    }
    return found;
}

StoreTree::Node* StoreTree::find(const Path& path, std::size_t& depth) {
    const Found found = std::as_const(*this).find(path);
    depth = found.depth;
    return const_cast<Node*>(found.node);  // the node is this tree's, which is not const here
}

void StoreTree::own(Node& node, DomainId owner) {
    --nodes_of_[node.owner];
    ++nodes_of_[owner];
    node.owner = owner;
}

void StoreTree::introduce(DomainId domain, std::string_view name) {
    const std::string top = home(domain);
    const auto made = [&](const std::string& path, std::string_view value) -> Node& {
        [[maybe_unused]] const int error = write(0, path, value);
        assert(error == 0);
        std::size_t depth = 0;
        return *find(*split(path), depth);
    };
    Node& node = made(top, "");
    own(node, domain);
    node.home = true;
    for (const auto& [key, value] : {std::pair<std::string, std::string>{"/name", name},
                                     {"/vm", "/vm/" + std::to_string(++introduced_)}}) {
        Node& told = made(top + key, value);
        own(told, 0);
        told.readers = {domain};
    }
}

void StoreTree::forget(DomainId domain, bool nodes) {
    std::erase_if(watches_, [&](const Watch& watch) { return watch.who == domain; });
    if (nodes) (void)remove(0, home(domain));
}

Result<std::string> StoreTree::read(DomainId who, std::string_view path) const {
    const auto parts = split(path);
    if (!parts) return Errno{EINVAL};
    const auto [node, depth] = find(*parts);
    if (!node->may_read(who)) return Errno{EACCES};
    if (depth != parts->size()) return Errno{ENOENT};
    return node->value;
}

/// Makes the missing nodes of the path below `node`, or none of them. They inherit their readers
/// from the node above. They belong to whoever makes them; those that domain 0 makes belong to the
/// owner of the node above.
int StoreTree::add(DomainId who, Node*& node, std::size_t depth, const Path& path,
                   std::size_t value) {
    if (who != 0) {
        const std::size_t more = path.size() - depth;
        if (nodes_of_[who] + more > max_nodes) return ENOSPC;
        if (!node->fits(node->value.size(), path[depth].size() + 1)) return ENOSPC;
        Node last;
        last.readers = node->readers;
        if (!last.fits(value)) return ENOSPC;
        for (std::size_t i = depth + 1; i < path.size(); ++i) {
            if (!last.fits(0, path[i].size() + 1)) return ENOSPC;
        }
    }
    for (; depth < path.size(); ++depth) {
        Node child;
        child.owner = who != 0 ? who : node->owner;
        child.readers = node->readers;
        ++nodes_of_[child.owner];
        node->name_bytes += path[depth].size() + 1;
        node = &node->children.emplace(path[depth], std::move(child)).first->second;
    }
    return 0;
}

int StoreTree::write(DomainId who, std::string_view path, std::string_view value) {
    if (path.size() + 1 + value.size() > max_payload) return E2BIG;
    const auto parts = split(path);
    if (!parts) return EINVAL;
    std::size_t depth = 0;
    Node* node = find(*parts, depth);
    if (!node->may_write(who)) return EACCES;
    if (depth < parts->size()) {
        if (const int error = add(who, node, depth, *parts, value.size())) return error;
    } else if (who != 0 && !node->fits(value.size())) {
        return ENOSPC;
    }
    node->value = value;
    changed(path, false);
    return 0;
}

int StoreTree::remove(DomainId who, std::string_view path) {
    auto parts = split(path);
    if (!parts || parts->empty()) return EINVAL;
    const auto [node, depth] = std::as_const(*this).find(*parts);
    if (!node->may_write(who) || (depth == parts->size() && node->home && who != 0)) return EACCES;
    if (depth + 1 == parts->size()) return 0;
    if (depth != parts->size()) return ENOENT;
    discount(*node);
    const auto name = parts->back();
    parts->pop_back();
    std::size_t parent_depth = 0;
    Node* const parent = find(*parts, parent_depth);
    parent->name_bytes -= name.size() + 1;
    parent->children.erase(parent->children.find(name));
    changed(path, true);
    return 0;
}

void StoreTree::discount(const Node& top) {
    --nodes_of_[top.owner];
    for (const auto& [name, child] : top.children) discount(child);
}

Result<std::vector<std::string>> StoreTree::list(DomainId who, std::string_view path) const {
    const auto parts = split(path);
    if (!parts) return Errno{EINVAL};
    const auto [node, depth] = find(*parts);
    if (!node->may_read(who)) return Errno{EACCES};
    if (depth != parts->size()) return Errno{ENOENT};
    std::vector<std::string> names;
    for (const auto& [name, child] : node->children) names.push_back(name);
    return names;
}

int StoreTree::allow(DomainId who, std::string_view path, DomainId reader) {
    const auto parts = split(path);
    if (!parts) return EINVAL;
    std::size_t depth = 0;
    Node* const node = find(*parts, depth);
    if (!node->may_write(who)) return EACCES;
    if (depth != parts->size()) return ENOENT;
    const std::size_t permissions = 1 + node->readers.size() + !node->readers.contains(reader);
    if (who != 0 && permissions > max_permissions) return ENOSPC;
    node->readers.insert(reader);
    changed(path, false);  // xenstored fires watches for permissions, too
    return 0;
}

int StoreTree::watch(DomainId who, std::uint64_t token, std::string_view path) {
    if (!split(path)) return EINVAL;
    std::size_t own = 0;
    for (const Watch& watch : watches_) {
        if (watch.who != who) continue;
        if (watch.token == token) return EEXIST;
        ++own;
    }
    if (who != 0 && own >= max_watches) return E2BIG;
    watches_.push_back({who, token, std::string(path)});
    fire_(who, token);
    return 0;
}

void StoreTree::unwatch(DomainId who, std::uint64_t token) {
    watches_.remove_if(
        [&](const Watch& watch) { return watch.who == who && watch.token == token; });
}

void StoreTree::changed(std::string_view path, bool removed) {
    for (const Watch& watch : watches_) {
        if (at_or_below(path, watch.path) || (removed && at_or_below(watch.path, path))) {
            fire_(watch.who, watch.token);
        }
    }
}

}  // namespace xenfs::xen
