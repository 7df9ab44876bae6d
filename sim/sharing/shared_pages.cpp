#include "sim/sharing/shared_pages.h"

#include <algorithm>
#include <cassert>

namespace xenfs::sim {

SharedPages::Group SharedPages::find(const ContentKey& key) const {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? no_group : found->second;
}

SharedPages::Group SharedPages::protect(Frame frame, const ContentKey& key) {
    assert(group_of(frame) == no_group && find(key) == no_group);
    Group group = static_cast<Group>(groups_.size());
    if (free_.empty()) {
        groups_.emplace_back();
    } else {
        group = free_.back();
        free_.pop_back();
    }
    groups_[group] = {key, 1};
    by_key_.emplace(key, group);
    if (frame >= of_.size()) of_.resize(std::max<std::size_t>(frame + 1, of_.size() * 2), no_group);
    of_[frame] = group;
    return group;
}

void SharedPages::join(Frame frame, Group group) {
    assert(group != no_group && groups_[group].members > 0 && group_of(frame) == no_group);
    if (frame >= of_.size()) of_.resize(std::max<std::size_t>(frame + 1, of_.size() * 2), no_group);
    of_[frame] = group;
    if (++groups_[group].members == 2) ++shared_;
    saved_peak_ = std::max(saved_peak_, ++saved_);
}

bool SharedPages::leave(Frame frame) {
    const Group group = group_of(frame);
    assert(group != no_group);
    of_[frame] = no_group;
    Entry& entry = groups_[group];
    if (--entry.members == 0) {
        by_key_.erase(entry.key);
        free_.push_back(group);
        return false;
    }
    --saved_;
    if (entry.members == 1) --shared_;
    return true;
}

}  // namespace xenfs::sim
