#pragma once
// Which frame holds a content: for dedup by content.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/host/types.h"
#include "model/pages/frame_pool.h"

namespace xenfs::server {

/// Contents of different trust groups have different keys, so that they are never compared and the
/// time of a look-up tells nothing. Never 0.
inline std::uint64_t content_key(Fingerprint fingerprint, std::uint32_t group) {
    const std::uint64_t key = fingerprint ^ (group * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u);
    return key == 0 ? 1 : key;
}

/// Invariant: at most one frame for a key and one key for a frame, the same pairs in both
/// directions. The owner removes a frame before its content changes or its last page leaves it.
class ContentIndex {
  public:
    pages::FrameIndex find(std::uint64_t key) const {
        const auto found = frames_.find(key);
        return found == frames_.end() ? pages::no_index : found->second;
    }
    /// `key` has no frame yet.
    void add(pages::FrameIndex frame, std::uint64_t key) {
        remove(frame);
        if (keys_.size() <= frame) keys_.resize(frame + 1, 0);
        const bool added = frames_.emplace(key, frame).second;
        keys_[frame] = added ? key : 0;
    }
    void remove(pages::FrameIndex frame) {
        if (frame >= keys_.size() || keys_[frame] == 0) return;
        frames_.erase(keys_[frame]);
        keys_[frame] = 0;
    }

  private:
    std::unordered_map<std::uint64_t, pages::FrameIndex> frames_;
    std::vector<std::uint64_t> keys_;  ///< by frame; 0: not indexed
};

}  // namespace xenfs::server
