#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "workloads/capture/job_graph.h"
#include "workloads/capture/jobs.h"

namespace xenfs::workloads {

namespace {

// What kbuild's .NAME.cmd says: the target as the build directory calls it, its source and what
// fixdep found (deps_TARGET), and the words of the command (they name the inputs of targets that no
// compiler made).
struct CmdFile {
    std::string target;
    std::vector<std::string> dependencies;
    std::vector<std::string> words;
};

std::vector<std::string> split(std::string_view line) {
    std::vector<std::string> words;
    std::istringstream in{std::string(line)};
    for (std::string w; in >> w;) {
        if (w != "\\") words.push_back(w);
    }
    return words;
}

CmdFile parse(std::istream& in, const std::string& name) {
    CmdFile file;
    bool in_dependencies = false;
    for (std::string line; std::getline(in, line);) {
        if (in_dependencies) {
            in_dependencies = line.ends_with('\\');
            for (std::string& w : split(line))
                // $(wildcard include/config/FOO): a stamp of a configuration symbol, mostly not
                // there
                if (!w.starts_with("$(") && !w.ends_with(")"))
                    file.dependencies.push_back(std::move(w));
            continue;
        }
        const std::size_t assign = line.find(" := ");
        if (assign == std::string::npos) continue;
        const std::string key = line.substr(0, assign), value = line.substr(assign + 4);
        for (std::string_view prefix : {"cmd_", "savedcmd_"}) {
            if (!key.starts_with(prefix)) continue;
            file.target = key.substr(prefix.size());
            file.words = split(value);
        }
        if (key.starts_with("source_")) file.dependencies.push_back(value);
        if (key.starts_with("deps_")) in_dependencies = true;
    }
    if (file.target.empty())
        throw std::runtime_error(
            fmt::format("{}: has no line cmd_TARGET := …, which kbuild writes", name));
    return file;
}

// "/a/b/../c/./d" -> "/a/c/d"
std::string normal(const std::string& directory, const std::string& name) {
    const std::filesystem::path joined = name.starts_with('/')
                                             ? std::filesystem::path(name)
                                             : std::filesystem::path(directory) / name;
    return joined.lexically_normal().string();
}

}  // namespace

std::size_t merge_kbuild(Capture& c, const std::filesystem::path& root) {
    std::unordered_map<std::string, PathId> by_name;
    for (PathId p = 0; p < c.paths.size(); ++p) by_name[c.path_name(p)] = p;
    // Who made what is there under each name at the end; and the .cmd files among it.
    std::vector<JobId> maker(c.paths.size(), kNone);
    std::unordered_set<PathId> written;
    for (std::size_t i = 0; i < c.ops.size(); ++i) {
        const Op& op = c.ops[i];
        if (op.error != 0) continue;
        const JobId job = c.processes[c.op_process[i]].job;
        if (op.code == OpCode::kOpen && op.flags & (kOpenCreated | kOpenTruncate) &&
            op.file != kNone)
            maker[op.target] = job;
        if (op.code == OpCode::kRename) maker[op.other_path()] = job;
    }
    std::vector<PathId> cmd_files;
    for (PathId p = 0; p < c.paths.size(); ++p) {
        const std::string& n = c.paths[p].name;
        if (maker[p] != kNone && n.starts_with('.') && n.ends_with(".cmd")) cmd_files.push_back(p);
    }

    c.kbuild_targets.clear();
    c.kbuild_dependencies.clear();
    std::vector<std::pair<CmdFile, std::string>> parsed;  // with the build directory
    std::vector<PathId> targets;
    for (PathId p : cmd_files) {
        const std::string name = c.path_name(p);
        std::ifstream in(root.string() + name);
        if (!in) continue;  // removed later by the build (its distclean, a renamed directory)
        CmdFile file = parse(in, root.string() + name);
        // The target's last part is that of the .cmd file's name; what is before it leads to the
        // build directory.
        const std::string directory = c.path_name(c.paths[p].parent);
        std::string build = directory;
        const std::size_t slash = file.target.rfind('/');
        if (file.target.starts_with('/')) {
            build = c.working_directory;
        } else if (slash != std::string::npos) {
            const std::string below = std::string("/").append(file.target, 0, slash);
            if (!directory.ends_with(below))
                continue;  // not kbuild's: nothing says where its names begin
            build = directory.substr(0, directory.size() - below.size());
        }
        const auto target = by_name.find(normal(build, file.target));
        if (target == by_name.end()) continue;  // made in vain, never looked at
        targets.push_back(target->second);
        parsed.emplace_back(std::move(file), build);
    }
    const std::unordered_set<PathId> is_target(targets.begin(), targets.end());

    JobGraph graph(c);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        KbuildTarget t;
        t.path = targets[i];
        t.job = maker[t.path];
        t.first_dependency = static_cast<std::uint32_t>(c.kbuild_dependencies.size());
        std::unordered_set<PathId> seen = {t.path};
        const auto depend = [&](const std::string& word, bool only_targets) {
            const auto it = by_name.find(normal(parsed[i].second, word));
            if (it == by_name.end() || (only_targets && !is_target.contains(it->second))) return;
            if (!seen.insert(it->second).second) return;
            c.kbuild_dependencies.push_back(it->second);
            if (t.job != kNone && maker[it->second] != kNone && maker[it->second] != t.job)
                graph.add(maker[it->second], t.job);
        };
        for (const std::string& d : parsed[i].first.dependencies) depend(d, false);
        for (const std::string& w : parsed[i].first.words) depend(w, true);
        t.dependency_count =
            static_cast<std::uint32_t>(c.kbuild_dependencies.size()) - t.first_dependency;
        c.kbuild_targets.push_back(t);
        if (t.job != kNone) c.jobs[t.job].output = t.path;
    }
    // The barrier: kbuild descends into the tree (with need-builtin=1) after all of `prepare` has
    // been made, though no file says so. Whatever had ended by then at the recorded build is before
    // it.
    for (JobId j = 0; j < c.jobs.size(); ++j) {
        const std::string& arguments = c.processes[c.jobs[j].leader].arguments;
        if (c.jobs[j].kind != JobKind::kMake ||
            arguments.find("need-builtin=1") == std::string::npos)
            continue;
        for (JobId before = 0; before < j; ++before) graph.add(before, j);
        break;
    }
    graph.store();
    c.kbuild = !c.kbuild_targets.empty();
    return c.kbuild_targets.size();
}

}  // namespace xenfs::workloads
