// MSR Cambridge block traces: Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime, with
// times in 100 ns. Each (hostname, disk) is a file.
#include <array>
#include <map>
#include <optional>

#include "workloads/replay/readers.h"
#include "workloads/replay/trace_file.h"

namespace xenfs::workloads::replay {
namespace {

constexpr std::size_t kFields = 7;
constexpr std::uint64_t kTicksPerMicrosecond = 10;

class MsrReader final : public TraceReader {
  public:
    explicit MsrReader(const std::string& path) : file_(path) {}

    std::size_t read(std::span<Request> requests) override {
        std::size_t count = 0;
        std::string_view line;
        while (count < requests.size() && file_.next_line(line)) {
            // Some copies of the traces carry the column names.
            if (file_.line_number() == 1 && line.starts_with("Timestamp,")) continue;
            requests[count++] = parse(line);
        }
        return count;
    }
    const std::vector<std::string>& file_names() const override { return names_; }
    std::uint64_t bytes_read() const override { return file_.bytes_read(); }
    std::uint64_t bytes_total() const override { return file_.bytes_total(); }

  private:
    Request parse(std::string_view line) {
        std::array<std::string_view, kFields> fields;
        std::size_t count = 0;
        for (std::string_view rest = line;;) {
            const std::size_t comma = rest.find(',');
            if (count < kFields) fields[count] = rest.substr(0, comma);
            ++count;
            if (comma == std::string_view::npos) break;
            rest.remove_prefix(comma + 1);
        }
        if (count != kFields) {
            file_.fail_line("expected 7 fields separated by commas, found " +
                            std::to_string(count));
        }
        const std::uint64_t ticks = number(fields[0], "Timestamp");
        number(fields[2], "DiskNumber");
        Request request;
        request.access = access(fields[3]);
        request.offset_bytes = number(fields[4], "Offset");
        request.length_bytes = number(fields[5], "Size");
        number(fields[6], "ResponseTime");
        if (request.offset_bytes > kMaxOffsetBytes ||
            request.length_bytes > kMaxOffsetBytes - request.offset_bytes) {
            file_.fail_line("the request ends beyond 16 TiB");
        }
        if (!first_ticks_) first_ticks_ = ticks;
        // A few records are out of order by a little: time does not run backwards here.
        request.time_us =
            ticks < *first_ticks_ ? 0 : (ticks - *first_ticks_) / kTicksPerMicrosecond;
        request.file = file_of(fields[1], fields[2]);
        return request;
    }

    std::uint64_t number(std::string_view text, const char* field) {
        std::uint64_t value = 0;
        if (!parse_number(text, value)) {
            file_.fail_line(std::string(field) + " '" + std::string(text) + "' is not a number");
        }
        return value;
    }
    Access access(std::string_view type) {
        if (type == "Read" || type == "read") return Access::read;
        if (type == "Write" || type == "write") return Access::write;
        file_.fail_line("Type '" + std::string(type) + "' is neither Read nor Write");
    }
    std::uint32_t file_of(std::string_view host, std::string_view disk) {
        std::string name = std::string(host) + "." + std::string(disk);
        const auto next = static_cast<std::uint32_t>(names_.size());
        const auto [found, fresh] = files_.try_emplace(name, next);
        if (fresh) names_.push_back(std::move(name));
        return found->second;
    }

    TraceFile file_;
    std::optional<std::uint64_t> first_ticks_;
    std::map<std::string, std::uint32_t> files_;
    std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<TraceReader> open_msr(const std::string& path) {
    return std::make_unique<MsrReader>(path);
}

}  // namespace xenfs::workloads::replay
