#include "workloads/kbuild/initial_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <unordered_map>

#include "workloads/process/process.h"

namespace xenfs::workloads {

void for_each_initial(const Capture& capture, const PrefixMap& prefixes, TreePart part,
                      const std::function<void(const InitialEntry&)>& entry) {
    const auto wanted = [&](std::string_view path) {
        return part == TreePart::all || prefixes.is_private(path) == (part == TreePart::own);
    };
    if (part != TreePart::shared) {
        std::vector<std::string> made;
        for (const auto& [from, to] : prefixes.entries())
            for (std::size_t end = 1; end <= to.size(); ++end) {
                if (end != to.size() && to[end] != '/') continue;
                std::string front = to.substr(0, end);
                if (std::find(made.begin(), made.end(), front) != made.end()) continue;
                made.push_back(front);
                InitialEntry directory;
                directory.path = std::move(front);
                directory.type = host::FileType::directory;
                directory.mode = 0755;
                entry(directory);
            }
    }
    for (PathId p = 0; p < capture.paths.size(); ++p) {
        const Path& path = capture.paths[p];
        if (!path.initial) continue;
        const std::string recorded = capture.path_name(p);
        if (!wanted(recorded)) continue;
        InitialEntry out;
        out.path = prefixes.map(recorded);
        if (out.path.empty() || out.path == "/") continue;
        const bool is_prefix = std::any_of(prefixes.entries().begin(), prefixes.entries().end(),
                                           [&](const auto& e) { return e.second == out.path; });
        if (is_prefix && part != TreePart::shared) continue;  // came above
        out.mode = path.mode;
        switch (path.kind) {
            case PathKind::kDirectory:
                out.type = host::FileType::directory;
                break;
            case PathKind::kSymlink:
                out.type = host::FileType::symlink;
                out.symlink_target = path.target;
                break;
            case PathKind::kFile:
                if (path.file != kNone && capture.files[path.file].version_count != 0) {
                    const VersionId first = capture.files[path.file].first_version;
                    out.file = path.file;
                    out.size = capture.versions[first].size_bytes;
                    out.contents = capture.pages_of(first);
                }
                break;
            default:
                continue;
        }
        entry(out);
    }
}

void write_initial_tree(files::FileSystem& fs, const Capture& capture, const PrefixMap& prefixes,
                        TreePart part) {
    GuestProcess process(fs);
    std::unordered_map<FileId, std::string> first_name;
    const auto check = [](const InitialEntry& entry, int error) {
        if (error != 0)
            throw std::runtime_error(
                fmt::format("{} cannot be made: {}", entry.path, std::strerror(error)));
    };
    for_each_initial(capture, prefixes, part, [&](const InitialEntry& entry) {
        if (entry.type == host::FileType::directory) {
            const int error = process.mkdir(entry.path, entry.mode);
            check(entry, error == EEXIST ? 0 : error);
            return;
        }
        if (entry.type == host::FileType::symlink)
            return check(entry, process.symlink(entry.symlink_target, entry.path));
        if (entry.file != kNone) {
            const auto [at, fresh] = first_name.emplace(entry.file, entry.path);
            if (!fresh) return check(entry, process.link(at->second, entry.path));
        }
        const auto fd = process.open(entry.path, O_WRONLY | O_CREAT | O_EXCL, entry.mode);
        check(entry, fd.error());
        if (entry.size != 0)
            check(entry, process.write(*fd, entry.size, entry.contents.data()).error());
        check(entry, process.close(*fd));
    });
}

}  // namespace xenfs::workloads
