#pragma once
// A set of clients, by the index of their connection.

#include <bit>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <vector>

namespace xenfs::server {

using ConnectionIndex = std::uint16_t;
/// Indices are below this: the journal has 13 bits for one (directory.h).
inline constexpr std::uint32_t most_connections = 4096;
inline constexpr ConnectionIndex no_connection = 0xffff;

/// The first 64 clients are bits of a word in the object, since few hosts have more, and a file is
/// remembered for each of them. Those beyond lie in blocks of 64 by themselves, only such as have
/// members: of a thousand guests most know few files of each other's.
///
/// Invariant: rest_ is null until a client beyond the first 64 comes. Its blocks have ascending
/// numbers from 1 on, and none is empty; it may have no block, so that a set of which members come
/// and go all the time keeps its memory.
///
/// Members are listed in ascending order. Who lists them over a yield, or changes the set
/// meanwhile, takes a copy.
class ClientSet {
    struct Block {
        std::uint32_t number;
        std::uint64_t bits;
        friend bool operator==(const Block&, const Block&) = default;
    };

  public:
    ClientSet() = default;
    ClientSet(std::initializer_list<ConnectionIndex> members) {
        for (const ConnectionIndex i : members) insert(i);
    }
    ClientSet(const ClientSet& other) : first_(other.first_) {
        if (other.has_rest()) rest_ = std::make_unique<std::vector<Block>>(*other.rest_);
    }
    ClientSet(ClientSet&&) noexcept = default;
    ClientSet& operator=(ClientSet&&) noexcept = default;
    ClientSet& operator=(const ClientSet& other) { return *this = ClientSet(other); }

    bool empty() const { return first_ == 0 && !has_rest(); }
    bool contains(ConnectionIndex i) const {
        return i < in_a_block ? (first_ >> i & 1) != 0 : rest_ != nullptr && find(i);
    }
    void insert(ConnectionIndex i) {
        if (i < in_a_block) {
            first_ |= bit(i);
        } else {
            insert_beyond(i);
        }
    }
    void erase(ConnectionIndex i) {
        if (i < in_a_block) {
            first_ &= ~bit(i);
        } else if (rest_ != nullptr) {
            erase_beyond(i);
        }
    }
    void clear() {
        first_ = 0;
        if (rest_ != nullptr) rest_->clear();
    }
    ClientSet& operator|=(const ClientSet& other) {
        first_ |= other.first_;
        if (other.has_rest()) join_beyond(*other.rest_);
        return *this;
    }
    bool intersects(const ClientSet& other) const {
        return (first_ & other.first_) != 0 ||
               (has_rest() && other.has_rest() && meets_beyond(*other.rest_));
    }
    /// The first member from `i` on, or from the beginning where there is none; no_connection: the
    /// set is empty.
    ConnectionIndex next(ConnectionIndex i) const {
        if (has_rest()) return next_beyond(i);
        if (first_ == 0) return no_connection;
        const std::uint64_t from = i < in_a_block ? first_ & ~(bit(i) - 1) : 0;
        return static_cast<ConnectionIndex>(std::countr_zero(from != 0 ? from : first_));
    }
    friend bool operator==(const ClientSet& a, const ClientSet& b) {
        return a.first_ == b.first_ && a.has_rest() == b.has_rest() &&
               (!a.has_rest() || *a.rest_ == *b.rest_);
    }

    class Iterator {
      public:
        using difference_type = std::ptrdiff_t;
        using value_type = ConnectionIndex;

        explicit Iterator(const ClientSet& set) : set_(&set), left_(set.first_) { settle(); }
        ConnectionIndex operator*() const {
            return static_cast<ConnectionIndex>(base_ + std::countr_zero(left_));
        }
        Iterator& operator++() {
            left_ &= left_ - 1;
            settle();
            return *this;
        }
        Iterator operator++(int) {
            Iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const Iterator& at, std::default_sentinel_t) {
            return at.left_ == 0;
        }

      private:
        void settle() {
            if (left_ == 0 && set_->rest_ != nullptr && next_ < set_->rest_->size()) {
                const Block& block = (*set_->rest_)[next_++];
                left_ = block.bits;
                base_ = block.number * in_a_block;
            }
        }
        const ClientSet* set_;
        std::uint64_t left_;
        std::uint32_t base_ = 0;
        std::size_t next_ = 0;
    };
    Iterator begin() const { return Iterator(*this); }
    std::default_sentinel_t end() const { return {}; }

    /// Asserts the invariant, for tests.
    void check() const;

  private:
    static constexpr std::uint32_t in_a_block = 64;

    static std::uint64_t bit(ConnectionIndex i) { return std::uint64_t{1} << i % in_a_block; }
    bool has_rest() const { return rest_ != nullptr && !rest_->empty(); }
    std::vector<Block>::iterator block_of(ConnectionIndex i) const;
    bool find(ConnectionIndex i) const;
    void insert_beyond(ConnectionIndex i);
    void erase_beyond(ConnectionIndex i);
    void join_beyond(const std::vector<Block>& other);
    bool meets_beyond(const std::vector<Block>& other) const;
    ConnectionIndex next_beyond(ConnectionIndex i) const;

    std::uint64_t first_ = 0;
    std::unique_ptr<std::vector<Block>> rest_;
};
static_assert(sizeof(ClientSet) == 16);

}  // namespace xenfs::server
