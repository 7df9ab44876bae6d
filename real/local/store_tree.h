#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/types.h"

namespace xenfs::real::local {

/// xenstore, kept by the broker. A node belongs to a domain, which may do all with it; others may
/// read it where they were allowed to; domain 0 may do all. A new node takes over its parent's
/// readers. Errors are errno values.
class StoreTree {
  public:
    struct Node {
        std::string value;
        DomainId owner = 0;
        std::set<DomainId> readers;
        std::map<std::string, Node, std::less<>> children;
    };

    /// Called with the domain that has watches to look at.
    explicit StoreTree(std::function<void(DomainId)> wake) : wake_(std::move(wake)) {}

    /// The toolstack's part: /local/domain/<id>, owned by the domain, with its name, which is not.
    void introduce(DomainId domain, std::string_view name);
    /// Its watches end and, where `nodes`, its home goes.
    void forget(DomainId domain, bool nodes);

    Result<std::string> read(DomainId who, std::string_view path);
    int write(DomainId who, std::string_view path, std::string_view value);
    int remove(DomainId who, std::string_view path);
    Result<std::vector<std::string>> list(DomainId who, std::string_view path);
    int allow(DomainId who, std::string_view path, DomainId reader);
    int watch(DomainId who, std::uint64_t token, std::string_view path);
    void unwatch(DomainId who, std::uint64_t token);
    /// The tokens of `who` whose watches fired since the last call; changes in between are one.
    std::vector<std::uint64_t> take_fired(DomainId who);

  private:
    struct Watch {
        std::string path;
        bool fired = false;
    };
    struct Found {
        Node* node;         ///< the node, or the nearest one above it
        std::size_t depth;  ///< how many components of the path it has
        bool exact(const std::vector<std::string_view>& path) const { return depth == path.size(); }
    };
    Found find(const std::vector<std::string_view>& path, std::size_t depth);
    void changed(std::string_view path, bool removed);
    void forget_nodes(const Node& top);  ///< counts them off their owners' quotas
    void fire(DomainId who, Watch& watch);

    Node root_;
    std::uint64_t introduced_ = 0;  ///< domains so far
    std::map<DomainId, std::size_t> nodes_of_;
    std::map<DomainId, std::map<std::uint64_t, Watch>> watches_;
    std::function<void(DomainId)> wake_;
};

}  // namespace xenfs::real::local
