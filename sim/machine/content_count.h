#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// Counts how many frames hold each content, and so how many contents there are. It is a hash table
/// with linear probing and deletion by shifting back. An entry takes 16 bytes; at most 3/4 are
/// full.
class ContentCount {
  public:
    std::size_t unique() const { return size_; }

    void add(Fingerprint content) {
        if (slots_.empty() || size_ * 4 >= slots_.size() * 3) grow();
        Slot& slot = slots_[find(content)];
        if (slot.frames == 0) {
            slot.content = content;
            ++size_;
        }
        ++slot.frames;
    }

    void remove(Fingerprint content) {
        std::size_t at = find(content);
        if (--slots_[at].frames > 0) return;
        --size_;
        // Each entry that would not be found across the gap is moved back, which closes it.
        const std::size_t mask = slots_.size() - 1;
        for (std::size_t next = (at + 1) & mask; slots_[next].frames != 0;
             next = (next + 1) & mask) {
            const std::size_t home = place(slots_[next].content);
            if (((next - home) & mask) >= ((next - at) & mask)) {
                slots_[at] = slots_[next];
                slots_[next].frames = 0;
                at = next;
            }
        }
    }

  private:
    struct Slot {
        Fingerprint content = 0;
        std::uint64_t frames = 0;  ///< 0 where the entry is empty
    };

    std::size_t place(Fingerprint content) const {
        return static_cast<std::size_t>((content * 0x9E3779B97F4A7C15u) >>
                                        (64 - std::countr_zero(slots_.size())));
    }

    std::size_t find(Fingerprint content) const {
        std::size_t at = place(content);
        while (slots_[at].frames != 0 && slots_[at].content != content) {
            at = (at + 1) & (slots_.size() - 1);
        }
        return at;
    }

    void grow() {
        std::vector<Slot> old(slots_.empty() ? 1024 : slots_.size() * 2);
        old.swap(slots_);
        for (const Slot& slot : old) {
            if (slot.frames != 0) slots_[find(slot.content)] = slot;
        }
    }

    std::vector<Slot> slots_;
    std::size_t size_ = 0;
};

}  // namespace xenfs::sim
