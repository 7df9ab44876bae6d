// fio's iolog, versions 2 and 3 (fio's HOWTO, "Trace file format"; times of version 3 are in us, as
// fio 3.33 writes them).
#include <algorithm>
#include <array>
#include <map>

#include "workloads/replay/readers.h"
#include "workloads/replay/trace_file.h"

namespace xenfs::workloads::replay {
namespace {

struct Action {
    std::string_view name;
    Access access;
    bool has_range;  ///< an offset and a length follow
};
constexpr std::array<Action, 9> kActions{{{"add", Access::add, false},
                                          {"open", Access::open, false},
                                          {"close", Access::close, false},
                                          {"read", Access::read, true},
                                          {"write", Access::write, true},
                                          {"trim", Access::trim, true},
                                          {"sync", Access::sync, true},
                                          {"datasync", Access::datasync, true},
                                          {"wait", Access::wait, true}}};

class FioReader final : public TraceReader {
  public:
    explicit FioReader(const std::string& path) : file_(path) {
        std::string_view line;
        if (!file_.next_line(line)) file_.fail("line 1: the file is empty, not a fio iolog");
        if (line == "fio version 2 iolog") {
            version_ = 2;
        } else if (line == "fio version 3 iolog") {
            version_ = 3;
        } else {
            file_.fail_line("expected 'fio version 2 iolog' or 'fio version 3 iolog'");
        }
    }

    std::size_t read(std::span<Request> requests) override {
        std::size_t count = 0;
        std::string_view line;
        while (count < requests.size() && file_.next_line(line)) {
            requests[count++] = parse(line);
        }
        return count;
    }
    const std::vector<std::string>& file_names() const override { return names_; }
    std::uint64_t bytes_read() const override { return file_.bytes_read(); }
    std::uint64_t bytes_total() const override { return file_.bytes_total(); }

  private:
    Request parse(std::string_view line) {
        std::string_view rest = line;
        Request request;
        if (version_ == 3) {
            request.time_us = number(next_word(rest), "the time");
            if (request.time_us < time_us_) file_.fail_line("time runs backwards");
            time_us_ = request.time_us;
        }
        const std::string_view name = next_word(rest);
        const std::string_view word = next_word(rest);
        if (word.empty()) file_.fail_line("expected a file name and an action");
        const Action& action = action_of(word);
        request.access = action.access;
        request.file = action.access == Access::add ? add(name) : file_of(name);
        if (action.has_range) {
            request.offset_bytes = number(next_word(rest), "the offset");
            request.length_bytes = number(next_word(rest), "the length");
        }
        if (!next_word(rest).empty()) file_.fail_line("there is more than the action takes");
        if (action.access == Access::wait) {
            time_us_ += request.offset_bytes;
            request.offset_bytes = request.length_bytes = 0;
        } else if (request.offset_bytes > kMaxOffsetBytes ||
                   request.length_bytes > kMaxOffsetBytes - request.offset_bytes) {
            file_.fail_line("the request ends beyond 16 TiB");
        }
        request.time_us = time_us_;
        return request;
    }

    static std::string_view next_word(std::string_view& rest) {
        const std::size_t start = rest.find_first_not_of(" \t");
        if (start == std::string_view::npos) return rest = {};
        rest.remove_prefix(start);
        const std::size_t length = std::min(rest.find_first_of(" \t"), rest.size());
        const std::string_view word = rest.substr(0, length);
        rest.remove_prefix(length);
        return word;
    }
    std::uint64_t number(std::string_view text, const char* what) {
        std::uint64_t value = 0;
        if (!parse_number(text, value)) {
            file_.fail_line(std::string(what) + " '" + std::string(text) + "' is not a number");
        }
        return value;
    }
    const Action& action_of(std::string_view word) {
        for (const Action& action : kActions) {
            if (action.name != word) continue;
            if (action.access == Access::wait && version_ != 2) {
                file_.fail_line("'wait' belongs to version 2");
            }
            return action;
        }
        file_.fail_line("no action '" + std::string(word) +
                        "'; there are: add, close, datasync, open, read, sync, trim, wait, write");
    }
    std::uint32_t add(std::string_view name) {
        const auto next = static_cast<std::uint32_t>(names_.size());
        const auto [found, fresh] = files_.try_emplace(std::string(name), next);
        if (fresh) names_.emplace_back(name);
        return found->second;
    }
    std::uint32_t file_of(std::string_view name) {
        const auto found = files_.find(name);
        if (found == files_.end()) {
            file_.fail_line("file '" + std::string(name) + "' was not added");
        }
        return found->second;
    }

    TraceFile file_;
    int version_ = 0;
    std::uint64_t time_us_ = 0;
    std::map<std::string, std::uint32_t, std::less<>> files_;
    std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<TraceReader> open_fio_iolog(const std::string& path) {
    return std::make_unique<FioReader>(path);
}

}  // namespace xenfs::workloads::replay
