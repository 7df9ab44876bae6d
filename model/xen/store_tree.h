#pragma once
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/types.h"

namespace xenfs::xen {

/// A tree as xenstore keeps it: nodes with owners, readers and watches, and the quotas of
/// xenstored. A node belongs to a domain, which has all rights to it; others may read it where they
/// were allowed to; domain 0 has all rights to all. A new node inherits its parent's readers.
/// Errors are errno values.
///
/// Invariant: the count of each domain's nodes is the number of nodes that it owns. No call of a
/// guest takes that count, its watches, or the size of a node above the quotas.
class StoreTree {
  public:
    /// The quotas are xenstored's defaults for a guest (tools/xenstored/domain.c).
    static constexpr std::size_t max_nodes = 1000, max_watches = 128, max_entry = 2048,
                                 max_permissions = 5;

    /// `fire` is called with the domain and the token of each watch that fires.
    explicit StoreTree(std::function<void(DomainId, std::uint64_t)> fire)
        : fire_(std::move(fire)) {}

    /// Makes a domain's home, /local/domain/<id>, as the toolstack does. The domain may make nodes
    /// in it; the nodes `name` and `vm` there, which tells apart two domains that had one number,
    /// are the toolstack's.
    void introduce(DomainId domain, std::string_view name);
    /// Ends the domain's watches and, where `nodes`, removes its home. Its nodes elsewhere stay.
    void forget(DomainId domain, bool nodes);

    Result<std::string> read(DomainId who, std::string_view path) const;
    int write(DomainId who, std::string_view path, std::string_view value);
    /// Removes a node and all below it, whoever owns that. Removing a node that does not exist
    /// succeeds where its parent exists.
    int remove(DomainId who, std::string_view path);
    Result<std::vector<std::string>> list(DomainId who, std::string_view path) const;
    int allow(DomainId who, std::string_view path, DomainId reader);
    /// Adds a watch, which fires at once and after each change at or below the path. The caller
    /// chooses `token`.
    int watch(DomainId who, std::uint64_t token, std::string_view path);
    void unwatch(DomainId who, std::uint64_t token);

  private:
    struct Node {
        std::string value;
        DomainId owner = 0;
        std::set<DomainId> readers;
        std::map<std::string, Node, std::less<>> children;
        /// the length of all children's names, each with its terminator
        std::size_t name_bytes = 0;
        bool home = false;  ///< a domain's home, which only the toolstack removes

        bool may_read(DomainId who) const { return may_write(who) || readers.contains(who); }
        bool may_write(DomainId who) const { return who == 0 || owner == who; }
        /// Returns whether the node fits a guest's quota with a value of `bytes` and `names` more
        /// bytes of names.
        bool fits(std::size_t bytes, std::size_t names = 0) const;
    };
    struct Watch {
        DomainId who;
        std::uint64_t token;
        std::string path;
    };
    using Path = std::vector<std::string_view>;
    struct Found {
        const Node* node;   ///< the node, or the nearest one above it
        std::size_t depth;  ///< how many components of the path exist
    };
    Found find(const Path& path) const;
    Node* find(const Path& path, std::size_t& depth);
    int add(DomainId who, Node*& node, std::size_t depth, const Path& path, std::size_t value);
    void own(Node& node, DomainId owner);
    void changed(std::string_view path, bool removed);
    void discount(const Node& top);

    Node root_;
    std::uint64_t introduced_ = 0;  ///< how many domains there have been
    std::map<DomainId, std::size_t> nodes_of_;
    std::list<Watch> watches_;  ///< in the order in which they were made
    std::function<void(DomainId, std::uint64_t)> fire_;
};

}  // namespace xenfs::xen
