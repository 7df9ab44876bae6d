#include "sim/run/fio_workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "workloads/process/content.h"

namespace xenfs::sim {
namespace {

[[noreturn]] void fail(const char* what, int error) {
    throw std::runtime_error(fmt::format("fio: {} {}: {}", what, fio_file, std::strerror(error)));
}

/// A permutation of 0 … count - 1, without a table: mixing that can be undone on the next power of
/// two, again where the result is too large.
class Shuffle {
  public:
    Shuffle(std::uint64_t count, std::uint64_t seed)
        : count_(count), bits_(std::bit_width(count - 1)), seed_(seed) {}

    std::uint64_t at(std::uint64_t i) const {
        if (count_ == 1) return 0;
        const std::uint64_t mask = (std::uint64_t{1} << bits_) - 1;
        std::uint64_t x = i % count_;
        do {
            for (unsigned round = 0; round < 3; ++round) {
                x = (x * (workloads::mix64(seed_, round) | 1) + round) & mask;
                x ^= x >> ((bits_ + 1) / 2);
            }
        } while (x >= count_);
        return x;
    }

  private:
    std::uint64_t count_;
    unsigned bits_;
    std::uint64_t seed_;
};

class Job {
  public:
    Job(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock, const WorkloadSpec& spec,
        const CostModel& costs, std::uint64_t seed)
        : fs_(fs),
          tasks_(tasks),
          clock_(clock),
          spec_(spec),
          block_pages_(
              std::max<std::size_t>(static_cast<std::size_t>(spec.block_bytes) / page_size, 1)),
          blocks_(static_cast<std::uint64_t>(spec.file_bytes) / (block_pages_ * page_size)),
          order_(blocks_, spec.pattern == "zipf" ? 1 : seed),
          seed_(seed),
          done_(tasks.make_gate()) {
        const bool cached =
            static_cast<std::uint64_t>(spec.file_bytes) <= costs.count("memory.llc");
        if (spec_.pattern == "zipf") {
            rank_.resize(blocks_);
            double sum = 0;
            for (std::uint64_t i = 0; i < blocks_; ++i) {
                rank_[i] = sum += std::pow(static_cast<double>(i + 1), -spec_.zipf);
            }
        }
        if (mapped()) mappings_.resize(blocks_);
        load_ns_ = costs.time(cached ? "memory.copy.warm" : "memory.copy.cold");
    }

    Table run() {
        const auto node = fs_.lookup(root_node, files::Name(std::string_view(fio_file).substr(1)));
        if (!node) fail("looking up", node.error());
        files::OpenFlags flags;
        flags.write = spec_.access == "write";
        flags.direct = spec_.direct;
        if (spec_.warm) warm(*node);
        const auto handle = fs_.open(*node, flags);
        if (!handle) fail("opening", handle.error());
        handle_ = *handle;
        work(static_cast<std::uint64_t>(spec_.warm_operations));
        const Nanoseconds before = clock_.now();
        work(static_cast<std::uint64_t>(spec_.operations));
        const Nanoseconds elapsed = std::max<Nanoseconds>(clock_.now() - before, 1);
        if (mapped()) {
            for (std::uint64_t i = 0; i < std::min(next_, blocks_); ++i) {
                fs_.unmap_pages(handle_, place(i) * block_pages_, block_pages_,
                                files::MapKind::shared);
            }
        }
        if (const int error = fs_.close(handle_)) fail("closing", error);
        Table table{"fio", {"bytes", "operations", "elapsed_ns", "iops"}, {}};
        table.add({spec_.file_bytes, spec_.operations, elapsed,
                   static_cast<double>(spec_.operations) * 1e9 / static_cast<double>(elapsed)});
        return table;
    }

  private:
    bool mapped() const { return spec_.access == "map"; }
    std::uint64_t place(std::uint64_t i) const {
        if (!rank_.empty()) {
            const double at = static_cast<double>(workloads::mix64(seed_, i) >> 11) * 0x1p-53;
            const auto rank =
                std::upper_bound(rank_.begin(), rank_.end(), at * rank_.back()) - rank_.begin();
            return order_.at(std::min(static_cast<std::uint64_t>(rank), blocks_ - 1));
        }
        return spec_.pattern == "random" ? order_.at(i) : i % blocks_;
    }

    void warm(NodeId node) {
        const auto handle = fs_.open(node, {});
        if (!handle) fail("opening", handle.error());
        constexpr std::size_t step = 256 * page_size;
        for (std::uint64_t at = 0; at < static_cast<std::uint64_t>(spec_.file_bytes); at += step) {
            if (const auto got = fs_.read(*handle, at, {nullptr, nullptr, step}); !got) {
                fail("reading", got.error());
            }
        }
        fs_.close(*handle);
        fs_.drop_caches();
    }

    /// All tasks together; returns when the last is done.
    void work(std::uint64_t operations) {
        const std::uint64_t end = next_ + operations;
        std::size_t left = static_cast<std::size_t>(spec_.depth);
        for (std::size_t i = 1; i < static_cast<std::size_t>(spec_.depth); ++i) {
            tasks_.spawn(
                "fio",
                [this, end, &left] {
                    loop(end);
                    if (--left == 0) done_->wake_one();
                },
                false);
        }
        loop(end);
        --left;
        while (left > 0) done_->wait();
        clock_.flush();
    }

    void loop(std::uint64_t end) {
        while (next_ < end) one(place(next_++));
        clock_.flush();
    }

    void one(std::uint64_t block) {
        clock_.charge(spec_.op_cpu_ns);
        if (mapped()) {
            if (const int error = fs_.map_pages(handle_, block * block_pages_, block_pages_,
                                                files::MapKind::shared, false, {})) {
                fail("mapping", error);
            }
            if (mappings_[block] < most_mappings) {
                ++mappings_[block];
            } else {
                fs_.unmap_pages(handle_, block * block_pages_, block_pages_,
                                files::MapKind::shared);
            }
            clock_.charge(load_ns_ * static_cast<Nanoseconds>(block_pages_));
            return;
        }
        const std::uint64_t offset = block * block_pages_ * page_size;
        const host::Buffer buffer{nullptr, nullptr, block_pages_ * page_size};
        const auto moved = spec_.access == "write" ? fs_.write(handle_, offset, buffer)
                                                   : fs_.read(handle_, offset, buffer);
        if (!moved) fail(spec_.access == "write" ? "writing" : "reading", moved.error());
    }

    files::FileSystem& fs_;
    host::Tasks& tasks_;
    host::Clock& clock_;
    const WorkloadSpec& spec_;
    std::size_t block_pages_;
    std::uint64_t blocks_;
    Shuffle order_;
    std::uint64_t seed_;
    /// A page can be pinned 65535 times; each task may be about to map it once more.
    static constexpr std::uint16_t most_mappings = 64000;
    std::vector<std::uint16_t> mappings_;  ///< of each block, access map
    std::vector<double> rank_;             ///< pattern zipf: sums of the weights by rank
    std::unique_ptr<host::Gate> done_;
    Nanoseconds load_ns_ = 0;
    files::Handle handle_ = 0;
    std::uint64_t next_ = 0;
};

}  // namespace

Table run_fio(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock,
              const WorkloadSpec& spec, const CostModel& costs, std::uint64_t seed) {
    return Job(fs, tasks, clock, spec, costs, seed).run();
}

}  // namespace xenfs::sim
