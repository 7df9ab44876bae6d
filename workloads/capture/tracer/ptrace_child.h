// Starting a process under ptrace; shared by the tracer proper and the measurement of its cost.
#pragma once

#include <sys/types.h>

#include <functional>

namespace xenfs::workloads {

// Forks; the child waits until it is traced (seized with all the options the tracer needs), then
// runs `body`, which must not return. Throws std::runtime_error if that is not allowed here.
pid_t start_traced(const std::function<void()>& body);

}  // namespace xenfs::workloads
