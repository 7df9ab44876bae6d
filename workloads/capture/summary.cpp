#include "workloads/capture/summary.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

namespace xenfs::workloads {

namespace {

bool is_output(const File& f) {
    return !f.unlinked && f.version_count > (f.initial ? 1u : 0u);
}
std::span<const Fingerprint> last_pages(const Capture& c, const File& f) {
    return c.pages_of(f.first_version + f.version_count - 1);
}

// A file's name at the end: where it was made, unless renamed since.
std::vector<PathId> final_names(const Capture& c) {
    std::vector<PathId> now(c.files.size());
    for (std::size_t f = 0; f < now.size(); ++f) now[f] = c.files[f].path;
    for (const Op& op : c.ops)
        if (op.code == OpCode::kRename && op.error == 0 && op.file != kNone)
            now[op.file] = op.other_path();
    return now;
}

}  // namespace

Summary summarize(const Capture& c) {
    Summary s;
    s.processes = c.processes.size();
    s.jobs = c.jobs.size();
    s.ops = c.ops.size();
    s.files = c.files.size();
    s.paths = c.paths.size();
    for (const Op& op : c.ops) {
        ++s.by_code[static_cast<std::size_t>(op.code)];
        if (op.error == 2 /* ENOENT */ && op.by_name()) ++s.negative_lookups;
        if (op.code == OpCode::kOpen) {
            ++s.opens;
            if (op.error == 2) ++s.opens_enoent;
        }
        if (op.error != 0) continue;
        if (op.code == OpCode::kRead) s.bytes_read += op.length;
        if (op.code == OpCode::kWrite) s.bytes_written += op.length;
        if (op.code == OpCode::kMmap) s.bytes_mapped += op.length;
    }
    for (const Path& p : c.paths) {
        if (p.kind == PathKind::kDirectory) ++s.directories;
        if (p.kind == PathKind::kSymlink) ++s.symlinks;
    }
    std::unordered_set<Fingerprint> initial, output;
    for (const File& f : c.files) {
        if (f.initial) ++s.files_initial;
        if (f.temporary()) ++s.temporaries;
        if (f.version_count > (f.initial ? 1u : 0u)) ++s.files_written;
        if (f.initial && f.version_count > 0) {
            const auto pages = c.pages_of(f.first_version);
            s.initial_pages += pages.size();
            initial.insert(pages.begin(), pages.end());
        }
        if (is_output(f)) {
            const auto pages = last_pages(c, f);
            s.output_pages += pages.size();
            output.insert(pages.begin(), pages.end());
        }
    }
    s.pages = c.fingerprints.size();
    s.unique_pages =
        std::unordered_set<Fingerprint>(c.fingerprints.begin(), c.fingerprints.end()).size();
    s.unique_initial_pages = initial.size();
    s.unique_output_pages = output.size();
    for (const Process& p : c.processes) {
        s.user_ns += p.user_ns;
        s.system_ns += p.system_ns;
    }
    s.predecessor_edges = c.predecessors.size();
    s.kbuild_targets = c.kbuild_targets.size();
    s.kbuild_dependencies = c.kbuild_dependencies.size();
    return s;
}

Overlap compare(const Capture& a, const Capture& b) {
    std::unordered_set<Fingerprint> outputs;
    const std::unordered_set<Fingerprint> anywhere(a.fingerprints.begin(), a.fingerprints.end());
    std::unordered_map<std::string, std::span<const Fingerprint>> by_name;
    const std::vector<PathId> names_a = final_names(a), names_b = final_names(b);
    for (std::size_t i = 0; i < a.files.size(); ++i) {
        if (!is_output(a.files[i])) continue;
        const auto pages = last_pages(a, a.files[i]);
        outputs.insert(pages.begin(), pages.end());
        by_name[a.path_name(names_a[i])] = pages;
    }
    Overlap o;
    for (std::size_t i = 0; i < b.files.size(); ++i) {
        if (!is_output(b.files[i])) continue;
        const auto pages = last_pages(b, b.files[i]);
        const auto it = by_name.find(b.path_name(names_b[i]));
        ++o.files;
        o.pages += pages.size();
        std::size_t same = 0;
        for (std::size_t p = 0; p < pages.size(); ++p) {
            o.in_a_outputs += outputs.contains(pages[p]);
            o.in_a_anywhere += anywhere.contains(pages[p]);
            same += it != by_name.end() && p < it->second.size() && it->second[p] == pages[p];
        }
        o.same_place += same;
        if (it != by_name.end() && same == pages.size() && same == it->second.size())
            ++o.identical_files;
    }
    return o;
}

std::string info_json(const Capture& c) {
    const Summary s = summarize(c);
    nlohmann::ordered_json j;
    j["command"] = c.command;
    j["working_directory"] = c.working_directory;
    j["machine"] = c.machine;
    j["tool"] = c.tool;
    j["started_unix_s"] = c.started_unix_s;
    j["stop_cost_ns"] = c.stop_cost_ns;
    j["wait_status"] = c.exit_status;
    j["partial"] = c.partial;
    j["kbuild"] = c.kbuild;
    j["processes"] = s.processes;
    j["jobs"] = s.jobs;
    j["predecessor_edges"] = s.predecessor_edges;
    j["kbuild_targets"] = s.kbuild_targets;
    j["kbuild_dependencies"] = s.kbuild_dependencies;
    j["user_s"] = static_cast<double>(s.user_ns) / 1e9;
    j["system_s"] = static_cast<double>(s.system_ns) / 1e9;
    j["operations"] = s.ops;
    for (int i = 0; i < kOpCodes; ++i)
        j["operations_by_kind"][op_name(static_cast<OpCode>(i))] =
            s.by_code[static_cast<std::size_t>(i)];
    j["opens"] = s.opens;
    j["opens_enoent"] = s.opens_enoent;
    j["negative_lookups"] = s.negative_lookups;
    j["bytes_read"] = s.bytes_read;
    j["bytes_written"] = s.bytes_written;
    j["bytes_mapped"] = s.bytes_mapped;
    j["paths"] = s.paths;
    j["directories"] = s.directories;
    j["symlinks"] = s.symlinks;
    j["files"] = s.files;
    j["files_initial"] = s.files_initial;
    j["files_written"] = s.files_written;
    j["unlinked_temporaries"] = s.temporaries;
    j["pages"] = s.pages;
    j["unique_pages"] = s.unique_pages;
    j["initial_pages"] = s.initial_pages;
    j["unique_initial_pages"] = s.unique_initial_pages;
    j["output_pages"] = s.output_pages;
    j["unique_output_pages"] = s.unique_output_pages;
    return j.dump(2) + "\n";
}

std::string info_text(const Capture& c) {
    const Summary s = summarize(c);
    const double mib = 1024.0 * 1024.0;
    std::string t;
    t += fmt::format("command            {}\n", c.command);
    t += fmt::format("in                 {}\n", c.working_directory);
    t += fmt::format("on                 {}\n", c.machine);
    t += fmt::format("by                 {}{}\n", c.tool,
                     c.partial ? ", PARTIAL: it was interrupted" : "");
    t += fmt::format("processes          {:>12}   {:.1f} s user, {:.1f} s system\n", s.processes,
                     static_cast<double>(s.user_ns) / 1e9, static_cast<double>(s.system_ns) / 1e9);
    t += fmt::format("jobs               {:>12}   {} dependencies between them{}\n", s.jobs,
                     s.predecessor_edges, c.kbuild ? " (kbuild's among them)" : "");
    if (c.kbuild)
        t += fmt::format("kbuild targets     {:>12}   {} dependencies on files\n", s.kbuild_targets,
                         s.kbuild_dependencies);
    t += fmt::format("operations         {:>12}\n", s.ops);
    for (int i = 0; i < kOpCodes; ++i)
        if (const std::uint64_t n = s.by_code[static_cast<std::size_t>(i)])
            t += fmt::format("  {:<16} {:>12}\n", op_name(static_cast<OpCode>(i)), n);
    t += fmt::format("opens              {:>12}   {} of them of names that are not there\n",
                     s.opens, s.opens_enoent);
    t += fmt::format("negative lookups   {:>12}\n", s.negative_lookups);
    t += fmt::format("read               {:>12.1f} MiB\n", static_cast<double>(s.bytes_read) / mib);
    t += fmt::format("written            {:>12.1f} MiB\n",
                     static_cast<double>(s.bytes_written) / mib);
    t += fmt::format("mapped             {:>12.1f} MiB\n",
                     static_cast<double>(s.bytes_mapped) / mib);
    t += fmt::format(
        "files              {:>12}   {} were there before, {} written, {} made and unlinked\n",
        s.files, s.files_initial, s.files_written, s.temporaries);
    t += fmt::format("names              {:>12}   {} directories, {} symlinks\n", s.paths,
                     s.directories, s.symlinks);
    t += fmt::format("pages              {:>12}   {} distinct\n", s.pages, s.unique_pages);
    t += fmt::format("  of the inputs    {:>12}   {} distinct\n", s.initial_pages,
                     s.unique_initial_pages);
    t += fmt::format("  of the outputs   {:>12}   {} distinct\n", s.output_pages,
                     s.unique_output_pages);
    return t;
}

}  // namespace xenfs::workloads
