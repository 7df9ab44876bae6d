// One opener per trace format; open_trace chooses among them by name.
#pragma once

#include <memory>
#include <string>

#include "workloads/replay/trace.h"

namespace xenfs::workloads::replay {

std::unique_ptr<TraceReader> open_oracle_general(const std::string& path);
std::unique_ptr<TraceReader> open_page_ids(const std::string& path);
std::unique_ptr<TraceReader> open_msr(const std::string& path);
std::unique_ptr<TraceReader> open_fio_iolog(const std::string& path);
std::unique_ptr<TraceReader> open_capture(const std::string& path);

}  // namespace xenfs::workloads::replay
