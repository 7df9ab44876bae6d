#pragma once
// The table of connections, by index. Whoever looks a client up after a yield finds nothing where
// it has gone meanwhile.

#include <array>
#include <bit>
#include <cassert>
#include <functional>
#include <memory>
#include <utility>

#include "model/server/connection.h"

namespace xenfs::server {

/// The indices of the bits that are set in a mask, in ascending order.
class Bits {
  public:
    explicit Bits(std::uint64_t mask) : mask_(mask) {}
    struct Iterator {
        std::uint64_t left;
        ConnectionIndex operator*() const {
            return static_cast<ConnectionIndex>(std::countr_zero(left));
        }
        Iterator& operator++() {
            left &= left - 1;
            return *this;
        }
        friend bool operator==(const Iterator&, const Iterator&) = default;
    };
    Iterator begin() const { return {mask_}; }
    Iterator end() const { return {0}; }

  private:
    std::uint64_t mask_;
};

/// Invariants: a connection stands at the place that its index names. It stays there while a
/// ConnectionUse holds it: only the control task removes connections, and only those that are idle.
class Clients {
  public:
    using Places = std::array<std::unique_ptr<Connection>, 64>;

    /// `idle` is called when the last task lets go of a connection that is over.
    explicit Clients(std::function<void()> idle) : idle_(std::move(idle)) {}

    /// Null: the place is vacant.
    Connection* at(ConnectionIndex index) const { return places_[index].get(); }
    /// Null: nobody is connected there.
    Connection* alive(ConnectionIndex index) const {
        Connection* const c = at(index);
        return c != nullptr && c->alive() ? c : nullptr;
    }
    /// Null: that client is connected no more, whoever has its index now.
    Connection* alive(ConnectionIndex index, std::uint32_t generation) const {
        Connection* const c = alive(index);
        return c != nullptr && c->generation == generation ? c : nullptr;
    }
    template <class Each>
    void for_each_alive(Each&& each) const {
        for (const auto& c : places_) {
            if (c != nullptr && c->alive()) each(*c);
        }
    }
    /// All places, for tasks that look at every connection whatever its state.
    const Places& places() const { return places_; }

    /// A new connection at the first vacant place. Null: there is none.
    Connection* add() {
        for (std::size_t i = 0; i < places_.size(); ++i) {
            if (places_[i] != nullptr) continue;
            places_[i] = std::make_unique<Connection>();
            places_[i]->index = static_cast<ConnectionIndex>(i);
            places_[i]->generation = ++generations_;
            return places_[i].get();
        }
        return nullptr;
    }
    void remove(ConnectionIndex index) {
        assert(places_[index]->active == 0 && "a task uses the connection");
        places_[index].reset();
    }
    /// Before anybody is connected: a client gets the index that it had at a predecessor.
    void swap(ConnectionIndex a, ConnectionIndex b) {
        std::swap(places_[a], places_[b]);
        for (const ConnectionIndex i : {a, b}) {
            if (places_[i] != nullptr) places_[i]->index = i;
        }
    }

  private:
    friend class ConnectionUse;

    Places places_;
    std::uint32_t generations_ = 0;
    std::function<void()> idle_;
};

/// Keeps a connection, its ring and its requests across yields.
class YIELD_GUARD ConnectionUse {
  public:
    ConnectionUse(Clients& clients, Connection& c) : clients_(clients), c_(c) { ++c.active; }
    ~ConnectionUse() {
        if (--c_.active == 0 && !c_.alive()) clients_.idle_();
    }
    ConnectionUse(const ConnectionUse&) = delete;
    ConnectionUse& operator=(const ConnectionUse&) = delete;
    Connection& operator*() const { return c_; }
    Connection* operator->() const { return &c_; }

  private:
    Clients& clients_;
    Connection& c_;
};

}  // namespace xenfs::server
