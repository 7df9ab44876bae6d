// The half of Replayer that works on open files.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "workloads/kbuild/replayer.h"
#include "workloads/process/content.h"

namespace xenfs::workloads {

std::size_t Replayer::MapKeyHash::operator()(const MapKey& key) const {
    return mix64((std::uint64_t{key.file} << 32) | key.first,
                 (std::uint64_t{key.count} << 8) | static_cast<std::uint64_t>(key.kind));
}

std::uint32_t Replayer::new_slot(files::Handle handle, FileId file, bool writable) {
    const Slot slot{handle, file, 1, writable};
    if (writable) ++files_[file].writers;
    if (free_slots_.empty()) {
        slots_.push_back(slot);
        return static_cast<std::uint32_t>(slots_.size() - 1);
    }
    const std::uint32_t index = free_slots_.back();
    free_slots_.pop_back();
    slots_[index] = slot;
    return index;
}

void Replayer::drop_slot(std::uint32_t index) {
    Slot& slot = slots_[index];
    assert(slot.references != 0);
    if (--slot.references != 0) return;
    const files::Handle handle = slot.handle;
    const FileId file = slot.file;
    if (slot.writable) --files_[file].writers;
    free_slots_.push_back(index);
    // An error is of write-back: the recorded one had none.
    failed(fs_.close(handle), [&] { return "close of " + c_.path_name(c_.files[file].path); });
}

/// The process's own descriptor, or one inherited.
Replayer::Open* Replayer::find_open(ProcessId p, FileId file, bool writable) {
    for (; p != kNone; p = c_.processes[p].parent) {
        auto& opens = processes_[p].opens;
        for (auto at = opens.rbegin(); at != opens.rend(); ++at)
            if (at->file == file && (!writable || slots_[at->slot].writable)) return &*at;
    }
    return nullptr;
}

std::uint32_t Replayer::slot_for(ProcessId p, FileId file, bool writable) {
    if (const Open* open = find_open(p, file, writable)) return open->slot;
    if (!writable && processes_[p].program != kNone && slots_[processes_[p].program].file == file)
        return processes_[p].program;
    // Opened where the recording does not show it: by execve (an interpreter), or inherited from
    // outside.
    NodeId node = files_[file].node;
    if (node == 0) {
        const auto found = find(c_.files[file].path, true);
        if (!found) return kNone;
        node = *found;
    }
    files::OpenFlags how;
    how.write = writable;
    const auto handle = fs_.open(node, how);
    if (!handle) {
        failed(handle.error(), [&] { return "open of " + c_.path_name(c_.files[file].path); });
        return kNone;
    }
    files_[file].node = node;
    ++report_.unrecorded_opens;
    const std::uint32_t slot = new_slot(*handle, file, writable);
    processes_[p].opens.push_back({file, kNone, slot, 0});
    return slot;
}

void Replayer::on_file(ProcessId p, const Op& op, Worker& worker) {
    if (op.file == kNone || op.error != 0) return;
    switch (op.code) {
        case OpCode::kRead:
            return read(p, op, worker);
        case OpCode::kWrite:
            return write(p, op, worker);
        case OpCode::kMmap:
            return map(p, op, worker);
        case OpCode::kTruncate:
            return truncate(p, op);
        default:
            break;
    }
    const std::uint32_t slot = slot_for(p, op.file, false);
    if (slot == kNone) return expect(op, ENOENT);
    const files::Handle handle = slots_[slot].handle;
    const NodeId node = files_[op.file].node;
    switch (op.code) {
        case OpCode::kFstat:
            expect(op, fs_.getattr(node).error());
            break;
        case OpCode::kFsync:
            expect(op, fs_.fsync(handle, false));
            break;
        case OpCode::kFdatasync:
            expect(op, fs_.fsync(handle, true));
            break;
        case OpCode::kSetattr: {
            host::SetAttr change;
            change.valid = host::SetAttr::mtime_;
            change.value.mtime = clock_.world();
            expect(op, fs_.setattr(node, change).error());
            break;
        }
        case OpCode::kXattr:
            (void)fs_.getxattr(node, "user.recorded");
            break;
        case OpCode::kStatfs:
            expect(op, fs_.statfs().error());
            break;
        case OpCode::kLock:
        case OpCode::kUnlock: {
            files::FileLock lock;
            lock.start = op.offset;
            lock.length = op.length;
            lock.owner = p + 1;
            lock.pid = p + 1;
            lock.whole_file = op.offset == 0 && op.length == 0;
            lock.type = op.code == OpCode::kLock ? files::FileLock::Type::exclusive
                                                 : files::FileLock::Type::unlock;
            expect(op, fs_.set_lock(handle, lock, true));
            break;
        }
        default:
            break;  // fallocate: the space is not modelled
    }
}

/// The recorded contents of pages [first, first + count) of the operation's version, with this
/// guest's variation; valid until the next call. Pages beyond the version (written, then cut off
/// before the close) are made up.
Fingerprint* Replayer::contents_of(const Op& op, std::uint64_t first, std::uint64_t count,
                                   Worker& worker) {
    const VersionId version = op.version();
    const auto pages = version == kNone ? std::span<const Fingerprint>() : c_.pages_of(version);
    const bool own = files_[op.file].own_content;
    // Not changed by a write; host::Buffer serves both directions.
    if (!own && first + count <= pages.size()) return const_cast<Fingerprint*>(&pages[first]);
    worker.expected.resize(std::max<std::size_t>(worker.expected.size(), count));
    for (std::uint64_t i = 0; i < count; ++i) {
        Fingerprint content = first + i < pages.size() ? pages[first + i]
                                                       : made_content(op.file, first + i, 0x637574);
        if (own && content != zero_fingerprint) content = made_content(content, options_.salt, 2);
        worker.expected[i] = content;
    }
    return worker.expected.data();
}

void Replayer::verify(const Op& op, std::uint64_t first, std::uint64_t count, Worker& worker) {
    const FileState& file = files_[op.file];
    if (file.version != op.version() || file.writers != 0 || c_.files[op.file].unread) {
        report_.unverified_pages += count;
        return;
    }
    const auto pages = c_.pages_of(op.version());
    const auto partial = partial_pages_.find(op.file);
    const Fingerprint* expected = contents_of(op, first, count, worker);
    for (std::uint64_t i = 0; i < count; ++i) {
        const bool in_part = partial != partial_pages_.end() &&
                             std::find(partial->second.begin(), partial->second.end(), first + i) !=
                                 partial->second.end();
        if (first + i >= pages.size() || (in_part && !options_.verify_partial)) {
            ++report_.unverified_pages;
            continue;
        }
        if (worker.got[i] != expected[i])
            throw ReplayError(
                fmt::format("{}: page {} has content {:016x} where {:016x} was recorded ({})",
                            c_.path_name(c_.files[op.file].path), first + i, worker.got[i],
                            expected[i], op_name(op.code)));
        ++report_.verified_pages;
    }
}

void Replayer::read(ProcessId p, const Op& op, Worker& worker) {
    const std::uint32_t slot = slot_for(p, op.file, false);
    if (slot == kNone) return expect(op, ENOENT);
    // A read that got nothing stood at the end of the file; how much it asked for is not recorded.
    const std::uint64_t length = op.length == 0 ? kPageBytes : op.length;
    const std::uint64_t first = op.offset / kPageBytes;
    const std::uint64_t pages = (op.offset + length - 1) / kPageBytes - first + 1;
    if (options_.verify) worker.got.resize(std::max<std::size_t>(worker.got.size(), pages));
    const auto count = fs_.read(slots_[slot].handle, op.offset,
                                {nullptr, options_.verify ? worker.got.data() : nullptr, length});
    if (!count) return expect(op, count.error());
    report_.bytes_read += *count;
    if (*count != op.length)
        return diverge(
            op, fmt::format("recorded {} bytes at {}, now {}", op.length, op.offset, *count));
    if (options_.verify && op.length != 0) verify(op, first, pages, worker);
}

void Replayer::note_partial(FileId file, std::uint64_t page) {
    auto& pages = partial_pages_[file];
    if (std::find(pages.begin(), pages.end(), page) == pages.end()) pages.push_back(page);
}

void Replayer::write(ProcessId p, const Op& op, Worker& worker) {
    if (op.length == 0) return;
    const std::uint32_t slot = slot_for(p, op.file, true);
    if (slot == kNone) return expect(op, ENOENT);
    const std::uint64_t first = op.offset / kPageBytes;
    const std::uint64_t end = op.offset + op.length;
    const std::uint64_t pages = (end - 1) / kPageBytes - first + 1;
    const auto count = fs_.write(slots_[slot].handle, op.offset,
                                 {nullptr, contents_of(op, first, pages, worker), op.length});
    if (!count) return expect(op, count.error());
    report_.bytes_written += *count;
    if (*count != op.length)
        diverge(op, fmt::format("recorded {} bytes, now {}", op.length, *count));
    FileState& file = files_[op.file];
    file.version = op.version();
    file.size = std::max(file.size, end);
    if (options_.verify) {
        if (op.offset % kPageBytes != 0) note_partial(op.file, first);
        if (end % kPageBytes != 0) note_partial(op.file, first + pages - 1);
    }
}

void Replayer::truncate(ProcessId p, const Op& op) {
    FileState& file = files_[op.file];
    if (file.node == 0 && slot_for(p, op.file, false) == kNone) return expect(op, ENOENT);
    host::SetAttr change;
    change.valid = host::SetAttr::size_;
    change.value.size = op.offset;
    expect(op, fs_.setattr(file.node, change).error());
    file.size = op.offset;
    if (op.offset == 0) {
        file.version = kNone;
        partial_pages_.erase(op.file);
    } else {
        file.version = op.version();
        if (options_.verify && op.offset % kPageBytes != 0)
            note_partial(op.file, op.offset / kPageBytes);
    }
}

void Replayer::map(ProcessId p, const Op& op, Worker& worker) {
    const std::uint64_t file_pages = (files_[op.file].size + kPageBytes - 1) / kPageBytes;
    const std::uint64_t first = op.offset / kPageBytes;
    std::uint64_t end = std::min((op.offset + op.length + kPageBytes - 1) / kPageBytes, file_pages);
    if (first >= end) return;
    const bool shared = (op.flags & kMmapShared) != 0;
    const bool write = shared && (op.flags & kMmapWrite) != 0;
    const auto kind = shared                        ? files::MapKind::shared
                      : (op.flags & kMmapExec) != 0 ? files::MapKind::text
                                                    : files::MapKind::private_data;
    if (kind == files::MapKind::text && options_.text_touched < 1) {
        end = first +
              static_cast<std::uint64_t>(static_cast<double>(end - first) * options_.text_touched);
        if (first >= end) return;
    }
    const MapKey key{op.file, static_cast<std::uint32_t>(first),
                     static_cast<std::uint32_t>(end - first), kind};
    Mapping& mapping = mappings_[key];  // stays where it is while it has users
    ++mapping.users;
    if (mapping.slot == kNone && !mapping.coming) {
        mapping.coming = true;  // what follows may yield: others only add themselves meanwhile
        const std::uint32_t slot = slot_for(p, op.file, write);
        std::span<Fingerprint> contents;
        if (options_.verify) {
            worker.got.resize(std::max<std::size_t>(worker.got.size(), key.count));
            contents = {worker.got.data(), key.count};
        }
        if (slot != kNone) ++slots_[slot].references;
        const int error = slot == kNone ? ENOENT
                                        : fs_.map_pages(slots_[slot].handle, first, key.count, kind,
                                                        write, contents);
        mapping.coming = false;
        if (error != 0) {
            // Those that added themselves have as little as this one: the next to come tries again.
            if (--mapping.users == 0) mappings_.erase(key);
            if (slot != kNone) drop_slot(slot);
            return expect(op, error);
        }
        mapping.slot = slot;
        report_.pages_mapped += key.count;
        if (options_.verify) verify(op, first, key.count, worker);
    }
    processes_[p].maps.push_back(key);
}

void Replayer::unmap_all(ProcessState& process) {
    for (const MapKey& key : process.maps) {
        const auto at = mappings_.find(key);
        if (at == mappings_.end() || --at->second.users != 0) continue;
        const std::uint32_t slot = at->second.slot;
        mappings_.erase(at);
        if (slot == kNone) continue;  // it could not be mapped
        (void)fs_.unmap_pages(slots_[slot].handle, key.first, key.count, key.kind);
        drop_slot(slot);
    }
    process.maps.clear();
}

void Replayer::close(ProcessId p, const Op& op) {
    const bool writable = (op.flags & kOpenWrite) != 0;
    // The one opened for the same access if there is one. The opener may be above: the last
    // descriptor of an open may go away where it was inherited to.
    for (const bool exact : {true, false})
        for (ProcessId q = p; q != kNone; q = c_.processes[q].parent) {
            auto& opens = processes_[q].opens;
            for (auto at = opens.rbegin(); at != opens.rend(); ++at) {
                if (op.file != kNone
                        ? at->file != op.file || (exact && slots_[at->slot].writable != writable)
                        : at->file != kNone || at->directory != op.target)
                    continue;
                const std::uint32_t slot = at->slot;
                opens.erase(std::next(at).base());
                if (slot != kNone) drop_slot(slot);
                return;
            }
        }
}

void Replayer::readdir(ProcessId p, const Op& op) {
    if (op.error != 0 || op.target == kNone) return;
    const auto node = directory(op.target);
    if (!node) return expect(op, node.error());
    Open* open = nullptr;
    for (ProcessId q = p; q != kNone && open == nullptr; q = c_.processes[q].parent)
        for (Open& candidate : processes_[q].opens)
            if (candidate.file == kNone && candidate.directory == op.target) open = &candidate;
    // An entry of getdents64 takes 24 bytes and its name, rounded up to 8.
    constexpr std::size_t usual_entry_bytes = 32;
    const std::size_t entries = op.length / usual_entry_bytes + 1;
    const std::uint64_t position = open == nullptr ? 0 : open->position;
    const auto list = fs_.readdir(*node, position, entries);
    if (!list) return expect(op, list.error());
    // The vector of open files may have moved while the call waited.
    for (ProcessId q = p; q != kNone; q = c_.processes[q].parent)
        for (Open& candidate : processes_[q].opens)
            if (candidate.file == kNone && candidate.directory == op.target && !list->empty()) {
                candidate.position = list->back().next;
                return;
            }
}

void Replayer::release(ProcessState& process) {
    unmap_all(process);
    if (process.program != kNone) drop_slot(std::exchange(process.program, kNone));
    for (const Open& open : std::exchange(process.opens, {}))
        if (open.slot != kNone) drop_slot(open.slot);
}

void Replayer::exit(ProcessId p) {
    release(processes_[p]);
    processes_[p].exited = true;
}

void Replayer::finish() {
    for (ProcessState& process : processes_) release(process);
}

}  // namespace xenfs::workloads
