// What happened when, in Chrome's trace-event format: open the file in Perfetto or
// chrome://tracing. A domain is a process there, a task (or a disk) a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/host/types.h"

namespace xenfs::sim {

class Timeline {
  public:
    /// Keeps the first `capacity` events; the text says how many came after them.
    explicit Timeline(std::size_t capacity) : capacity_(capacity) {}

    /// A row to draw on: thread `lane` of process `group`. The same names give the same row.
    std::uint32_t row(std::string_view group, std::string_view lane);

    /// Something that lasted, on a row. `detail` is shown when it is selected.
    void span(std::uint32_t row, std::string_view name, Nanoseconds start, Nanoseconds end,
              std::string_view detail = {});
    /// Something that happened at once.
    void instant(std::uint32_t row, std::string_view name, Nanoseconds when,
                 std::string_view detail = {});
    /// A value that changes, drawn as a curve.
    void counter(std::string_view name, Nanoseconds when, std::int64_t value);

    [[nodiscard]] std::size_t size() const { return events_.size(); }
    [[nodiscard]] std::size_t dropped() const { return dropped_; }
    /// The file's text, events by time.
    [[nodiscard]] std::string text() const;

  private:
    enum class Kind : std::uint8_t { span, instant, counter };
    struct Event {
        Nanoseconds start, end;
        std::int64_t value;
        std::uint32_t row, name, detail;  // texts: indices into texts_
        Kind kind;
    };
    bool room();
    std::uint32_t intern(std::string_view text);

    std::size_t capacity_;
    std::size_t dropped_ = 0;
    std::vector<Event> events_;
    std::vector<std::string> texts_;
    std::map<std::string, std::uint32_t, std::less<>> text_index_;
    struct Row {
        std::uint32_t process, thread;
        std::string lane;
    };
    std::vector<Row> rows_;
    std::vector<std::string> processes_;
    std::map<std::pair<std::string, std::string>, std::uint32_t> row_index_;
};

}  // namespace xenfs::sim
