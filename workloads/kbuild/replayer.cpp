#include "workloads/kbuild/replayer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "workloads/process/content.h"

namespace xenfs::workloads {

using files::Name;
using host::Owner;

Replayer::Replayer(const BuildPlan& plan, files::FileSystem& fs, host::Clock& clock,
                   const BuildOptions& options, BuildReport& report)
    : plan_(plan),
      c_(plan.capture()),
      fs_(fs),
      clock_(clock),
      options_(options),
      report_(report),
      directories_(c_.paths.size(), 0),
      files_(c_.files.size()),
      processes_(c_.processes.size()) {
    for (FileId f = 0; f < c_.files.size(); ++f) {
        const File& file = c_.files[f];
        if (file.initial && file.version_count != 0) {
            files_[f].version = file.first_version;
            files_[f].size = c_.versions[file.first_version].size_bytes;
        }
        // The same files in every guest, each with a content of its own there.
        const double draw = static_cast<double>(mix64(f, 0x766172) >> 11) * 0x1p-53;
        files_[f].own_content = !file.initial && draw < options.variation;
    }
    if (!options.prefixes.empty()) {
        redirects_.resize(c_.paths.size());
        for (PathId p = 0; p < c_.paths.size(); ++p)
            for (const auto& [from, to] : options.prefixes.entries())
                if (plan.name(p).text == from.substr(from.rfind('/') + 1) ||
                    (p == 0 && from == "/"))
                    if (c_.path_name(p) == from) {
                        redirects_[p] = std::make_unique<PreparedPath>(to);
                        any_redirect_ = true;
                    }
    }
    // CPU time is spread evenly over a process's operations; the first takes what does not divide.
    const auto cpu_ns = process_cpu_ns(c_, options);
    ns_per_op_.resize(cpu_ns.size());
    first_op_extra_.resize(cpu_ns.size());
    for (ProcessId p = 0; p < cpu_ns.size(); ++p) {
        const Nanoseconds count = std::max(1u, c_.processes[p].op_count);
        ns_per_op_[p] = cpu_ns[p] / count;
        first_op_extra_[p] = cpu_ns[p] % count;
    }
}

void Replayer::perform(ProcessId p, const Op& op, Worker& worker) {
    const Nanoseconds cpu = ns_per_op_[p] + std::exchange(first_op_extra_[p], 0);
    clock_.charge(cpu);
    report_.cpu_ns += cpu;
    worker.unflushed_ns += cpu;
    if (worker.unflushed_ns >= options_.flush_every_ns) settle(worker);
    ++report_.ops[static_cast<std::size_t>(op.code)];
    switch (op.code) {
        case OpCode::kFork:
        case OpCode::kWait:
            break;
        case OpCode::kExit:
            exit(p);
            break;
        case OpCode::kExec:
            exec(p, op);
            break;
        case OpCode::kOpen:
            open(p, op);
            break;
        case OpCode::kRename:
            rename(op);
            break;
        case OpCode::kClose:
            close(p, op);
            break;
        case OpCode::kReaddir:
            readdir(p, op);
            break;
        default:
            if (op.by_name())
                by_name(p, op);
            else
                on_file(p, op, worker);
    }
}

void Replayer::settle(Worker& worker) {
    worker.unflushed_ns = 0;
    clock_.flush();
}

std::string Replayer::describe(const Op& op) const {
    if (op.path() != kNone)
        return fmt::format("{} of {}", op_name(op.code), c_.path_name(op.path()));
    if (op.file != kNone)
        return fmt::format("{} of {}", op_name(op.code), c_.path_name(c_.files[op.file].path));
    return op_name(op.code);
}

void Replayer::diverge(const Op& op, const std::string& how) {
    if (report_.divergences++ == 0) report_.first_divergence = describe(op) + ": " + how;
}

void Replayer::failed(int error, const std::function<std::string()>& what) {
    // That something is there or not is a matter of order; anything else did not work here.
    if (error == 0 || error == ENOENT || error == EEXIST || error == ENOTEMPTY) return;
    if (report_.failures++ == 0) report_.first_failure = what() + ": " + std::strerror(error);
}

/// Compares an operation's end with the recorded one.
void Replayer::expect(const Op& op, int error) {
    if (error == op.error) return;
    if (op.error == 0) failed(error, [&] { return describe(op); });
    if (report_.divergences != 0) {  // only the first is put in words
        ++report_.divergences;
        return;
    }
    diverge(op,
            fmt::format("recorded {}, now {}", op.error == 0 ? "success" : std::strerror(op.error),
                        error == 0 ? "success" : std::strerror(error)));
}

/// The same for an operation by name.
void Replayer::ended(const Op& op, int error) {
    if (error == ENOENT) ++report_.negative_lookups;
    expect(op, error);
}

Result<NodeId> Replayer::directory(PathId path) {
    if (directories_[path] != 0) return directories_[path];
    Result<NodeId> node = root_node;
    if (any_redirect_ && redirects_[path] != nullptr) {
        for (const Name& name : redirects_[path]->components()) {
            node = fs_.lookup(*node, name);
            if (!node) return node;
        }
    } else if (path != 0) {
        const auto parent = directory(c_.paths[path].parent);
        if (!parent) return parent;
        node = fs_.lookup(*parent, plan_.name(path));
        if (!node) return node;
    }
    directories_[path] = *node;
    return node;
}

void Replayer::forget_directories() {
    std::fill(directories_.begin(), directories_.end(), 0);
}

Result<Replayer::Place> Replayer::place(PathId path) {
    if (any_redirect_ && redirects_[path] != nullptr && !redirects_[path]->components().empty()) {
        const auto components = redirects_[path]->components();
        Result<NodeId> node = root_node;
        for (const Name& name : components.first(components.size() - 1)) {
            node = fs_.lookup(*node, name);
            if (!node) return Errno{node.error()};
        }
        return Place{*node, &components.back()};
    }
    const auto parent = directory(c_.paths[path].parent);
    if (!parent) return Errno{parent.error()};
    return Place{*parent, &plan_.name(path)};
}

Result<NodeId> Replayer::find(PathId path, bool follow) {
    if (path == 0) return directory(0);
    const auto at = place(path);
    if (!at) return Errno{at.error()};
    const auto node = fs_.lookup(at->parent, *at->name);
    if (!node || !follow || c_.paths[path].kind != PathKind::kSymlink) return node;
    const PathId target = plan_.link_target(path);
    if (target == kNone) return node;
    const auto text = fs_.readlink(*node);
    if (!text) return text.error() == EINVAL ? node : Result<NodeId>(Errno{text.error()});
    return find(target, false);
}

void Replayer::open(ProcessId p, const Op& op) {
    const PathId path = op.target;
    if (op.error != 0) {
        // As far as the kernel gets: the look-up. Permissions are not replayed.
        const auto node = find(path, true);
        if (!node) ++report_.negative_lookups;
        if (node ? op.error == ENOENT : node.error() != op.error)
            expect(op, node ? 0 : node.error());
        return;
    }
    files::OpenFlags how;
    how.read = (op.flags & kOpenRead) != 0;
    how.write = (op.flags & kOpenWrite) != 0;
    how.append = (op.flags & kOpenAppend) != 0;
    how.truncate = (op.flags & kOpenTruncate) != 0;
    how.exclusive = (op.flags & kOpenExclusive) != 0 && (op.flags & kOpenCreated) != 0;
    if ((op.flags & kOpenDirectory) != 0 || op.file == kNone) {
        const auto node = find(path, true);
        expect(op, node.error());
        if (node && (op.flags & kOpenDirectory) != 0)
            processes_[p].opens.push_back({kNone, path, kNone, 0});
        return;
    }
    FileState& file = files_[op.file];
    files::Handle handle = 0;
    if ((op.flags & kOpenCreated) != 0) {
        const auto at = place(path);
        if (!at) return expect(op, at.error());
        const auto made = fs_.create(at->parent, *at->name, 0666, Owner{}, how);
        if (!made) return expect(op, made.error());
        if (!made->created) diverge(op, "the file was there already");
        file.node = made->node;
        file.version = kNone;
        file.size = 0;
        handle = made->handle;
    } else {
        const auto node = find(path, true);
        if (!node) return expect(op, node.error());
        const auto opened = fs_.open(*node, how);
        if (!opened) return expect(op, opened.error());
        file.node = *node;
        handle = *opened;
        if (how.truncate && how.write) {
            file.version = kNone;
            file.size = 0;
            partial_pages_.erase(op.file);
        }
    }
    const std::uint32_t slot = new_slot(handle, op.file, how.write);
    processes_[p].opens.push_back({op.file, kNone, slot, 0});
}

void Replayer::rename(const Op& op) {
    const auto from = place(op.target);
    const auto to = place(op.other_path());
    if (!from || !to) return ended(op, from ? to.error() : from.error());
    ended(op, fs_.rename(from->parent, *from->name, to->parent, *to->name, 0));
    if (op.error == 0 && op.file == kNone) forget_directories();
}

void Replayer::exec(ProcessId p, const Op& op) {
    const auto node = find(op.target, true);
    if (!node || op.error != 0) {
        if (!node) ++report_.negative_lookups;
        if (!node || op.error == ENOENT) expect(op, node ? 0 : node.error());
        return;
    }
    ProcessState& process = processes_[p];
    unmap_all(process);  // the new program's address space is empty
    if (process.program != kNone) drop_slot(std::exchange(process.program, kNone));
    if (op.file == kNone) return;
    const auto handle = fs_.open(*node, files::OpenFlags{});
    if (!handle) return expect(op, handle.error());
    files_[op.file].node = *node;
    process.program = new_slot(*handle, op.file, false);
    // The kernel reads the first page to see what kind of program it is.
    const auto count = fs_.read(*handle, 0, {nullptr, nullptr, kPageBytes});
    if (!count) expect(op, count.error());
}

void Replayer::by_name(ProcessId, const Op& op) {
    const PathId path = op.target;
    if (path == kNone) return;
    switch (op.code) {
        case OpCode::kMkdir: {
            const auto at = place(path);
            ended(op, at ? fs_.mkdir(at->parent, *at->name, 0777, Owner{}).error() : at.error());
            return;
        }
        case OpCode::kSymlink: {
            const auto at = place(path);
            ended(op,
                  at ? fs_.symlink(at->parent, *at->name, c_.paths[path].target, Owner{}).error()
                     : at.error());
            return;
        }
        case OpCode::kLink: {
            const auto node = find(op.other_path(), false);
            const auto at = place(path);
            ended(op, !node ? node.error()
                      : !at ? at.error()
                            : fs_.link(*node, at->parent, *at->name).error());
            return;
        }
        case OpCode::kUnlink:
        case OpCode::kRmdir: {
            const auto at = place(path);
            if (!at) return ended(op, at.error());
            const int error = op.code == OpCode::kUnlink ? fs_.unlink(at->parent, *at->name)
                                                         : fs_.rmdir(at->parent, *at->name);
            ended(op, error);
            if (op.code == OpCode::kRmdir && error == 0) forget_directories();
            return;
        }
        default:
            break;
    }
    // The rest begins with a look-up; operations on a link itself have no file.
    const bool follow = op.file != kNone && op.code != OpCode::kReadlink;
    const auto node = find(path, follow);
    if (!node) ++report_.negative_lookups;
    if (!node || op.error == ENOENT) return expect(op, node ? 0 : node.error());
    if (op.error != 0 && op.code != OpCode::kXattr) return;
    switch (op.code) {
        case OpCode::kStat:
        case OpCode::kAccess:
        case OpCode::kFstat:
            expect(op, fs_.getattr(*node).error());
            break;
        case OpCode::kReadlink:
            expect(op, fs_.readlink(*node).error());
            break;
        case OpCode::kTruncate: {
            host::SetAttr change;
            change.valid = host::SetAttr::size_;
            change.value.size = op.offset;
            expect(op, fs_.setattr(*node, change).error());
            break;
        }
        case OpCode::kSetattr: {
            // Which attributes is not recorded: the time of a change stands for them.
            host::SetAttr change;
            change.valid = host::SetAttr::mtime_;
            change.value.mtime = clock_.world();
            expect(op, fs_.setattr(*node, change).error());
            break;
        }
        case OpCode::kXattr:
            // Neither name nor value is recorded; most calls ask for one that is not there.
            (void)fs_.getxattr(*node, "user.recorded");
            break;
        case OpCode::kStatfs:
            expect(op, fs_.statfs().error());
            break;
        default:
            break;  // chdir; locks and syncs of directories
    }
}

}  // namespace xenfs::workloads
