#include "sim/run/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace xenfs::sim {
namespace {

std::string quoted(const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The format counts in microseconds; three decimals keep our nanoseconds exact.
std::string micros(Nanoseconds ns) {
    return fmt::format("{}.{:03}", ns / 1000, ns % 1000);
}

}  // namespace

std::uint32_t Timeline::row(std::string_view group, std::string_view lane) {
    const auto key = std::make_pair(std::string(group), std::string(lane));
    if (const auto found = row_index_.find(key); found != row_index_.end()) return found->second;
    auto process = std::find(processes_.begin(), processes_.end(), group);
    if (process == processes_.end()) process = processes_.insert(process, std::string(group));
    const auto process_number = static_cast<std::uint32_t>(process - processes_.begin() + 1);
    const auto index = static_cast<std::uint32_t>(rows_.size());
    rows_.push_back({process_number, index + 1, std::string(lane)});
    row_index_.emplace(key, index);
    return index;
}

bool Timeline::room() {
    if (events_.size() < capacity_) return true;
    ++dropped_;
    return false;
}

std::uint32_t Timeline::intern(std::string_view text) {
    if (const auto found = text_index_.find(text); found != text_index_.end()) {
        return found->second;
    }
    const auto index = static_cast<std::uint32_t>(texts_.size());
    texts_.emplace_back(text);
    text_index_.emplace(texts_.back(), index);
    return index;
}

void Timeline::span(std::uint32_t row, std::string_view name, Nanoseconds start, Nanoseconds end,
                    std::string_view detail) {
    if (!room()) return;
    events_.push_back({start, end, 0, row, intern(name), intern(detail), Kind::span});
}

void Timeline::instant(std::uint32_t row, std::string_view name, Nanoseconds when,
                       std::string_view detail) {
    if (!room()) return;
    events_.push_back({when, when, 0, row, intern(name), intern(detail), Kind::instant});
}

void Timeline::counter(std::string_view name, Nanoseconds when, std::int64_t value) {
    if (!room()) return;
    events_.push_back({when, when, value, 0, intern(name), intern(""), Kind::counter});
}

std::string Timeline::text() const {
    std::vector<const Event*> ordered;
    ordered.reserve(events_.size());
    for (const Event& event : events_) ordered.push_back(&event);
    std::stable_sort(ordered.begin(), ordered.end(), [](const Event* a, const Event* b) {
        return a->start != b->start ? a->start < b->start : a->end > b->end;
    });
    std::vector<std::string> json_texts;
    for (const std::string& text : texts_) json_texts.push_back(quoted(text));

    std::string out = fmt::format(
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"events_kept\":{},\"events_dropped\":{}}},\n"
        "\"traceEvents\":[\n",
        events_.size(), dropped_);
    auto to = std::back_inserter(out);
    fmt::format_to(to, R"({{"ph":"M","pid":0,"name":"process_name","args":{{"name":"host"}}}})");
    for (std::size_t i = 0; i < processes_.size(); ++i) {
        fmt::format_to(to,
                       ",\n{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":"
                       "{{\"name\":{}}}}}",
                       i + 1, quoted(processes_[i]));
    }
    for (const Row& row : rows_) {
        fmt::format_to(to,
                       ",\n{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_name\","
                       "\"args\":{{\"name\":{}}}}}",
                       row.process, row.thread, quoted(row.lane));
    }
    for (const Event* event : ordered) {
        const std::string& name = json_texts[event->name];
        if (event->kind == Kind::counter) {
            fmt::format_to(
                to, ",\n{{\"ph\":\"C\",\"pid\":0,\"ts\":{},\"name\":{},\"args\":{{\"value\":{}}}}}",
                micros(event->start), name, event->value);
            continue;
        }
        const Row& row = rows_[event->row];
        fmt::format_to(to, ",\n{{\"ph\":\"{}\",\"pid\":{},\"tid\":{},\"ts\":{},",
                       event->kind == Kind::span ? 'X' : 'i', row.process, row.thread,
                       micros(event->start));
        if (event->kind == Kind::span) {
            fmt::format_to(to, "\"dur\":{},", micros(event->end - event->start));
        } else {
            fmt::format_to(to, "\"s\":\"t\",");
        }
        fmt::format_to(to, "\"name\":{}", name);
        if (!texts_[event->detail].empty()) {
            fmt::format_to(to, ",\"args\":{{\"detail\":{}}}", json_texts[event->detail]);
        }
        out += '}';
    }
    out += "\n]}\n";
    return out;
}

}  // namespace xenfs::sim
