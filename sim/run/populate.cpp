#include "sim/run/populate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "sim/scenario/error.h"
#include "sim/storage/tree_builder.h"

namespace xenfs::sim {
namespace {

using workloads::Capture;
using workloads::kNone;
using workloads::OpCode;
using workloads::PathId;
using workloads::PathKind;

bool below(std::string_view path, std::string_view prefix) {
    if (prefix == "/") return true;
    return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// Files that exist before the command and that it changes in place.
std::vector<bool> changed_files(const Capture& capture) {
    std::vector<bool> changed(capture.files.size());
    for (const workloads::Op& op : capture.ops) {
        if (op.error != 0 || op.file == kNone) continue;
        const bool writes =
            op.code == OpCode::kWrite || op.code == OpCode::kTruncate ||
            op.code == OpCode::kAllocate ||
            (op.code == OpCode::kOpen && (op.flags & workloads::kOpenTruncate) != 0) ||
            (op.code == OpCode::kMmap && (op.flags & workloads::kMmapShared) != 0 &&
             (op.flags & workloads::kMmapWrite) != 0);
        if (writes) changed[op.file] = true;
    }
    return changed;
}

// What is put on a volume for one capture, and where.
class Planter {
  public:
    Planter(Volume& volume) : volume_(volume), builder_(volume) {}

    /// Everything of the capture whose path `wanted` takes, renamed by `map`. Files of equal
    /// content that `linkable` allows share a node by the name that the capture has for them.
    void plant(const Capture& capture, const workloads::PrefixMap& map, bool private_part,
               bool link) {
        auto [known, is_new] = changed_.try_emplace(&capture);
        if (is_new) known->second = changed_files(capture);
        const std::vector<bool>& changed = known->second;
        std::unordered_map<std::uint32_t, NodeId> own;  // this capture's files, for hard links
        for (PathId id = 0; id < capture.paths.size(); ++id) {
            const workloads::Path& path = capture.paths[id];
            if (!path.initial) continue;
            const std::string name = capture.path_name(id);
            if (map.is_private(name) != private_part) continue;
            const std::string target = map.map(name);
            switch (path.kind) {
                case PathKind::kDirectory:
                    builder_.directory(target, path.mode);
                    break;
                case PathKind::kSymlink:
                    if (!exists(target)) {
                        builder_.symlink(target, path.target.starts_with('/') ? map.map(path.target)
                                                                              : path.target);
                    }
                    break;
                case PathKind::kFile:
                    if (path.file != kNone) {
                        plant_file(capture, path, name, target, link && !changed[path.file], own);
                    }
                    break;
                default:
                    break;
            }
        }
    }

  private:
    struct Known {
        NodeId node = 0;
        std::uint64_t size = 0;
        std::vector<Fingerprint> pages;
        bool operator==(const Known& other) const {
            return size == other.size && pages == other.pages;
        }
    };

    NodeId find(std::string_view path) const {
        NodeId node = root_node;
        for (std::size_t begin = 1; begin < path.size();) {
            const std::size_t end = std::min(path.find('/', begin), path.size());
            const auto found = volume_.lookup(node, path.substr(begin, end - begin));
            if (!found) return 0;
            node = found->node;
            begin = end + 1;
        }
        return node;
    }
    bool exists(std::string_view path) const { return find(path) != 0; }

    void name_node(NodeId node, const std::string& path) {
        const auto slash = path.rfind('/');
        const NodeId parent = builder_.directory(slash == 0 ? "/" : path.substr(0, slash));
        const auto linked = volume_.link(node, parent, path.substr(slash + 1));
        if (!linked) {
            throw InputError(
                fmt::format("{}: cannot be put on the volume (error {})", path, linked.error()));
        }
    }

    void plant_file(const Capture& capture, const workloads::Path& path, const std::string& name,
                    const std::string& target, bool link,
                    std::unordered_map<std::uint32_t, NodeId>& own) {
        const workloads::Version& version =
            capture.versions[capture.files[path.file].first_version];
        const auto pages = capture.pages_of(capture.files[path.file].first_version);
        Known now{0, version.size_bytes, {pages.begin(), pages.end()}};
        if (const NodeId there = find(target); there != 0) {
            // Outside the private prefixes captures meet; they must mean the same file.
            const auto known = by_target_.find(target);
            if (known != by_target_.end() && known->second == now) return;
            throw InputError(
                fmt::format("the captures disagree on the content of {}: list its directory in "
                            "workload.private",
                            name));
        }
        if (const auto hard = own.find(path.file); hard != own.end()) {
            name_node(hard->second, target);
            return;
        }
        if (link) {
            const auto known = by_name_.find(name);
            if (known != by_name_.end() && known->second == now) {
                name_node(known->second.node, target);
                own.emplace(path.file, known->second.node);
                return;
            }
        }
        now.node = builder_.file(target, now.size, now.pages, path.mode == 0 ? 0644 : path.mode);
        own.emplace(path.file, now.node);
        by_target_.emplace(target, now);
        if (link) by_name_.emplace(name, std::move(now));
    }

    Volume& volume_;
    TreeBuilder builder_;
    std::unordered_map<const Capture*, std::vector<bool>> changed_;
    std::unordered_map<std::string, Known> by_name_;    // by the capture's own name
    std::unordered_map<std::string, Known> by_target_;  // by the name on the volume
};

}  // namespace

std::vector<std::string> written_directories(const Capture& capture) {
    std::set<std::string> directories;
    const auto add_parent = [&](PathId path) {
        if (path != kNone && path != 0) {
            directories.insert(capture.path_name(capture.paths[path].parent));
        }
    };
    const std::vector<bool> changed = changed_files(capture);
    for (std::size_t file = 0; file < changed.size(); ++file) {
        if (changed[file]) add_parent(capture.files[file].path);
    }
    for (const workloads::Op& op : capture.ops) {
        if (op.error != 0) continue;
        switch (op.code) {
            case OpCode::kOpen:
                if ((op.flags & workloads::kOpenCreated) != 0) add_parent(op.path());
                break;
            case OpCode::kRename:
            case OpCode::kLink:
                add_parent(op.other_path());
                [[fallthrough]];
            case OpCode::kUnlink:
            case OpCode::kRmdir:
            case OpCode::kMkdir:
            case OpCode::kSymlink:
                add_parent(op.path());
                break;
            default:
                break;
        }
    }
    std::vector<std::string> top;
    for (const std::string& directory : directories) {  // sorted: an ancestor comes first
        const bool covered = std::any_of(top.begin(), top.end(), [&](const std::string& above) {
            return below(directory, above);
        });
        if (!covered) top.push_back(directory);
    }
    return top;
}

workloads::PrefixMap prefix_map(const std::vector<std::string>& private_prefixes,
                                std::size_t guest) {
    workloads::PrefixMap map;
    for (const std::string& prefix : private_prefixes) {
        map.add(prefix, fmt::format("/guests/{}{}", guest, prefix == "/" ? "" : prefix));
    }
    return map;
}

std::uint64_t blocks_for(const Capture& capture, std::size_t guests) {
    std::uint64_t pages = 0;
    for (const workloads::Version& version : capture.versions) pages += version.pages() + 1;
    return 65536 + (pages + capture.paths.size()) * 2 * (guests + 1);
}

std::shared_ptr<const Volume> private_image(const Capture& capture) {
    Volume volume(blocks_for(capture, 1));
    Planter(volume).plant(capture, {}, false, true);
    return Volume::freeze(std::move(volume));
}

Volume shared_volume(const std::vector<const Capture*>& captures,
                     const std::vector<std::string>& private_prefixes) {
    std::uint64_t blocks = 0;
    for (const Capture* capture : captures)
        blocks = std::max(blocks, blocks_for(*capture, captures.size()));
    Volume volume(blocks);
    Planter planter(volume);
    std::set<const Capture*> seen;
    for (std::size_t i = 0; i < captures.size(); ++i) {
        const workloads::PrefixMap map = prefix_map(private_prefixes, i + 1);
        if (seen.insert(captures[i]).second) planter.plant(*captures[i], map, false, true);
        planter.plant(*captures[i], map, true, true);
    }
    return volume;
}

}  // namespace xenfs::sim
