#include "workloads/replay/trace.h"

#include <array>

#include "workloads/replay/readers.h"

namespace xenfs::workloads::replay {
namespace {

struct Format {
    std::string_view name;
    std::unique_ptr<TraceReader> (*open)(const std::string& path);
};
constexpr std::array<Format, 5> kFormats{{{"capture", open_capture},
                                          {"fio", open_fio_iolog},
                                          {"msr", open_msr},
                                          {"oracleGeneral", open_oracle_general},
                                          {"u64", open_page_ids}}};

}  // namespace

std::unique_ptr<TraceReader> open_trace(const std::string& path, std::string_view format) {
    for (const Format& known : kFormats) {
        if (known.name == format) return known.open(path);
    }
    throw TraceError("no trace format '" + std::string(format) +
                     "'; there are: " + trace_format_names());
}

std::string trace_format_names() {
    std::string names;
    for (const Format& format : kFormats) {
        if (!names.empty()) names += ", ";
        names += format.name;
    }
    return names;
}

}  // namespace xenfs::workloads::replay
