#include "model/server/client_set.h"

#include <algorithm>

namespace xenfs::server {

/// The first block whose number is not below that of the client's.
std::vector<ClientSet::Block>::iterator ClientSet::block_of(ConnectionIndex i) const {
    return std::lower_bound(
        rest_->begin(), rest_->end(), i / in_a_block,
        [](const Block& block, std::uint32_t number) { return block.number < number; });
}

bool ClientSet::find(ConnectionIndex i) const {
    const auto at = block_of(i);
    return at != rest_->end() && at->number == i / in_a_block && (at->bits & bit(i)) != 0;
}

void ClientSet::insert_beyond(ConnectionIndex i) {
    assert(i < most_connections);
    if (rest_ == nullptr) rest_ = std::make_unique<std::vector<Block>>();
    const auto at = block_of(i);
    if (at != rest_->end() && at->number == i / in_a_block) {
        at->bits |= bit(i);
    } else {
        rest_->insert(at, {i / in_a_block, bit(i)});
    }
}

void ClientSet::erase_beyond(ConnectionIndex i) {
    const auto at = block_of(i);
    if (at == rest_->end() || at->number != i / in_a_block) return;
    at->bits &= ~bit(i);
    if (at->bits == 0) rest_->erase(at);
}

void ClientSet::join_beyond(const std::vector<Block>& other) {
    if (rest_ == nullptr) rest_ = std::make_unique<std::vector<Block>>();
    auto at = rest_->begin();
    for (const Block& block : other) {
        while (at != rest_->end() && at->number < block.number) ++at;
        if (at != rest_->end() && at->number == block.number) {
            at->bits |= block.bits;
        } else {
            at = rest_->insert(at, block);
        }
    }
}

bool ClientSet::meets_beyond(const std::vector<Block>& other) const {
    for (auto a = rest_->begin(), b = rest_->end(); const Block& block : other) {
        while (a != b && a->number < block.number) ++a;
        if (a != b && a->number == block.number && (a->bits & block.bits) != 0) return true;
    }
    return false;
}

ConnectionIndex ClientSet::next_beyond(ConnectionIndex i) const {
    const auto first_of = [](std::uint32_t number, std::uint64_t bits) {
        return static_cast<ConnectionIndex>(number * in_a_block +
                                            static_cast<std::uint32_t>(std::countr_zero(bits)));
    };
    const std::uint64_t behind = ~(bit(i) - 1);  // of the bits of the client's own block
    if (i < in_a_block && (first_ & behind) != 0) return first_of(0, first_ & behind);
    for (auto at = block_of(i); at != rest_->end(); ++at) {
        const std::uint64_t bits = at->number == i / in_a_block ? at->bits & behind : at->bits;
        if (bits != 0) return first_of(at->number, bits);
    }
    if (first_ != 0) return first_of(0, first_);
    return first_of(rest_->front().number, rest_->front().bits);
}

void ClientSet::check() const {
    if (rest_ == nullptr) return;
    std::uint32_t last = 0;
    for (const Block& block : *rest_) {
        assert(block.number > last && block.bits != 0 && "blocks ascend and have members");
        last = block.number;
    }
}

}  // namespace xenfs::server
