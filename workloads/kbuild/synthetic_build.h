#pragma once
// A small make build, written with the capture builder: for tests.

#include <string>
#include <vector>

#include "workloads/capture/builder.h"

namespace xenfs::workloads {

/// make -j1 of `sources` files: each recipe reads a source and a header found after two misses,
/// goes through a temporary file, writes an object; a last recipe links the objects. Compiling
/// takes 10 ms and linking 20 ms of CPU time; make 1 ms a recipe.
inline Capture synthetic_build(unsigned sources) {
    CaptureBuilder b;
    // Pages are numbered so that each is its own.
    const auto pages = [](std::uint64_t first, std::size_t count) {
        std::vector<Fingerprint> out(count);
        for (std::size_t i = 0; i < count; ++i) out[i] = first * 1000 + i;
        return out;
    };
    const FileId make = b.initial_file("/usr/bin/make", 0755, pages(1, 50), 50 * 4096);
    const FileId cc = b.initial_file("/usr/bin/cc-12", 0755, pages(2, 300), 300 * 4096);
    b.initial_symlink("/usr/bin/cc", "cc-12");
    const FileId libc = b.initial_file("/usr/lib/libc.so.6", 0755, pages(3, 100), 100 * 4096 - 50);
    const FileId header = b.initial_file("/usr/include/h.h", 0644, pages(4, 2), 5000);
    const FileId makefile = b.initial_file("/build/Makefile", 0644, pages(5, 1), 900);
    b.initial_directory("/tmp", 01777);

    const ProcessId root = b.process(kNone, b.path("/usr/bin/make"));
    b.exec(root, "/usr/bin/make", make);
    b.mmap(root, make, 0, 50 * 4096, kMmapRead | kMmapExec | kMmapByKernel);
    b.open(root, "/build/Makefile", makefile, kOpenRead);
    b.read(root, makefile, 0, 900);
    b.read(root, makefile, 900, 0);
    b.close(root, makefile);
    b.at_process(root).user_ns = 1'000'000 * (sources + 1);

    std::vector<FileId> objects;
    for (unsigned i = 0; i < sources; ++i) {
        const std::string stem = std::string("/build/f").append(std::to_string(i));
        const FileId source =
            b.initial_file(stem + ".c", 0644, pages(100 + i, 3), 2 * 4096 + 10 + i % 100);
        b.missing(root, OpCode::kStat, stem + ".o");
        const ProcessId p = b.fork(root);
        b.exec(p, "/usr/bin/cc", cc);
        b.mmap(p, cc, 0, 300 * 4096, kMmapRead | kMmapExec | kMmapByKernel);
        b.open(p, "/usr/lib/libc.so.6", libc, kOpenRead);
        b.mmap(p, libc, 0, 90 * 4096, kMmapRead | kMmapExec);
        b.mmap(p, libc, 90 * 4096, 20 * 4096, kMmapRead | kMmapWrite);
        b.close(p, libc);
        b.open(p, stem + ".c", source, kOpenRead);
        b.read(p, source, 0, 2 * 4096 + 10 + i % 100);
        b.close(p, source);
        b.missing(p, OpCode::kOpen, "/usr/local/include/h.h");
        b.missing(p, OpCode::kOpen, "/build/h.h");
        b.open(p, "/usr/include/h.h", header, kOpenRead);
        b.read(p, header, 0, 5000);
        b.close(p, header);
        const std::string temporary_name =
            std::string("/tmp/cc").append(std::to_string(i)).append(".s");
        const FileId temporary = b.new_file(b.path(temporary_name));
        b.file(temporary).unlinked = true;
        b.open(p, temporary_name, temporary,
               kOpenRead | kOpenWrite | kOpenCreate | kOpenCreated | kOpenExclusive);
        b.write(p, temporary, 0, 4096);
        b.write(p, temporary, 4096, 100);
        b.write(p, temporary, 4196, 300);
        b.add_version(temporary, pages(200 + i, 2), 4496);
        b.close(p, temporary);
        b.open(p, temporary_name, temporary, kOpenRead);
        b.read(p, temporary, 0, 4496);
        b.close(p, temporary);
        b.op(p, {.file = temporary, .target = b.path(temporary_name), .code = OpCode::kUnlink});
        const FileId object = b.new_file(b.path(stem + ".o"));
        objects.push_back(object);
        b.open(p, stem + ".o", object, kOpenWrite | kOpenCreate | kOpenCreated | kOpenTruncate);
        b.write(p, object, 0, 3000);
        b.add_version(object, pages(300 + i, 1), 3000);
        b.close(p, object);
        b.at_process(p).user_ns = 8'000'000;
        b.at_process(p).system_ns = 2'000'000;
        b.exit(p, 0);
        b.wait(root, p);
        b.op(root, {.file = object, .target = b.path(stem + ".o"), .code = OpCode::kStat});
    }
    const ProcessId ld = b.fork(root);
    b.exec(ld, "/usr/bin/cc", cc);
    for (unsigned i = 0; i < sources; ++i) {
        b.open(ld, std::string("/build/f").append(std::to_string(i)).append(".o"), objects[i],
               kOpenRead);
        b.read(ld, objects[i], 0, 3000);
        b.close(ld, objects[i]);
    }
    const FileId out = b.new_file(b.path("/build/prog"));
    b.open(ld, "/build/prog", out, kOpenWrite | kOpenCreate | kOpenCreated);
    b.write(ld, out, 0, 8192);
    b.add_version(out, pages(400, 2), 8192);
    b.close(ld, out);
    b.at_process(ld).user_ns = 20'000'000;
    b.exit(ld, 0);
    b.wait(root, ld);
    b.exit(root, 0);
    b.header().command = "make";
    return b.finish();
}

}  // namespace xenfs::workloads
