#include "workloads/capture/io.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unordered_map>

#include "workloads/capture/job_tables.h"
#include "workloads/capture/op_codec.h"
#include "workloads/capture/sections.h"

namespace xenfs::workloads {

namespace {

// CPU times in the file are multiples of this: finer than they are true.
constexpr std::uint64_t kCpuUnitNs = 10'000;
constexpr int kNarrowBytes = 6;  // of a fingerprint, if all fit

void encode_meta(const Capture& c, SectionWriter& out) {
    ByteWriter w;
    w.text(c.command);
    w.text(c.working_directory);
    w.text(c.machine);
    w.text(c.tool);
    w.varint(c.started_unix_s);
    w.varint(c.stop_cost_ns);
    w.zigzag(c.exit_status);
    w.u8(static_cast<std::uint8_t>(c.partial | c.kbuild << 1));
    out.add("meta", w);
}

void decode_meta(Capture& c, const SectionReader& in) {
    ByteReader r = in.get("meta");
    c.command = r.text();
    c.working_directory = r.text();
    c.machine = r.text();
    c.tool = r.text();
    c.started_unix_s = r.varint();
    c.stop_cost_ns = r.varint();
    c.exit_status = static_cast<std::int32_t>(r.zigzag());
    const std::uint8_t bits = r.u8();
    c.partial = bits & 1;
    c.kbuild = bits & 2;
}

void encode_paths(const Capture& c, SectionWriter& out) {
    ByteWriter parent, name, kind, mode, file, target;
    parent.varint(c.paths.size());
    std::uint32_t last_parent = 0, last_mode = 0, last_file = 0;
    for (const Path& p : c.paths) {
        parent.zigzag(static_cast<std::int32_t>(p.parent - last_parent));
        last_parent = p.parent;
        name.text(p.name);
        kind.u8(static_cast<std::uint8_t>(static_cast<unsigned>(p.kind) | p.initial << 3 |
                                          (p.file != kNone) << 4));
        if (p.initial) {
            mode.zigzag(static_cast<std::int32_t>(p.mode - last_mode));
            last_mode = p.mode;
        }
        if (p.file != kNone) {
            file.zigzag(static_cast<std::int32_t>(p.file - last_file));
            last_file = p.file;
        }
        if (p.kind == PathKind::kSymlink) target.text(p.target);
    }
    out.add("path.parent", parent);
    out.add("path.name", name);
    out.add("path.kind", kind);
    out.add("path.mode", mode);
    out.add("path.file", file);
    out.add("path.target", target);
}

void decode_paths(Capture& c, const SectionReader& in) {
    ByteReader parent = in.get("path.parent"), name = in.get("path.name"),
               kind = in.get("path.kind"), mode = in.get("path.mode"), file = in.get("path.file"),
               target = in.get("path.target");
    std::uint32_t last_parent = 0, last_mode = 0, last_file = 0;
    const std::size_t n = parent.count();
    if (n > parent.left()) throw std::out_of_range("has too little data");
    c.paths.resize(n);
    for (Path& p : c.paths) {
        p.parent = last_parent += static_cast<std::uint32_t>(parent.zigzag());
        p.name = name.text();
        const std::uint8_t bits = kind.u8();
        p.kind = static_cast<PathKind>(bits & 7);
        p.initial = bits & 8;
        if (p.initial) p.mode = last_mode += static_cast<std::uint32_t>(mode.zigzag());
        if (bits & 16) p.file = last_file += static_cast<std::uint32_t>(file.zigzag());
        if (p.kind == PathKind::kSymlink) p.target = target.text();
    }
}

void encode_files(const Capture& c, SectionWriter& out) {
    ByteWriter w, sizes;
    w.varint(c.files.size());
    std::uint32_t last_path = 0;
    for (const File& f : c.files) {
        w.zigzag(static_cast<std::int32_t>(f.path - last_path));
        last_path = f.path;
        w.varint(std::uint64_t{f.version_count} << 3 | unsigned{f.unread} << 2 |
                 unsigned{f.unlinked} << 1 | unsigned{f.initial});
        for (std::uint32_t v = 0; v < f.version_count; ++v)
            sizes.varint(c.versions[f.first_version + v].size_bytes);
    }
    out.add("file", w);
    out.add("size", sizes);
}

void decode_files(Capture& c, const SectionReader& in) {
    ByteReader r = in.get("file"), sizes = in.get("size");
    const std::size_t n = r.count();
    if (n > r.left()) throw std::out_of_range("has too little data");
    c.files.resize(n);
    std::uint32_t last_path = 0;
    std::uint64_t page = 0;
    for (File& f : c.files) {
        f.path = last_path += static_cast<std::uint32_t>(r.zigzag());
        const std::uint64_t bits = r.varint();
        f.initial = bits & 1;
        f.unlinked = bits & 2;
        f.unread = bits & 4;
        f.version_count = static_cast<std::uint32_t>(bits >> 3);
        f.first_version = static_cast<VersionId>(c.versions.size());
        for (std::uint32_t v = 0; v < f.version_count; ++v) {
            c.versions.push_back({sizes.varint(), page});
            if (c.versions.back().size_bytes > (std::uint64_t{1} << 60))
                throw std::out_of_range("has a file of more than 2^60 bytes");
            page += c.versions.back().pages();
        }
    }
}

// Each distinct page once, and for each page of each version which one it is: 0 = a new one, else
// one more than its distance (zigzag) from the one after the last: runs that repeat an older
// version's pages are runs of ones.
void encode_fingerprints(const Capture& c, SectionWriter& out) {
    ByteWriter unique, which;
    // The tracer's fingerprints have 48 bits; others may have 64.
    const bool narrow = std::all_of(c.fingerprints.begin(), c.fingerprints.end(),
                                    [](Fingerprint f) { return f >> (8 * kNarrowBytes) == 0; });
    const int bytes = narrow ? kNarrowBytes : 8;
    unique.u8(static_cast<std::uint8_t>(bytes));
    std::unordered_map<Fingerprint, std::int64_t> seen;
    std::int64_t expected = 0;
    for (const Version& v : c.versions) {
        for (std::uint64_t i = 0; i < v.pages(); ++i) {
            const Fingerprint page = c.fingerprints[v.first_page + i];
            const auto [it, is_new] =
                seen.try_emplace(page, static_cast<std::int64_t>(seen.size()));
            if (is_new) {
                for (int b = 0; b < bytes; ++b)
                    unique.u8(static_cast<std::uint8_t>(page >> (8 * b)));
                which.varint(0);
            } else {
                const std::int64_t d = it->second - expected;
                which.varint(1 + ((static_cast<std::uint64_t>(d) << 1) ^
                                  static_cast<std::uint64_t>(d >> 63)));
            }
            expected = it->second + 1;
        }
    }
    out.add("page.unique", unique);
    out.add("page.which", which);
}

void decode_fingerprints(Capture& c, const SectionReader& in) {
    ByteReader unique = in.get("page.unique"), which = in.get("page.which");
    const int bytes = unique.u8();
    if (bytes != kNarrowBytes && bytes != 8)
        throw std::out_of_range("has fingerprints of an odd size");
    std::vector<Fingerprint> seen;
    seen.reserve(unique.left() / static_cast<std::size_t>(bytes));
    std::int64_t expected = 0;
    // Versions lie one after the other (decode_files), so the pages' number is bounded by the data
    // for them.
    c.fingerprints.reserve(which.left());
    while (!which.done()) {
        const std::uint64_t code = which.varint();
        std::int64_t id = static_cast<std::int64_t>(seen.size());
        if (code == 0) {
            Fingerprint page = 0;
            for (int b = 0; b < bytes; ++b) page |= Fingerprint{unique.u8()} << (8 * b);
            seen.push_back(page);
        } else {
            const std::uint64_t z = code - 1;
            id = expected + static_cast<std::int64_t>((z >> 1) ^ (~(z & 1) + 1));
            if (id < 0 || id >= static_cast<std::int64_t>(seen.size()))
                throw std::out_of_range("repeats a page that never was");
        }
        c.fingerprints.push_back(seen[static_cast<std::size_t>(id)]);
        expected = id + 1;
    }
}

void encode_processes(const Capture& c, SectionWriter& out) {
    ByteWriter parent, executable, ops, job, status, user, system, stops, arguments;
    parent.varint(c.processes.size());
    PathId last_executable = 0;
    for (std::size_t i = 0; i < c.processes.size(); ++i) {
        const Process& p = c.processes[i];
        parent.varint(p.parent == kNone ? 0 : i - p.parent);
        executable.zigzag(static_cast<std::int32_t>(p.executable - last_executable));
        last_executable = p.executable;
        ops.varint(p.op_count);
        job.zigzag(
            static_cast<std::int32_t>(p.job - (p.parent == kNone ? 0 : c.processes[p.parent].job)));
        status.zigzag(p.exit_status);
        user.varint((p.user_ns + kCpuUnitNs / 2) / kCpuUnitNs);
        system.varint((p.system_ns + kCpuUnitNs / 2) / kCpuUnitNs);
        // Nearly two stops an operation.
        stops.zigzag((std::int64_t{p.stops} - 2 * std::int64_t{p.op_count}) * 2 + p.answers_parent);
        arguments.text(p.arguments);
    }
    out.add("proc.parent", parent);
    out.add("proc.exe", executable);
    out.add("proc.ops", ops);
    out.add("proc.job", job);
    out.add("proc.status", status);
    out.add("proc.user", user);
    out.add("proc.system", system);
    out.add("proc.stops", stops);
    out.add("proc.args", arguments);
}

void decode_processes(Capture& c, const SectionReader& in) {
    ByteReader parent = in.get("proc.parent"), executable = in.get("proc.exe"),
               ops = in.get("proc.ops"), job = in.get("proc.job"), status = in.get("proc.status"),
               user = in.get("proc.user"), system = in.get("proc.system"),
               stops = in.get("proc.stops"), arguments = in.get("proc.args");
    const std::size_t n = parent.count();
    if (n > parent.left()) throw std::out_of_range("has too little data");
    c.processes.resize(n);
    PathId last_executable = 0;
    for (std::size_t i = 0; i < n; ++i) {
        Process& p = c.processes[i];
        const std::uint64_t distance = parent.varint();
        if (distance > i) throw std::out_of_range("has a process before its parent");
        p.parent = distance == 0 ? kNone : static_cast<ProcessId>(i - distance);
        p.executable = last_executable += static_cast<std::uint32_t>(executable.zigzag());
        p.op_count = ops.varint32();
        p.job = (distance == 0 ? 0 : c.processes[p.parent].job) +
                static_cast<std::uint32_t>(job.zigzag());
        p.exit_status = static_cast<std::int32_t>(status.zigzag());
        p.user_ns = user.varint() * kCpuUnitNs;
        p.system_ns = system.varint() * kCpuUnitNs;
        const std::int64_t z = stops.zigzag();
        p.answers_parent = z & 1;
        p.stops = static_cast<std::uint32_t>((z >> 1) + 2 * std::int64_t{p.op_count});
        p.arguments = arguments.text();
    }
}

}  // namespace

std::vector<std::byte> encode_capture(const Capture& c) {
    if (std::string why = validate(c); !why.empty())
        throw CaptureError("this capture cannot be saved: " + why);
    SectionWriter out;
    encode_meta(c, out);
    encode_paths(c, out);
    encode_files(c, out);
    encode_fingerprints(c, out);
    encode_processes(c, out);
    encode_ops(c, out);
    encode_jobs(c, out);
    return out.finish();
}

Capture decode_capture(std::span<const std::byte> bytes, const std::string& name) {
    const SectionReader in(bytes, name);
    Capture c;
    try {
        decode_meta(c, in);
        decode_paths(c, in);
        decode_files(c, in);
        decode_fingerprints(c, in);
        decode_processes(c, in);
        decode_ops(c, in);
        decode_jobs(c, in);
    } catch (const std::out_of_range& e) {
        throw CaptureError(fmt::format("{}: is damaged: a section {}", name, e.what()));
    }
    if (std::string why = validate(c); !why.empty())
        throw CaptureError(fmt::format("{}: is damaged: {}", name, why));
    return c;
}

Capture load_capture(const std::filesystem::path& file) {
    std::FILE* f = std::fopen(file.c_str(), "rb");
    if (!f) throw CaptureError(fmt::format("{}: {}", file.string(), std::strerror(errno)));
    std::vector<std::byte> bytes;
    std::byte block[1 << 16];
    while (const std::size_t n = std::fread(block, 1, sizeof block, f))
        bytes.insert(bytes.end(), block, block + n);
    const bool failed = std::ferror(f);
    const int why = errno;
    std::fclose(f);
    if (failed) throw CaptureError(fmt::format("{}: {}", file.string(), std::strerror(why)));
    return decode_capture(bytes, file.string());
}

void save_capture(const Capture& c, const std::filesystem::path& file) {
    const std::vector<std::byte> bytes = encode_capture(c);
    const std::filesystem::path temporary = file.string() + ".tmp";
    std::FILE* f = std::fopen(temporary.c_str(), "wb");
    bool ok = f && std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size();
    int why = errno;
    if (f && std::fclose(f) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && std::rename(temporary.c_str(), file.c_str()) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        std::remove(temporary.c_str());
        throw CaptureError(
            fmt::format("{}: cannot be written: {}", file.string(), std::strerror(why)));
    }
}

}  // namespace xenfs::workloads
