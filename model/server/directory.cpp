#include "model/server/directory.h"

#include <algorithm>
#include <cstring>

namespace xenfs::server {
namespace {

constexpr std::uint64_t magic = 0x3152'4944'5346'4e58;  // "XNFSDIR1" in memory
constexpr std::uint32_t version = 4;
// It differs from version 4 in what an entry can say: there are no clients beyond the first 255.
constexpr std::uint32_t version_of_few_clients = 3;

// An entry's word: │ 5 bits: upper part of client + 1 │ 51: request │ 8: lower part │. In version 3
// the request had 56 bits, of which none that came from a real client used the upper five.
constexpr unsigned lower_bits = 8, unique_bits = 51, upper_shift = lower_bits + unique_bits;
static_assert(most_connections < 1u << (64 - unique_bits));

}  // namespace

struct Directory::Root {
    std::uint64_t magic;
    std::uint32_t version, reserved;
    std::uint64_t sessions;
    std::uint32_t index[5][PoolTable::index_pages];
};

bool PoolTable::attach(std::uint32_t* index, std::span<const Frame> shared) {
    index_ = index;
    const auto bytes_of = [&](std::uint32_t plus_one) -> std::byte* {
        const Frame frame = plus_one - 1;
        if (!std::binary_search(shared.begin(), shared.end(), frame)) return nullptr;
        return memory_.bytes(host::Page::of_frame(frame));
    };
    for (std::size_t i = 0; i < index_pages && index_[i] != 0; ++i) {
        auto* const page = reinterpret_cast<std::uint32_t*>(bytes_of(index_[i]));
        if (page == nullptr) return false;
        indices_.push_back(page);
        for (std::size_t j = 0; j < leaves_per_index && page[j] != 0; ++j) {
            std::byte* const leaf = bytes_of(page[j]);
            if (leaf == nullptr) return false;
            leaves_.push_back(leaf);
        }
    }
    return true;
}

bool PoolTable::grow() {
    const std::size_t leaf = leaves_.size();
    if (leaf / leaves_per_index >= index_pages) return false;
    if (leaf / leaves_per_index == indices_.size()) {
        const auto frame = memory_.allocate_shared();
        if (!frame) return false;
        std::byte* const page = memory_.bytes(host::Page::of_frame(*frame));
        publish(index_[indices_.size()], *frame + 1);
        indices_.push_back(reinterpret_cast<std::uint32_t*>(page));
    }
    const auto frame = memory_.allocate_shared();
    if (!frame) return false;
    std::byte* const page = memory_.bytes(host::Page::of_frame(*frame));
    publish(indices_.back()[leaf % leaves_per_index], *frame + 1);
    leaves_.push_back(page);
    return true;
}

std::byte* PoolTable::reach(std::uint32_t record) {
    while (record / per_leaf_ >= leaves_.size()) {
        if (!grow()) return nullptr;
    }
    return find(record);
}

void PoolTable::list_frames(std::vector<Frame>& out) const {
    for (std::size_t i = 0; i < indices_.size(); ++i) {
        out.push_back(index_[i] - 1);
        for (std::size_t j = 0; j < leaves_per_index && indices_[i][j] != 0; ++j) {
            out.push_back(indices_[i][j] - 1);
        }
    }
}

Directory::Directory(host::Memory& memory)
    : pages(memory, sizeof(PageRecord)),
      nodes(memory, sizeof(NodeRecord)),
      entries(memory, sizeof(std::uint64_t)),
      clients(memory, sizeof(ClientRecord)),
      intents(memory, sizeof(IntentRecord)),
      memory_(memory) {}

bool Directory::attach(Frame root, std::span<const Frame> shared) {
    root_frame_ = root;
    root_ = reinterpret_cast<Root*>(memory_.bytes(host::Page::of_frame(root)));
    PoolTable* const tables[] = {&pages, &nodes, &entries, &clients, &intents};
    for (std::size_t i = 0; i < std::size(tables); ++i) {
        if (!tables[i]->attach(root_->index[i], shared)) return false;
    }
    return true;
}

std::unique_ptr<Directory> Directory::make(host::Memory& memory) {
    static_assert(sizeof(Root) <= page_size);
    const auto root = memory.allocate_shared();
    if (!root) return nullptr;
    auto made = std::make_unique<Directory>(memory);
    made->attach(*root, {});
    made->root_->version = version;
    publish(made->root_->magic, magic);
    return made;
}

std::unique_ptr<Directory> Directory::open(host::Memory& memory, Frame root,
                                           std::span<const Frame> shared) {
    if (!std::binary_search(shared.begin(), shared.end(), root)) return nullptr;
    auto made = std::make_unique<Directory>(memory);
    const auto* const page =
        reinterpret_cast<const Root*>(memory.bytes(host::Page::of_frame(root)));
    const bool readable = page->version == version || page->version == version_of_few_clients;
    if (page->magic != magic || !readable || !made->attach(root, shared)) return nullptr;
    // Before anything is written that a server of that version would misread.
    publish(made->root_->version, version);
    return made;
}

std::vector<Frame> Directory::frames() const {
    std::vector<Frame> all{root_frame_};
    for (const PoolTable* table : {&pages, &nodes, &entries, &clients, &intents}) {
        table->list_frames(all);
    }
    std::sort(all.begin(), all.end());
    return all;
}

std::uint64_t Directory::next_session() {
    publish(root_->sessions, root_->sessions + 1);
    return root_->sessions;
}

void Directory::begin() {
    fresh_node_ = nodes.records();
    vacant_nodes_.clear();
    for (std::uint32_t i = fresh_node_; i-- > 0;) {
        if (node(i).state == NodeRecord::vacant) vacant_nodes_.push_back(i);
    }
    for (std::uint32_t i = 0; i < pages.records(); ++i) {
        if (page(i).state != 0) sequence_ = std::max(sequence_, page(i).sequence);
    }
}

void Directory::keep_page(std::uint32_t index, Frame frame, NodeId node, std::uint32_t at,
                          PageKept state) {
    PageRecord& record = page(index);
    keep_state(index, PageKept::no);
    record.node = node;
    record.page = at;
    record.frame = frame;
    record.sequence = ++sequence_;
    keep_state(index, state);
}

std::uint32_t Directory::keep_node(NodeId id, std::string_view handle) {
    std::uint32_t record = fresh_node_;
    if (!vacant_nodes_.empty()) {
        record = vacant_nodes_.back();
        vacant_nodes_.pop_back();
    } else if (nodes.reach(record) != nullptr) {
        ++fresh_node_;
    } else {
        return no_node;
    }
    NodeRecord& made = node(record);
    made.node = id;
    // A longer one is left out: the storage then has to find the node by its id.
    made.handle_bytes =
        handle.size() > sizeof made.handle ? 0 : static_cast<std::uint32_t>(handle.size());
    std::memcpy(made.handle, handle.data(), made.handle_bytes);
    publish(made.state, std::uint32_t{NodeRecord::used});
    return record;
}

/// A kill between the stores costs the file's clean pages, no more.
void Directory::keep_stored(std::uint32_t record, std::uint64_t size, WorldTime mtime) {
    NodeRecord& kept = node(record);
    publish(kept.stored_size, size);
    publish(kept.stored_seconds, mtime.seconds);
    publish(kept.stored_nanoseconds, mtime.nanoseconds);
}

/// A kill between the stores of the time leaves one that is wrong by less than a second.
void Directory::keep_size(std::uint32_t record, std::uint64_t size, WorldTime mtime,
                          NodeRecord::State state) {
    NodeRecord& kept = node(record);
    // A kill between two stores must not leave the new size without the cut.
    const bool has_size = kept.state != NodeRecord::used;
    if (state == NodeRecord::cutting && has_size) publish(kept.state, std::uint32_t{state});
    if (state != NodeRecord::used) {
        publish(kept.size, size);
        publish(kept.mtime_seconds, mtime.seconds);
        publish(kept.mtime_nanoseconds, mtime.nanoseconds);
    }
    publish(kept.state, std::uint32_t{state});
}

void Directory::drop_node(std::uint32_t record) {
    publish(node(record).state, std::uint32_t{NodeRecord::vacant});
    vacant_nodes_.push_back(record);
}

void Directory::keep_entry(GrantRef reference, std::uint32_t client, std::uint64_t unique) {
    if (std::byte* const at = entries.reach(reference)) {
        const std::uint64_t number = client + 1;
        const std::uint64_t request = unique << lower_bits & ((1ull << upper_shift) - 1);
        publish(*reinterpret_cast<std::uint64_t*>(at),
                number >> lower_bits << upper_shift | request | (number & 0xff));
    }
}

void Directory::drop_entry(GrantRef reference) {
    if (std::byte* const at = entries.find(reference)) {
        publish(*reinterpret_cast<std::uint64_t*>(at), std::uint64_t{0});
    }
}

Directory::Given Directory::entry(GrantRef reference) const {
    const std::byte* const at = entries.find(reference);
    const std::uint64_t word = at == nullptr ? 0 : *reinterpret_cast<const std::uint64_t*>(at);
    if (word == 0) return {};
    const auto number =
        static_cast<std::uint32_t>(word >> upper_shift << lower_bits | (word & 0xff));
    return {true, number - 1, word >> lower_bits & ((1ull << unique_bits) - 1)};
}

void Directory::keep_client(std::uint32_t index, DomainId domain, std::uint32_t number,
                            std::uint64_t session) {
    auto* const at = reinterpret_cast<ClientRecord*>(clients.reach(index));
    if (at == nullptr) return;
    publish(at->session, std::uint64_t{0});
    at->number = number;
    at->domain = domain;
    publish(at->session, session);
}

void Directory::drop_client(std::uint32_t index) {
    if (auto* const at = reinterpret_cast<ClientRecord*>(clients.find(index))) {
        publish(at->session, std::uint64_t{0});
    }
}

}  // namespace xenfs::server
