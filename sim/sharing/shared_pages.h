#pragma once
// Which frames a hypervisor has merged. Frames keep their numbers (as a guest keeps its physical
// addresses); those of one group stand for one machine page, write-protected.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

/// Domains of one trust group may share; 0 is the host's own and every guest's by default.
using TrustGroup = std::uint16_t;

/// A content as a trust group sees it: what may be merged has equal keys.
struct ContentKey {
    Fingerprint content = 0;
    TrustGroup trust = 0;
    bool operator==(const ContentKey&) const = default;
};
struct ContentKeyHash {
    std::size_t operator()(const ContentKey& key) const {
        return static_cast<std::size_t>((key.content + key.trust) * 0x9E3779B97F4A7C15u);
    }
};

/// A group has at least one member: with one it is a page that is only watched (a write to it still
/// faults). O(1) for everything.
class SharedPages {
  public:
    using Group = std::uint32_t;
    static constexpr Group no_group = 0;

    Group group_of(Frame frame) const { return frame < of_.size() ? of_[frame] : no_group; }
    Group find(const ContentKey& key) const;
    std::uint32_t members(Group group) const { return groups_[group].members; }

    /// Write-protects a frame of no group that holds `key`, of which there is no group yet.
    Group protect(Frame frame, const ContentKey& key);
    /// The frame, of no group and of the group's content, becomes one of it.
    void join(Frame frame, Group group);
    /// The frame gets a page of its own, or is gone. True: others remain on the shared one.
    bool leave(Frame frame);

    std::size_t groups() const { return by_key_.size(); }  ///< watched ones too
    std::size_t shared() const { return shared_; }         ///< machine pages with several users
    std::size_t saved() const { return saved_; }           ///< users beyond the first
    std::size_t saved_peak() const { return saved_peak_; }

  private:
    struct Entry {
        ContentKey key;
        std::uint32_t members = 0;
    };
    std::vector<Entry> groups_{1};
    std::vector<Group> free_;
    std::vector<Group> of_;  ///< by frame
    std::unordered_map<ContentKey, Group, ContentKeyHash> by_key_;
    std::size_t shared_ = 0, saved_ = 0, saved_peak_ = 0;
};

}  // namespace xenfs::sim
