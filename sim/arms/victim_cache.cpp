#include "sim/arms/victim_cache.h"

#include <array>

namespace xenfs::sim {

VictimCache::VictimCache(Machine& machine, std::size_t pages)
    : pool_(machine.create_domain({.name = "tmem", .memory_pages = pages, .populated = false})),
      capacity_(pages),
      operation_ns_(machine.costs().time("xen.hypercall") +
                    machine.costs().time("memory.copy.warm")) {}

VictimCache::Entries::iterator VictimCache::remove(Entries::iterator entry) {
    pool_.host().frames().release({&entry->second.frame, 1});
    by_age_.erase(entry->second.age);
    return entries_.erase(entry);
}

void VictimCache::put(Domain& guest, NodeId node, std::uint64_t page, Fingerprint content) {
    guest.host().clock().charge(operation_ns_);
    ++stats_.puts;
    const Key key{guest.id(), node, page};
    if (const auto old = entries_.find(key); old != entries_.end()) remove(old);
    std::array<Frame, 1> frame;
    while (entries_.size() >= capacity_ || pool_.host().frames().allocate(frame) == 0) {
        if (by_age_.empty()) return;
        ++stats_.dropped;
        remove(entries_.find(by_age_.front()));
    }
    pool_.set_content(host::Page::of_frame(frame[0]), content, Writer::program);
    entries_[key] = {frame[0], by_age_.insert(by_age_.end(), key)};
}

std::optional<Fingerprint> VictimCache::get(Domain& guest, NodeId node, std::uint64_t page) {
    guest.host().clock().charge(operation_ns_);
    const auto found = entries_.find({guest.id(), node, page});
    if (found == entries_.end()) {
        ++stats_.misses;
        return std::nullopt;
    }
    ++stats_.hits;
    const Fingerprint content = pool_.content(host::Page::of_frame(found->second.frame));
    remove(found);
    return content;
}

void VictimCache::flush(Domain& guest, NodeId node, std::uint64_t first) {
    for (auto entry = entries_.lower_bound({guest.id(), node, first});
         entry != entries_.end() && std::get<0>(entry->first) == guest.id() &&
         std::get<1>(entry->first) == node;) {
        entry = remove(entry);
        ++stats_.flushed;
    }
}

void VictimCache::flush_all(Domain& guest) {
    for (auto entry = entries_.lower_bound({guest.id(), 0, 0});
         entry != entries_.end() && std::get<0>(entry->first) == guest.id();) {
        entry = remove(entry);
        ++stats_.flushed;
    }
}

}  // namespace xenfs::sim
