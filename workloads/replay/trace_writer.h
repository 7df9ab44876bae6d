// Traces written for other tools: fio iolog and libCacheSim oracleGeneral.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workloads/replay/output_file.h"
#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {

/// fio iolog, version 2 (times as `wait`) or 3 (times before each line). Files that the source does
/// not add, open and close are added and opened at their first use and closed at the end.
/// Throws TraceError for file names with white space (the format has no quoting) and failed writes.
class FioWriter {
  public:
    FioWriter(const std::string& path, int version);
    /// `name` is the name of request.file; files are told apart by number.
    void write(const Request& request, const std::string& name);
    void commit();

  private:
    enum class State : std::uint8_t { unknown, added, open };
    void line(std::uint64_t time_us, const std::string& name, const char* action);

    OutputFile output_;
    std::string path_;
    int version_;
    std::uint64_t time_us_ = 0;
    std::vector<State> states_;
    std::vector<std::string> names_;
};

/// libCacheSim oracleGeneral: one record per page read or written. The id is file << 32 | page; the
/// next access is the index of the record that touches the page again, -1 if none does. Keeps the
/// records in memory until `commit`, since each holds a fact about the future: 16 B a record.
class OracleWriter {
  public:
    explicit OracleWriter(const std::string& path) : output_(path) {}
    void write(const Request& request);
    void commit();

  private:
    struct Record {
        std::uint64_t id;
        std::uint32_t time_s;
    };
    OutputFile output_;
    std::vector<Record> records_;
};

}  // namespace xenfs::workloads::replay
