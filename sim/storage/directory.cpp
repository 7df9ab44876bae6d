#include "sim/storage/directory.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {

/// Where the name is, or the free slot where a search for it ends. Removed entries keep their slot
/// until the table is rebuilt, so that searches run past them.
std::size_t Directory::slot_of(std::string_view name, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = (hash >> 32) & mask;
    while (slots_[at] != 0) {
        const Entry& entry = entries_[slots_[at] - 1];
        if (entry.hash == hash && entry.node != 0 && entry.name == name) break;
        at = (at + 1) & mask;
    }
    return at;
}

const Directory::Entry* Directory::find(std::string_view name, std::uint64_t hash) const {
    if (live_ == 0) return nullptr;
    const std::uint32_t slot = slots_[slot_of(name, hash)];
    return slot == 0 ? nullptr : &entries_[slot - 1];
}

void Directory::rebuild(std::size_t slots) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.node == 0; });
    slots_.assign(slots, 0);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        std::size_t at = (entries_[i].hash >> 32) & (slots - 1);
        while (slots_[at] != 0) at = (at + 1) & (slots - 1);
        slots_[at] = static_cast<std::uint32_t>(i + 1);
    }
}

void Directory::add(std::string_view name, NodeId node, FileType type) {
    assert(node != 0);
    const std::uint64_t hash = files::Name::hash_of(name);
    // At most half full, removed entries counted in.
    if ((entries_.size() + 1) * 2 > slots_.size()) {
        std::size_t slots = 8;
        while (slots < (live_ + 1) * 4) slots *= 2;
        rebuild(slots);
    }
    const std::size_t at = slot_of(name, hash);
    assert(slots_[at] == 0 && "the name is there already");
    entries_.push_back({std::string(name), hash, ++last_cookie_, node, type});
    slots_[at] = static_cast<std::uint32_t>(entries_.size());
    ++live_;
}

void Directory::remove(std::string_view name) {
    const std::uint32_t slot = slots_[slot_of(name, files::Name::hash_of(name))];
    assert(slot != 0);
    entries_[slot - 1].node = 0;
    entries_[slot - 1].name.clear();
    --live_;
}

void Directory::replace(std::string_view name, NodeId node, FileType type) {
    const std::uint32_t slot = slots_[slot_of(name, files::Name::hash_of(name))];
    assert(slot != 0 && node != 0);
    entries_[slot - 1].node = node;
    entries_[slot - 1].type = type;
}

const Directory::Entry* Directory::first_after(std::uint64_t offset) const {
    auto at = std::upper_bound(
        entries_.begin(), entries_.end(), offset,
        [](std::uint64_t cookie, const Entry& entry) { return cookie < entry.cookie; });
    while (at != entries_.end() && at->node == 0) ++at;
    return at == entries_.end() ? nullptr : &*at;
}

const Directory::Entry* Directory::next(const Entry* entry) const {
    const Entry* const end = entries_.data() + entries_.size();
    do {
        ++entry;
    } while (entry != end && entry->node == 0);
    return entry == end ? nullptr : entry;
}

}  // namespace xenfs::sim
