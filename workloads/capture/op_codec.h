// Operations as columns. They are coded process by process; most are told by the operations before
// them (the same compiler opens the same headers in the same order), so what is stored is mainly
// where that guess fails.
#pragma once

#include "workloads/capture/capture.h"
#include "workloads/capture/sections.h"

namespace xenfs::workloads {

// Sections op.* and order.*. Needs processes (their op_count) and files (their first_version).
void encode_ops(const Capture& capture, SectionWriter& out);
// Fills ops, op_process and the processes' first_op and last_op. Throws std::out_of_range on
// nonsense.
void decode_ops(Capture& capture, const SectionReader& in);

}  // namespace xenfs::workloads
