#pragma once
// The entries of one directory: by name in constant time, and in the order of their making.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/files/file_system.h"
#include "model/host/types.h"

namespace xenfs::sim {

using host::FileType;

/// Without "." and "..". Copyable: a volume that changes a shared directory copies it first.
class Directory {
  public:
    struct Entry {
        std::string name;
        std::uint64_t hash = 0;    ///< files::Name::hash_of
        std::uint64_t cookie = 0;  ///< rises; readdir's offset after this entry
        NodeId node = 0;           ///< 0: removed
        FileType type = FileType::regular;
    };

    const Entry* find(std::string_view name, std::uint64_t hash) const;
    const Entry* find(std::string_view name) const {
        return find(name, files::Name::hash_of(name));
    }
    /// The name must not be there.
    void add(std::string_view name, NodeId node, FileType type);
    /// The name must be there.
    void remove(std::string_view name);
    void replace(std::string_view name, NodeId node, FileType type);

    std::size_t size() const { return live_; }
    bool empty() const { return live_ == 0; }
    /// The first entry with a cookie above `offset`, to be followed by next(); null at the end.
    const Entry* first_after(std::uint64_t offset) const;
    const Entry* next(const Entry* entry) const;

  private:
    std::size_t slot_of(std::string_view name, std::uint64_t hash) const;
    void rebuild(std::size_t slots);

    std::vector<Entry> entries_;        ///< by cookie, with holes
    std::vector<std::uint32_t> slots_;  ///< position + 1 in entries_; 0 free. Open addressing.
    std::size_t live_ = 0;
    std::uint64_t last_cookie_ = 0;
};

}  // namespace xenfs::sim
