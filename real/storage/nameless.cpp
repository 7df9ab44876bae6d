#include "real/storage/nameless.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string>

namespace xenfs::real::storage {
namespace {

constexpr const char* path = Nameless::directory_name.data();

std::string text_of(NodeId node) {
    char text[17] = {};
    std::to_chars(text, text + 16, node, 16);
    return text;
}

}  // namespace

Nameless::Nameless(int root) : root_(root) {
    directory_ = Descriptor(openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory_) return;
    DIR* const listing = fdopendir(dup(directory_.get()));
    if (listing == nullptr) return;
    while (const dirent* const entry = readdir(listing)) {
        const char* const end = entry->d_name + std::strlen(entry->d_name);
        NodeId node = 0;
        const auto [at, error] = std::from_chars(entry->d_name, end, node, 16);
        if (error == std::errc{} && at == end) nodes_.insert(node);
    }
    closedir(listing);
}

/// Called with mutex_ held.
bool Nameless::open_directory() {
    if (directory_) return true;
    if (mkdirat(root_, path, 0700) != 0 && errno != EEXIST) return false;
    directory_ = Descriptor(openat(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return static_cast<bool>(directory_);
}

bool Nameless::keep(int directory, std::string_view name, NodeId node) {
    return keep(directory, name, node, false);
}

bool Nameless::keep(int directory, std::string_view name, NodeId node, bool follows) {
    std::lock_guard hold(mutex_);
    const std::string from(name), to = text_of(node);
    if (!open_directory()) return false;
    const int flags = follows ? AT_SYMLINK_FOLLOW : 0;
    if (linkat(directory, from.c_str(), directory_.get(), to.c_str(), flags) != 0 &&
        errno != EEXIST) {
        return false;
    }
    nodes_.insert(node);
    return true;
}

void Nameless::drop(NodeId node) {
    std::lock_guard hold(mutex_);
    if (nodes_.erase(node) == 0) return;
    unlinkat(directory_.get(), text_of(node).c_str(), 0);
    if (!nodes_.empty()) return;
    directory_ = {};
    // may fail where somebody else has put something into it
    unlinkat(root_, path, AT_REMOVEDIR);
}

bool Nameless::has(NodeId node) const {
    std::lock_guard hold(mutex_);
    return nodes_.contains(node);
}

std::vector<NodeId> Nameless::all() const {
    std::lock_guard hold(mutex_);
    return {nodes_.begin(), nodes_.end()};
}

}  // namespace xenfs::real::storage
