#include "sim/run/pages_workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "workloads/process/content.h"

namespace xenfs::sim {
namespace {

[[noreturn]] void fail(const char* what, int error) {
    throw std::runtime_error(
        fmt::format("pages: {} {}: {}", what, pages_file, std::strerror(error)));
}

// One batch: touched, and given back.
class Toucher {
  public:
    Toucher(files::FileSystem& fs, files::Handle handle, const std::string& access)
        : fs_(fs), handle_(handle), access_(access) {}

    void touch(std::uint64_t first, std::size_t count) {
        if (access_ == "map") {
            if (int error =
                    fs_.map_pages(handle_, first, count, files::MapKind::private_data, false, {})) {
                fail("mapping", error);
            }
            if (int error = fs_.unmap_pages(handle_, first, count, files::MapKind::private_data)) {
                fail("unmapping", error);
            }
        } else if (access_ == "read") {
            const auto got = fs_.read(handle_, first * page_size, buffer(count, nullptr));
            if (!got) fail("reading", got.error());
        } else {
            contents_.resize(count);
            for (std::size_t i = 0; i < count; ++i) {
                contents_[i] = workloads::made_content(first + i, ++writes_);
            }
            const auto put = fs_.write(handle_, first * page_size, buffer(count, contents_.data()));
            if (!put) fail("writing", put.error());
        }
        fs_.drop_caches();
    }

  private:
    static files::Buffer buffer(std::size_t pages, Fingerprint* contents) {
        files::Buffer out;
        out.pages = contents;
        out.length = pages * page_size;
        return out;
    }

    files::FileSystem& fs_;
    files::Handle handle_;
    const std::string& access_;
    std::vector<Fingerprint> contents_;
    std::uint64_t writes_ = 0;
};

}  // namespace

Table run_pages(files::FileSystem& fs, host::Clock& clock, const WorkloadSpec& spec,
                const std::function<Nanoseconds()>& cpu_ns) {
    const auto node = fs.lookup(root_node, files::Name(std::string_view(pages_file).substr(1)));
    if (!node) fail("looking up", node.error());
    files::OpenFlags flags;
    flags.write = spec.access == "write";
    const auto handle = fs.open(*node, flags);
    if (!handle) fail("opening", handle.error());

    Toucher toucher(fs, *handle, spec.access);
    const auto pages = static_cast<std::uint64_t>(spec.file_bytes) / page_size;
    const auto pass = [&](std::size_t batch) {
        for (std::uint64_t first = 0; first < pages; first += batch) {
            toucher.touch(first, std::min<std::uint64_t>(batch, pages - first));
        }
    };
    Table table{
        "pages",
        {"batch_pages", "pages", "ns_per_page", "latency_ns_per_page", "latency_ns_per_batch"},
        {}};
    pass(256);  // brings the file into the host's cache
    for (const std::int64_t batch : spec.batches) {
        const auto size = static_cast<std::size_t>(batch);
        if (spec.warm) pass(size);
        clock.flush();
        const Nanoseconds cpu_before = cpu_ns(), before = clock.now();
        for (std::int64_t i = 0; i < spec.passes; ++i) pass(size);
        clock.flush();
        const double touched = static_cast<double>(pages) * static_cast<double>(spec.passes);
        const double batches = std::max(1.0, touched / static_cast<double>(size));
        const auto latency = static_cast<double>(clock.now() - before);
        table.add({batch, static_cast<std::int64_t>(touched),
                   static_cast<double>(cpu_ns() - cpu_before) / touched, latency / touched,
                   latency / batches});
    }
    if (int error = fs.close(*handle)) fail("closing", error);
    return table;
}

}  // namespace xenfs::sim
