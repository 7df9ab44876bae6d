#pragma once
// Linux's rules for locks of files, by bytes and without any cleverness.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/files/file_system.h"

namespace xenfs::sim::tests {

/// Two files whose locks are looked at byte by byte. Byte `bytes - 1` stands for all behind it.
/// Each owner is one task, so it waits for one lock at a time.
class LockOracle {
  public:
    using Type = files::FileLock::Type;
    static constexpr std::size_t files = 2, bytes = 12, owners = 16;
    enum class World : std::uint8_t { process, open_file, whole_file };
    struct Wanted {
        std::size_t owner = 0, file = 0, first = 0, last = 0;
        Type type = Type::unlock;
    };

    explicit LockOracle(const std::array<World, owners>& worlds) : worlds_(worlds) {}

    /// Whether one of the owner's world holds what conflicts with it.
    bool conflicts(const Wanted& wanted) const {
        for (std::size_t other = 0; other < owners; ++other) {
            if (stands_in_the_way(other, wanted)) return true;
        }
        return false;
    }
    bool stands_in_the_way(std::size_t other, const Wanted& wanted) const {
        const bool meet =
            (worlds_[other] == World::whole_file) == (worlds_[wanted.owner] == World::whole_file);
        if (!meet || other == wanted.owner || wanted.type == Type::unlock) return false;
        for (std::size_t i = wanted.first; i <= wanted.last; ++i) {
            const Type held = held_[wanted.file][other][i];
            if (held == Type::exclusive || (held == Type::shared && wanted.type == Type::exclusive))
                return true;
        }
        return false;
    }
    /// Whether the wait would close a ring of processes that wait for each other.
    bool would_deadlock(const Wanted& wanted) const {
        if (worlds_[wanted.owner] != World::process) return false;
        std::array<bool, owners> reached{};
        mark(wanted, reached);
        return reached[wanted.owner];
    }
    void take(const Wanted& wanted) {
        for (std::size_t i = wanted.first; i <= wanted.last; ++i) {
            held_[wanted.file][wanted.owner][i] = wanted.type;
        }
    }
    void wait(const Wanted& wanted) { waiting_.push_back(wanted); }
    void cancel(std::size_t owner) {
        std::erase_if(waiting_, [&](const Wanted& one) { return one.owner == owner; });
    }
    /// Grants what is free, in the order of arrival, until nothing is. Returns the owners.
    std::vector<std::size_t> grant() {
        std::vector<std::size_t> granted;
        for (std::size_t i = 0; i < waiting_.size(); ++i) {
            if (conflicts(waiting_[i])) continue;
            take(waiting_[i]);
            granted.push_back(waiting_[i].owner);
            waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
            i = static_cast<std::size_t>(-1);
        }
        return granted;
    }
    std::size_t waits() const { return waiting_.size(); }
    Type held(std::size_t file, std::size_t owner, std::size_t byte) const {
        return held_[file][owner][byte];
    }

  private:
    void mark(const Wanted& wanted, std::array<bool, owners>& reached) const {
        for (std::size_t other = 0; other < owners; ++other) {
            if (reached[other] || !stands_in_the_way(other, wanted)) continue;
            reached[other] = true;
            if (worlds_[other] != World::process) continue;
            for (const Wanted& its : waiting_) {
                if (its.owner == other) mark(its, reached);
            }
        }
    }

    std::array<World, owners> worlds_;
    std::array<std::array<std::array<Type, bytes>, owners>, files> held_{};
    std::vector<Wanted> waiting_;
};

}  // namespace xenfs::sim::tests
