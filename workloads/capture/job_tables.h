// The jobs' tables in a .xfcap file, and what of them follows from the processes.
#pragma once

#include "workloads/capture/capture.h"
#include "workloads/capture/sections.h"

namespace xenfs::workloads {

void encode_jobs(const Capture& capture, SectionWriter& out);
void decode_jobs(Capture& capture, const SectionReader& in);

// Fills job_ops and each job's first_op, op_count and cpu_ns from Process::job.
void gather_job_ops(Capture& capture);

}  // namespace xenfs::workloads
