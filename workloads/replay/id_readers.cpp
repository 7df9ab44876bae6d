// Traces of bare ids: libCacheSim's oracleGeneral, and u64 page ids.
#include <bit>
#include <cstring>
#include <unordered_map>

#include "workloads/replay/readers.h"
#include "workloads/replay/trace_file.h"

namespace xenfs::workloads::replay {
namespace {

static_assert(std::endian::native == std::endian::little, "the records are little-endian");

constexpr std::size_t kOracleBytes = 24;
constexpr std::size_t kOracleIdAt = 4;
constexpr std::size_t kIdBytes = 8;
constexpr std::uint64_t kPageBytes = 4096;

/// Ids become pages of files: the lower half the page, each upper half met a file of its own, so
/// that ids of any kind (hashes too) keep their identity.
class IdReader final : public TraceReader {
  public:
    IdReader(const std::string& path, bool oracle)
        : file_(path), record_bytes_(oracle ? kOracleBytes : kIdBytes), oracle_(oracle) {
        names_.emplace_back();
        files_.emplace(0, 0);
    }

    std::size_t read(std::span<Request> requests) override {
        std::size_t count = 0;
        while (count < requests.size()) {
            if (records_.empty()) records_ = file_.next_records(record_bytes_);
            if (records_.empty()) break;
            requests[count++] = parse(records_.data());
            records_.remove_prefix(record_bytes_);
        }
        return count;
    }
    const std::vector<std::string>& file_names() const override { return names_; }
    std::uint64_t bytes_read() const override { return file_.bytes_read() - records_.size(); }
    std::uint64_t bytes_total() const override { return file_.bytes_total(); }

  private:
    Request parse(const char* record) {
        std::uint32_t time_s = 0;
        std::uint64_t id = 0;
        if (oracle_) std::memcpy(&time_s, record, sizeof(time_s));
        std::memcpy(&id, record + (oracle_ ? kOracleIdAt : 0), sizeof(id));
        const auto high = static_cast<std::uint32_t>(id >> 32);
        return {.time_us = std::uint64_t{time_s} * 1'000'000,
                .offset_bytes = (id & UINT32_MAX) * kPageBytes,
                .length_bytes = kPageBytes,
                .file = high == 0 ? 0 : file_of(high),
                .access = Access::read};
    }
    std::uint32_t file_of(std::uint32_t high) {
        const auto next = static_cast<std::uint32_t>(names_.size());
        const auto [found, fresh] = files_.try_emplace(high, next);
        if (fresh) names_.emplace_back();
        return found->second;
    }

    TraceFile file_;
    std::size_t record_bytes_;
    bool oracle_;
    std::string_view records_;
    std::unordered_map<std::uint32_t, std::uint32_t> files_;
    std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<TraceReader> open_oracle_general(const std::string& path) {
    return std::make_unique<IdReader>(path, true);
}

std::unique_ptr<TraceReader> open_page_ids(const std::string& path) {
    return std::make_unique<IdReader>(path, false);
}

}  // namespace xenfs::workloads::replay
