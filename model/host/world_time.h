#pragma once
// The world's time, which files carry. It is a type of its own: a domain's Nanoseconds count from
// some start of that domain, and neither converts into the other by accident.

#include <compare>
#include <cstdint>

#include "model/host/types.h"

namespace xenfs {

inline constexpr Nanoseconds second = 1'000'000'000;

/// A moment of the world's calendar: whole seconds since the beginning of 1970, negative before it,
/// and nanoseconds behind them, less than a second.
struct WorldTime {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;

    /// Returns the moment `later`, which is not negative, after this one.
    constexpr WorldTime after(Nanoseconds later) const {
        const Nanoseconds rest = nanoseconds + later % second;
        return {seconds + later / second + rest / second,
                static_cast<std::uint32_t>(rest % second)};
    }
    friend constexpr auto operator<=>(const WorldTime&, const WorldTime&) = default;
};

}  // namespace xenfs
