// A result file that appears whole or not at all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xenfs::workloads::replay {

/// Writes to a temporary beside `path`; `commit` flushes it to storage and renames it. Until then,
/// and after any error, what was at `path` is untouched; the temporary goes with the object.
/// Errors: TraceError "PATH: cannot write: No space left on device".
class OutputFile {
  public:
    explicit OutputFile(std::string path);
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    void write(std::string_view bytes);
    void commit();

  private:
    void flush();
    [[noreturn]] void fail(int error) const;

    std::string path_;
    std::string temporary_;
    int descriptor_ = -1;
    std::vector<char> buffer_;
};

}  // namespace xenfs::workloads::replay
