// The cached pages of each file, chained through their records.
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

#include "model/cache/page_nodes.h"

namespace xenfs::cache {

/// One ring per file, entered at its head. Dirty pages come before all others, so that a file's
/// dirty pages are found in time proportional to their number, at no memory of their own; clean
/// pages follow in order of insertion. 8 B per file slot, 0 per page beyond the record's links.
class FileChains {
  public:
    /// Adds a page: dirty ones first, others last.
    void link(ZeroedArray<PageRecord>& records, std::uint32_t file, Slot slot, bool first) {
        if (file >= files_.size()) files_.resize(std::size_t{file} + 1);
        File& chain = files_[file];
        PageRecord& record = records[slot];
        ++chain.pages;
        if (chain.head == kNoSlot) {
            chain.head = record.chain_prev = record.chain_next = slot;
            return;
        }
        PageRecord& head = records[chain.head];
        record.chain_prev = head.chain_prev;
        record.chain_next = chain.head;
        records[head.chain_prev].chain_next = slot;
        head.chain_prev = slot;
        if (first) chain.head = slot;
    }

    void unlink(ZeroedArray<PageRecord>& records, std::uint32_t file, Slot slot) {
        File& chain = files_[file];
        PageRecord& record = records[slot];
        assert(chain.pages > 0);
        --chain.pages;
        if (chain.pages == 0) {
            assert(chain.head == slot);
            chain.head = kNoSlot;
            return;
        }
        records[record.chain_prev].chain_next = record.chain_next;
        records[record.chain_next].chain_prev = record.chain_prev;
        if (chain.head == slot) chain.head = record.chain_next;
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
