#include "model/client/entry_cache.h"

#include <cstring>

namespace xenfs::client {

void EntryCache::put(NodeId parent, const Name& name, NodeId node) {
    std::uint32_t record = record_of(parent, name);
    if (record != no_record) {
        entries_[record].node = node;
        entries_[record].referenced = true;
        return;
    }
    record = take_record();
    Entry& entry = entries_[record];
    entry.parent = parent;
    entry.node = node;
    entry.hash = name.hash;
    entry.length = static_cast<std::uint16_t>(name.text.size());
    entry.used = true;
    entry.referenced = false;
    char* text = entry.text.data();
    if (entry.length > entry.text.size()) {
        entry.long_text = new char[entry.length];
        text = entry.long_text;
    }
    std::memcpy(text, name.text.data(), name.text.size());

    std::uint32_t directory = directory_of(parent);
    if (directory == no_record) {
        if (free_directories_.empty()) {
            directory = static_cast<std::uint32_t>(directories_.size());
            directories_.emplace_back();
        } else {
            directory = free_directories_.back();
            free_directories_.pop_back();
        }
        directories_[directory] = {parent, no_record};
        directory_index_.insert(mix_hash(parent, 0), directory);
    }
    entry.prev = no_record;
    entry.next = directories_[directory].first;
    if (entry.next != no_record) entries_[entry.next].prev = record;
    directories_[directory].first = record;
    index_.insert(mix_hash(parent, name.hash), record);
}

std::uint32_t EntryCache::take_record() {
    if (index_.size() >= limit_) {
        while (!entries_[hand_].used || entries_[hand_].referenced) {
            entries_[hand_].referenced = false;
            hand_ = (hand_ + 1) % static_cast<std::uint32_t>(entries_.size());
        }
        remove(hand_);
    }
    if (!free_entries_.empty()) {
        const std::uint32_t record = free_entries_.back();
        free_entries_.pop_back();
        return record;
    }
    entries_.emplace_back();
    return static_cast<std::uint32_t>(entries_.size()) - 1;
}

void EntryCache::remove(std::uint32_t record) {
    Entry& entry = entries_[record];
    index_.erase(mix_hash(entry.parent, entry.hash), record);
    if (entry.next != no_record) entries_[entry.next].prev = entry.prev;
    if (entry.prev != no_record) {
        entries_[entry.prev].next = entry.next;
    } else {
        const std::uint32_t directory = directory_of(entry.parent);
        directories_[directory].first = entry.next;
        if (entry.next == no_record) {
            directory_index_.erase(mix_hash(entry.parent, 0), directory);
            free_directories_.push_back(directory);
        }
    }
    if (entry.length > entry.text.size()) delete[] entry.long_text;
    entry.length = 0;
    entry.used = false;
    free_entries_.push_back(record);
}

void EntryCache::forget(NodeId parent, const Name& name) {
    const std::uint32_t record = record_of(parent, name);
    if (record != no_record) remove(record);
}

NodeId EntryCache::forget(NodeId parent, std::uint64_t name_hash) {
    NodeId named = negative;
    for (;;) {
        const std::uint32_t record = index_.find(mix_hash(parent, name_hash), [&](std::uint32_t i) {
            return entries_[i].parent == parent && entries_[i].hash == name_hash;
        });
        if (record == no_record) return named;
        if (entries_[record].node != negative) named = entries_[record].node;
        remove(record);
    }
}

void EntryCache::forget_directory(NodeId parent) {
    for (;;) {
        const std::uint32_t directory = directory_of(parent);
        if (directory == no_record) return;
        remove(directories_[directory].first);
    }
}

void EntryCache::clear() {
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
        if (entries_[i].used) remove(i);
    }
}

std::size_t EntryCache::memory_bytes() const {
    return entries_.capacity() * sizeof(Entry) + directories_.capacity() * sizeof(Directory) +
           index_.memory_bytes() + directory_index_.memory_bytes();
}

}  // namespace xenfs::client
