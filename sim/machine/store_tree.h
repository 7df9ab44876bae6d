#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/store.h"
#include "sim/machine/scheduler.h"

namespace xenfs::sim {

/// xenstore, one for the machine. A node belongs to a domain, which may read and write it; others
/// read it when allowed; domain 0 may do all. A new node takes over its parent's readers.
class StoreTree {
  public:
    StoreTree(Scheduler& scheduler, Nanoseconds watch_latency);
    ~StoreTree();

    /// The toolstack's part: /local/domain/<id>, owned by the domain.
    void introduce(DomainId domain);
    void forget(DomainId domain);  ///< its home and its watches go
    void unwatch_all(DomainId domain);

    Result<std::string> read(DomainId who, std::string_view path);
    int write(DomainId who, std::string_view path, std::string_view value);
    int remove(DomainId who, std::string_view path);
    Result<std::vector<std::string>> list(DomainId who, std::string_view path);
    int allow(DomainId who, std::string_view path, DomainId reader);
    std::uint64_t watch(TaskOwner& owner, DomainId who, std::string_view path,
                        std::function<void()> changed);
    void unwatch(DomainId who, std::uint64_t token);

  private:
    struct Node {
        std::string value;
        DomainId owner = 0;
        std::vector<DomainId> readers;
    };
    struct Watch;

    static bool valid(std::string_view path);
    static bool may_read(const Node& node, DomainId who);
    /// The node itself, or the nearest one above it; the root always exists.
    std::map<std::string, Node, std::less<>>::iterator nearest(std::string_view path);
    void changed(std::string_view path, bool removed);

    Scheduler& scheduler_;
    Nanoseconds watch_latency_;
    std::map<std::string, Node, std::less<>> nodes_;
    std::map<std::uint64_t, std::unique_ptr<Watch>> watches_;
    std::uint64_t last_token_ = 0;
};

}  // namespace xenfs::sim
