// The container of a .xfcap file: a magic, named zstd sections with checksums, an end marker
// (FORMAT.md).
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/capture/byte_stream.h"

namespace xenfs::workloads {

class SectionWriter {
  public:
    SectionWriter();
    // `name`: 1 to 12 characters, each used once.
    void add(std::string_view name, const ByteWriter& content);
    [[nodiscard]] std::vector<std::byte> finish();

  private:
    void append(std::string_view name, std::span<const std::byte> stored, std::uint64_t raw_bytes);
    ByteWriter out_;
    std::vector<std::byte> checksums_;
};

// Checks the whole container at once; throws CaptureError (io.h) that begins with `file`.
class SectionReader {
  public:
    SectionReader(std::span<const std::byte> bytes, std::string file);
    // Throws CaptureError if there is no such section.
    [[nodiscard]] ByteReader get(const std::string& name) const;
    [[nodiscard]] bool has(const std::string& name) const { return sections_.contains(name); }

  private:
    std::string file_;
    std::map<std::string, std::vector<std::byte>> sections_;
};

}  // namespace xenfs::workloads
