#pragma once
// The names that a client knows: (directory, name) -> node, and names known not to exist.

#include <array>
#include <cstdint>
#include <vector>

#include "model/client/hash_index.h"
#include "model/client/vocabulary.h"

namespace xenfs::client {

/// It is bounded; beyond the bound the names not asked for lately go first (CLOCK). The server
/// tells of every change to a name that it gave out, so an entry is right for as long as it is
/// here. Owns the text of its names.
class EntryCache {
  public:
    static constexpr NodeId negative = 0;  ///< the name does not exist
    static constexpr NodeId unknown = ~NodeId{0};

    explicit EntryCache(std::uint32_t limit) : limit_(limit < 16 ? 16 : limit) {}
    EntryCache(const EntryCache&) = delete;
    EntryCache& operator=(const EntryCache&) = delete;
    ~EntryCache() { clear(); }

    /// Returns a node, `negative`, or `unknown`. Allocates nothing.
    NodeId find(NodeId parent, const Name& name) {
        const std::uint32_t record = record_of(parent, name);
        if (record == no_record) return unknown;
        entries_[record].referenced = true;
        return entries_[record].node;
    }

    /// Adds or replaces an entry; `node` may be `negative`.
    void put(NodeId parent, const Name& name, NodeId node);

    void forget(NodeId parent, const Name& name);
    /// Forgets all names with that hash in that directory, since a notice carries no text. Returns
    /// a node that one of them named, or `negative`.
    NodeId forget(NodeId parent, std::uint64_t name_hash);
    /// Forgets all names in a directory, because it was removed or the server asks for it.
    void forget_directory(NodeId parent);
    void clear();

    std::uint32_t size() const { return index_.size(); }
    std::size_t memory_bytes() const;

  private:
    static constexpr std::size_t inline_text = 24;  ///< most names of a source tree fit

    struct Entry {
        NodeId parent = 0;
        NodeId node = 0;
        std::uint64_t hash = 0;
        union {
            std::array<char, inline_text> text;
            char* long_text;  ///< owned; used where length > text.size()
        };
        std::uint32_t next = no_record, prev = no_record;  ///< the directory's chain
        std::uint16_t length = 0;
        bool used = false;
        bool referenced = false;
        Entry() : text{} {}
        std::string_view name() const {
            return {length <= text.size() ? text.data() : long_text, length};
        }
    };
    static_assert(sizeof(Entry) == 64);

    struct Directory {
        NodeId parent = 0;
        std::uint32_t first = no_record;
    };

    std::uint32_t record_of(NodeId parent, const Name& name) const {
        return index_.find(mix_hash(parent, name.hash), [&](std::uint32_t i) {
            const Entry& entry = entries_[i];
            return entry.parent == parent && entry.hash == name.hash && entry.name() == name.text;
        });
    }
    std::uint32_t directory_of(NodeId parent) const {
        return directory_index_.find(
            mix_hash(parent, 0), [&](std::uint32_t i) { return directories_[i].parent == parent; });
    }
    std::uint32_t take_record();
    void remove(std::uint32_t record);

    std::uint32_t limit_;
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> free_entries_;
    HashIndex index_;
    std::vector<Directory> directories_;  ///< the directories that have entries here
    std::vector<std::uint32_t> free_directories_;
    HashIndex directory_index_;
    std::uint32_t hand_ = 0;
};

}  // namespace xenfs::client
