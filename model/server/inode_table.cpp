#include "model/server/inode_table.h"

#include <algorithm>
#include <cassert>

#include "model/server/locks.h"

namespace xenfs::server {

Inode::Inode() = default;
Inode::~Inode() = default;
Inode::Inode(Inode&&) noexcept = default;
Inode& Inode::operator=(Inode&&) noexcept = default;

std::vector<Openers::Opens>::const_iterator Openers::place_of(ConnectionIndex client) const {
    return std::lower_bound(
        counts_.begin(), counts_.end(), client,
        [](const Opens& opens, ConnectionIndex wanted) { return opens.client < wanted; });
}

ClientSet Openers::clients() const {
    ClientSet all;
    for (const Opens& opens : counts_) all.insert(opens.client);
    return all;
}

void Openers::add(ConnectionIndex client) {
    const auto at = counts_.begin() + (place_of(client) - counts_.cbegin());
    if (at != counts_.end() && at->client == client) {
        ++at->count;
    } else {
        counts_.insert(at, {client, 1});
    }
}

bool Openers::remove(ConnectionIndex client) {
    assert(contains(client) && "it does not have the file open");
    const auto its = counts_.begin() + (place_of(client) - counts_.cbegin());
    if (--its->count != 0) return false;
    counts_.erase(its);
    return true;
}

InodeTable::Index InodeTable::find_or_make(NodeId node) {
    if (const Index known = find(node); known != none) return known;
    Index index;
    if (vacant_.empty()) {
        index = static_cast<Index>(records_.size());
        records_.emplace_back();
    } else {
        index = vacant_.back();
        vacant_.pop_back();
    }
    records_[index].node = node;
    by_node_.emplace(node, index);
    return index;
}

void InodeTable::erase(Index index) {
    Inode& inode = records_[index];
    assert(inode.refs == 0 && inode.io == 0 && inode.openers.empty());
    if (inode.file != no_file) free_file(inode.file);
    for (const std::uint32_t file : inode.files) {
        if (file != no_file) free_file(file);
    }
    by_node_.erase(inode.node);
    inode = Inode{};
    vacant_.push_back(index);
}

std::uint32_t InodeTable::make_file(Index owner) {
    std::uint32_t file;
    if (free_files_.empty()) {
        file = static_cast<std::uint32_t>(file_owner_.size());
        file_owner_.push_back(owner);
    } else {
        file = free_files_.back();
        free_files_.pop_back();
        file_owner_[file] = owner;
    }
    return file;
}

}  // namespace xenfs::server
