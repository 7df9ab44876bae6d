#include "workloads/replay/trace_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "workloads/replay/pages.h"

namespace xenfs::workloads::replay {
namespace {

const char* action_name(Access access) {
    switch (access) {
        case Access::read:
            return "read";
        case Access::write:
            return "write";
        case Access::trim:
            return "trim";
        case Access::sync:
            return "sync";
        case Access::datasync:
            return "datasync";
        case Access::add:
            return "add";
        case Access::open:
            return "open";
        case Access::close:
            return "close";
        case Access::wait:
            return "wait";
    }
    return "";
}

}  // namespace

FioWriter::FioWriter(const std::string& path, int version)
    : output_(path), path_(path), version_(version) {
    assert(version == 2 || version == 3);
    output_.write(fmt::format("fio version {} iolog\n", version));
}

void FioWriter::line(std::uint64_t time_us, const std::string& name, const char* action) {
    if (version_ == 3) output_.write(fmt::format("{} ", time_us));
    output_.write(fmt::format("{} {}", name, action));
}

void FioWriter::write(const Request& request, const std::string& name) {
    if (name.empty() || name.find_first_of(" \t\r\n") != std::string::npos) {
        throw TraceError(path_ + ": an iolog cannot carry the file name '" + name + "'");
    }
    if (request.file >= states_.size()) {
        states_.resize(request.file + 1, State::unknown);
        names_.resize(request.file + 1);
    }
    State& state = states_[request.file];
    names_[request.file] = name;
    const std::uint64_t time_us = std::max(request.time_us, time_us_);
    const auto file_line = [&](const char* action) {
        line(time_us, name, action);
        output_.write("\n");
    };
    if (state == State::unknown) {
        file_line("add");
        state = State::added;
    }
    if (version_ == 2 && time_us > time_us_) {
        output_.write(fmt::format("{} wait {} 0\n", name, time_us - time_us_));
    }
    time_us_ = time_us;
    switch (request.access) {
        case Access::add:
        case Access::wait:
            return;
        case Access::open:
            if (state != State::open) file_line("open");
            state = State::open;
            return;
        case Access::close:
            if (state == State::open) file_line("close");
            state = State::added;
            return;
        default:
            break;
    }
    if (state != State::open) {
        file_line("open");
        state = State::open;
    }
    line(time_us, name, action_name(request.access));
    output_.write(fmt::format(" {} {}\n", request.offset_bytes, request.length_bytes));
}

void FioWriter::commit() {
    for (std::size_t file = 0; file < states_.size(); ++file) {
        if (states_[file] != State::open) continue;
        line(time_us_, names_[file], "close");
        output_.write("\n");
    }
    output_.commit();
}

void OracleWriter::write(const Request& request) {
    const auto time_s = static_cast<std::uint32_t>(request.time_us / 1'000'000);
    for_each_page(request, [&](cache::PageKey key) {
        records_.push_back({.id = (std::uint64_t{key.file} << 32) | key.page, .time_s = time_s});
    });
}

void OracleWriter::commit() {
    std::vector<std::int64_t> next(records_.size(), -1);
    std::unordered_map<std::uint64_t, std::int64_t> seen;
    for (std::size_t i = records_.size(); i-- > 0;) {
        const auto index = static_cast<std::int64_t>(i);
        const auto [found, fresh] = seen.try_emplace(records_[i].id, index);
        if (!fresh) next[i] = std::exchange(found->second, index);
    }
    constexpr std::uint32_t kSizeBytes = cache::kPageSizeBytes;
    for (std::size_t i = 0; i < records_.size(); ++i) {
        char record[24];
        std::memcpy(record, &records_[i].time_s, 4);
        std::memcpy(record + 4, &records_[i].id, 8);
        std::memcpy(record + 12, &kSizeBytes, 4);
        std::memcpy(record + 16, &next[i], 8);
        output_.write(std::string_view(record, sizeof(record)));
    }
    output_.commit();
}

}  // namespace xenfs::workloads::replay
