// Loading and saving captures (.xfcap; the layout is in FORMAT.md).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "workloads/capture/capture.h"

namespace xenfs::workloads {

// what() is one sentence that starts with the file's name: "a.xfcap: cut short in section ops at
// byte 123".
class CaptureError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Throws CaptureError if the file cannot be read, is cut short, damaged, of an unknown version, or
// invalid.
[[nodiscard]] Capture load_capture(const std::filesystem::path& file);

// Writes to FILE.tmp, then renames: a full disk leaves an earlier FILE untouched. Throws
// CaptureError.
void save_capture(const Capture& capture, const std::filesystem::path& file);

// The same on memory; `name` is what errors call it.
[[nodiscard]] std::vector<std::byte> encode_capture(const Capture& capture);
[[nodiscard]] Capture decode_capture(std::span<const std::byte> bytes, const std::string& name);

}  // namespace xenfs::workloads
