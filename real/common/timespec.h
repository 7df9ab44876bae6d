#pragma once
#include <ctime>

#include "model/host/world_time.h"

namespace xenfs::real {

inline WorldTime world_time_of(const timespec& time) {
    return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

inline timespec timespec_of(WorldTime time) {
    return {time.seconds, static_cast<long>(time.nanoseconds)};
}

}  // namespace xenfs::real
