// Block and page traces as one stream of requests, whatever format they come in.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace xenfs::workloads::replay {

enum class Access : std::uint8_t {
    read,
    write,
    trim,
    sync,
    datasync,
    add,  ///< the file joins the trace
    open,
    close,
    wait,  ///< nothing but time
};

/// One request. `time_us` counts from the trace's start. Files are numbered from 0 in order of
/// appearance; see TraceReader::file_names.
struct Request {
    std::uint64_t time_us = 0;
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;
    std::uint32_t file = 0;
    Access access = Access::read;

    friend bool operator==(const Request&, const Request&) = default;
};

/// What is wrong with a trace or an output file, in one sentence that names the file and the line
/// or byte: "trace.csv: line 17: …", "trace.bin: byte 480: …".
class TraceError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The highest page number that a cache key can hold is 2^32 - 1; requests must end at or below it.
inline constexpr std::uint64_t kMaxOffsetBytes = std::uint64_t{1} << 44;

/// A trace read from front to back, in constant memory beside the names of its files.
class TraceReader {
  public:
    virtual ~TraceReader() = default;
    /// Fills the front of `requests`; returns how many, 0 at the end. Throws TraceError.
    virtual std::size_t read(std::span<Request> requests) = 0;
    /// Names of the files met so far, by number; empty names where the format has none.
    virtual const std::vector<std::string>& file_names() const = 0;
    /// How far the reading is, and the trace's length (0: unknown), in bytes.
    virtual std::uint64_t bytes_read() const = 0;
    virtual std::uint64_t bytes_total() const = 0;
};

/// Opens a trace. Formats:
///   oracleGeneral  libCacheSim: packed {u32 time in s, u64 id, u32 size, i64 next access}; each
///                  object is one page, whatever its size
///   u64            page ids, little-endian
///   msr            MSR Cambridge CSV: Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime
///   fio            fio iolog, version 2 or 3 as its first line says
///   capture        our own captures (workloads/capture): reads, writes, and mappings whole
/// In oracleGeneral and u64 an id's lower half is the page and each upper half that occurs a file.
/// Throws TraceError, also for a format that does not exist.
std::unique_ptr<TraceReader> open_trace(const std::string& path, std::string_view format);

/// "capture, fio, msr, oracleGeneral, u64"
std::string trace_format_names();

}  // namespace xenfs::workloads::replay
