#pragma once
// A file whose last name is removed while somebody has it open gets a name in a hidden directory of
// the tree, so that it outlives a server that is killed.

#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/host/types.h"
#include "real/common/descriptor.h"

namespace xenfs::real::storage {

/// Thread-safe. Where the tree cannot have such a directory (read-only, no hard links) nothing is
/// done, and those files end with the server.
class Nameless {
  public:
    /// The name of the directory, in the root of the tree. No client may name it.
    static constexpr std::string_view directory_name = ".xenfs-nameless";

    /// Takes over the files that a predecessor left there.
    explicit Nameless(int root);
    /// Gives the file its hidden name before the last name goes. Returns whether it has one.
    bool keep(int directory, std::string_view name, NodeId node);
    /// Does so for a file that never had one, by a descriptor's number in `by_number`
    /// (NodeTable::by_number()).
    bool keep_open(int by_number, int descriptor, NodeId node) {
        return keep(by_number, std::to_string(descriptor), node, true);
    }
    /// Removes the hidden name, because the file is needed no more or was not unlinked after all.
    void drop(NodeId node);
    bool has(NodeId node) const;
    std::vector<NodeId> all() const;

  private:
    bool keep(int directory, std::string_view name, NodeId node, bool follows);
    bool open_directory();
    const int root_;
    mutable std::mutex mutex_;
    Descriptor directory_;
    std::set<NodeId> nodes_;
};

}  // namespace xenfs::real::storage
