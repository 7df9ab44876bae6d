#pragma once
// Files whose last name was taken away while somebody has them open: they get a name in a hidden
// directory of the tree, so that they outlive the server's process, should it be killed.

#include <mutex>
#include <set>
#include <string_view>
#include <vector>

#include "model/host/types.h"
#include "real/common/descriptor.h"

namespace xenfs::real::storage {

/// Thread-safe. Nothing is done where the tree cannot have such a directory (read-only, no hard
/// links): then those files end with the server.
class Nameless {
  public:
    /// In the root of the tree; no client may name it.
    static constexpr std::string_view directory_name = ".xenfs-nameless";

    /// Takes over what a predecessor left there.
    explicit Nameless(int root);
    /// Before the name goes: gives the file another one. True: it has it.
    bool keep(int directory, std::string_view name, NodeId node);
    /// It is needed no more, or was not unlinked after all.
    void drop(NodeId node);
    bool has(NodeId node) const;
    std::vector<NodeId> all() const;

  private:
    bool open_directory();
    const int root_;
    mutable std::mutex mutex_;
    Descriptor directory_;
    std::set<NodeId> nodes_;
};

}  // namespace xenfs::real::storage
