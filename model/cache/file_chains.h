// The cached pages of each file are chained through their nodes.
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

#include "model/cache/page_nodes.h"

namespace xenfs::cache {

/// One ring per file, entered at its head. Dirty pages come before all others, so that a file's
/// dirty pages are found in time proportional to their number, at no memory of their own; clean
/// pages follow in order of insertion. 8 B per file slot, 0 per page beyond the node's links.
class FileChains {
  public:
    /// Adds a page: a dirty one first, another last.
    void link(PageNodes& nodes, std::uint32_t file, Slot slot, bool first) {
        if (file >= files_.size()) files_.resize(std::size_t{file} + 1);
        File& chain = files_[file];
        PageNode& node = nodes[slot];
        ++chain.pages;
        if (chain.head == kNoSlot) {
            chain.head = node.chain_prev = node.chain_next = slot;
            return;
        }
        PageNode& head = nodes[chain.head];
        node.chain_prev = head.chain_prev;
        node.chain_next = chain.head;
        nodes[head.chain_prev].chain_next = slot;
        head.chain_prev = slot;
        if (first) chain.head = slot;
    }

    void unlink(PageNodes& nodes, std::uint32_t file, Slot slot) {
        File& chain = files_[file];
        PageNode& node = nodes[slot];
        assert(chain.pages > 0);
        --chain.pages;
        if (chain.pages == 0) {
            assert(chain.head == slot);
            chain.head = kNoSlot;
            return;
        }
        nodes[node.chain_prev].chain_next = node.chain_next;
        nodes[node.chain_next].chain_prev = node.chain_prev;
        if (chain.head == slot) chain.head = node.chain_next;
    }

    Slot head(std::uint32_t file) const {
        return file < files_.size() ? files_[file].head : kNoSlot;
    }
    std::uint32_t pages(std::uint32_t file) const {
        return file < files_.size() ? files_[file].pages : 0;
    }
    std::size_t memory_bytes() const { return files_.capacity() * sizeof(File); }

  private:
    struct File {
        Slot head = kNoSlot;
        std::uint32_t pages = 0;
    };
    std::vector<File> files_;
};

}  // namespace xenfs::cache
