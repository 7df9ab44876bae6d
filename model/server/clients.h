#pragma once
// The table of connections, by index. Whoever looks a client up after a yield finds nothing where
// it has gone meanwhile.

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/server/connection.h"

namespace xenfs::server {

/// What a part keeps for each client, by index. It has room for a client from the first use of its
/// index on, and never moves, since most servers have few clients.
template <class T>
class ByClient {
  public:
    T& operator[](ConnectionIndex index) {
        auto& chunk = chunks_[index / chunk_size];
        if (chunk == nullptr) chunk = std::make_unique<Chunk>();
        return (*chunk)[index % chunk_size];
    }
    const T& operator[](ConnectionIndex index) const {
        static const T unused{};
        const auto& chunk = chunks_[index / chunk_size];
        return chunk == nullptr ? unused : (*chunk)[index % chunk_size];
    }

  private:
    static constexpr std::size_t chunk_size = 64;
    using Chunk = std::array<T, chunk_size>;
    std::array<std::unique_ptr<Chunk>, most_connections / chunk_size> chunks_;
};

/// Invariants: a connection stands at the place that its index names. It stays there while a
/// ConnectionUse holds it: only the control task removes connections, and only those that are idle.
/// There are no more connections than `most`, wherever they stand, and one for each device.
class Clients {
  public:
    /// As long as the highest place that was ever used.
    using Places = std::vector<std::unique_ptr<Connection>>;

    /// `idle` is called when the last task lets go of a connection that is over.
    Clients(std::uint32_t most, std::function<void()> idle) : most_(most), idle_(std::move(idle)) {
        assert(most <= most_connections);
    }

    /// Null: the place is vacant.
    Connection* at(ConnectionIndex index) const {
        return index < places_.size() ? places_[index].get() : nullptr;
    }
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
    /// All places, for tasks that look at every connection whatever its state. They may become
    /// more at any yield.
    const Places& places() const { return places_; }

    /// The connection of a device, whatever its state. Null: it is not attached.
    Connection* find(DomainId guest, std::uint32_t number) const {
        const auto found = by_device_.find(key(guest, number));
        return found == by_device_.end() ? nullptr : at(found->second);
    }

    /// A new connection at the first vacant place. Null: there are as many as there may be.
    Connection* add(const protocol::Device& device) {
        assert(find(device.guest, device.number) == nullptr && "it is attached");
        if (count_ == most_) return nullptr;
        const auto vacant = std::find(places_.begin(), places_.end(), nullptr);
        const auto index = static_cast<ConnectionIndex>(vacant - places_.begin());
        if (vacant == places_.end()) places_.emplace_back();
        places_[index] = std::make_unique<Connection>();
        places_[index]->device = device;
        places_[index]->index = index;
        by_device_[key(device.guest, device.number)] = index;
        places_[index]->generation = ++generations_;
        ++count_;
        return places_[index].get();
    }
    void remove(ConnectionIndex index) {
        const Connection& c = *places_[index];
        assert(c.active == 0 && "a task uses the connection");
        by_device_.erase(key(c.device.guest, c.device.number));
        places_[index].reset();
        --count_;
    }
    /// Before anybody is connected: a client gets the index that it had at a predecessor, which may
    /// have allowed more of them.
    void swap(ConnectionIndex a, ConnectionIndex b) {
        if (const std::size_t length = std::max(a, b) + std::size_t{1}; places_.size() < length) {
            places_.resize(length);
        }
        std::swap(places_[a], places_[b]);
        for (const ConnectionIndex i : {a, b}) {
            if (places_[i] == nullptr) continue;
            places_[i]->index = i;
            by_device_[key(places_[i]->device.guest, places_[i]->device.number)] = i;
        }
    }

  private:
    friend class ConnectionUse;

    static std::uint64_t key(DomainId guest, std::uint32_t number) {
        return std::uint64_t{guest} << 32 | number;
    }

    Places places_;
    std::unordered_map<std::uint64_t, ConnectionIndex> by_device_;
    const std::uint32_t most_;
    std::uint32_t count_ = 0;
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
