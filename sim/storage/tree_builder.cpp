#include "sim/storage/tree_builder.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace xenfs::sim {
namespace {
[[noreturn]] void refuse(std::string_view path, int error) {
    throw std::invalid_argument("cannot make '" + std::string(path) +
                                "' in a simulated volume: " + std::strerror(error));
}
}  // namespace

NodeId TreeBuilder::directory(std::string_view path, std::uint32_t mode) {
    NodeId node = root_node;
    std::size_t at = 0;
    while (at < path.size()) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view name = path.substr(at, end - at);
        at = end + 1;
        if (name.empty()) continue;
        Result<Attr> entry = volume_.lookup(node, name);
        if (entry.error() == ENOENT) {
            const bool last = at >= path.size();
            entry = volume_.create(node, name, FileType::directory, last ? mode : 0755, {}, {}, 0);
        }
        if (!entry) refuse(path, entry.error());
        if (entry->type != FileType::directory) refuse(path, ENOTDIR);
        node = entry->node;
    }
    return node;
}

NodeId TreeBuilder::make(std::string_view path, FileType type, std::uint32_t mode,
                         std::string_view target) {
    const std::size_t slash = path.rfind('/');
    const NodeId parent = slash == path.npos ? root_node : directory(path.substr(0, slash));
    const std::string_view name = path.substr(slash == path.npos ? 0 : slash + 1);
    const Result<Attr> made = volume_.create(parent, name, type, mode, {}, target, 0);
    if (!made) refuse(path, made.error());
    return made->node;
}

NodeId TreeBuilder::file(std::string_view path, std::uint64_t size,
                         std::span<const Fingerprint> pages, std::uint32_t mode) {
    const NodeId node = make(path, FileType::regular, mode, {});
    if (!pages.empty()) {
        const std::uint64_t length = std::min<std::uint64_t>(size, pages.size() * page_size);
        if (const int error = volume_.write_content(node, 0, pages, length)) refuse(path, error);
    }
    SetAttr grow;
    grow.valid = SetAttr::size_;
    grow.value.size = size;
    if (const Result<Attr> set = volume_.setattr(node, grow); !set) refuse(path, set.error());
    return node;
}

NodeId TreeBuilder::symlink(std::string_view path, std::string_view target) {
    return make(path, FileType::symlink, 0777, target);
}

}  // namespace xenfs::sim
