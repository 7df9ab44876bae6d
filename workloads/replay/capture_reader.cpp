// A recorded command's file accesses as a page trace.
//
// A capture holds operations, not times: all requests are at time 0, in recorded order. A mapping
// counts as a read of all the pages it covers of the file's content: which of them were touched is
// not in the capture, so this is an upper bound. A truncate drops what it cuts off; an unlink drops
// nothing here (another name may remain, and a page never asked for again costs only its place).
#include <algorithm>
#include <filesystem>

#include "workloads/capture/io.h"
#include "workloads/replay/readers.h"

namespace xenfs::workloads::replay {
namespace {

class CaptureReader final : public TraceReader {
  public:
    explicit CaptureReader(const std::string& path) : path_(path) {
        try {
            capture_ = load_capture(path);
        } catch (const CaptureError& error) {
            throw TraceError(error.what());
        }
        std::error_code ignored;
        bytes_ = std::filesystem::file_size(path, ignored);
        for (const File& file : capture_.files) names_.push_back(capture_.path_name(file.path));
    }

    std::size_t read(std::span<Request> requests) override {
        std::size_t count = 0;
        while (count < requests.size() && next_ < capture_.ops.size()) {
            if (convert(capture_.ops[next_++], requests[count])) ++count;
        }
        return count;
    }
    const std::vector<std::string>& file_names() const override { return names_; }
    /// As if the operations lay evenly in the file.
    std::uint64_t bytes_read() const override {
        return capture_.ops.empty() ? bytes_ : bytes_ * next_ / capture_.ops.size();
    }
    std::uint64_t bytes_total() const override { return bytes_; }

  private:
    /// False for operations that touch no page of a file.
    bool convert(const Op& op, Request& request) const {
        if (op.error != 0 || op.by_name() || op.file == kNone) return false;
        request = {.offset_bytes = op.offset, .length_bytes = op.length, .file = op.file};
        switch (op.code) {
            case OpCode::kRead:
                break;
            case OpCode::kWrite:
                request.access = Access::write;
                break;
            case OpCode::kMmap: {
                const std::uint64_t size = capture_.versions[op.version()].size_bytes;
                if (op.offset >= size) return false;
                request.length_bytes = std::min(request.length_bytes, size - op.offset);
                break;
            }
            case OpCode::kTruncate:
                request.access = Access::trim;
                request.length_bytes =
                    op.offset < kMaxOffsetBytes ? kMaxOffsetBytes - op.offset : 0;
                break;
            default:
                return false;
        }
        if (request.offset_bytes > kMaxOffsetBytes ||
            request.length_bytes > kMaxOffsetBytes - request.offset_bytes) {
            throw TraceError(path_ + ": operation " + std::to_string(next_ - 1) +
                             " ends beyond 16 TiB");
        }
        return true;
    }

    std::string path_;
    Capture capture_;
    std::vector<std::string> names_;
    std::uint64_t bytes_ = 0;
    std::size_t next_ = 0;
};

}  // namespace

std::unique_ptr<TraceReader> open_capture(const std::string& path) {
    return std::make_unique<CaptureReader>(path);
}

}  // namespace xenfs::workloads::replay
