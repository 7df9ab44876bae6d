#include "sim/sharing/guest_memory.h"

#include <algorithm>
#include <cmath>

#include "workloads/process/content.h"

namespace xenfs::sim {
namespace {

using workloads::made_content;
using workloads::mix64;

// What a made-up content stands for; keeps the kinds apart.
enum Kind : std::uint64_t {
    of_image = 0x696d67,
    of_change,
    of_repeat,
    of_anonymous,
    of_life,
    of_storm
};

/// A number in (0, 1], by hash: no stream to keep in step.
double unit(std::uint64_t bits) {
    return (static_cast<double>(bits >> 11) + 1) / 9007199254740993.0;
}

constexpr double pareto_shape = 1.5;  // mean = scale * shape / (shape - 1)

}  // namespace

GuestMemory::GuestMemory(Domain& domain, const GuestMemoryOptions& options, std::uint64_t seed,
                         std::uint64_t common_seed)
    : domain_(domain),
      options_(options),
      seed_(seed),
      common_seed_(common_seed),
      anonymous_(options.anonymous_pages, no_frame),
      generation_(options.anonymous_pages, 0) {}

bool GuestMemory::populate() {
    const auto put = [this](Fingerprint content, Writer writer) {
        const Frame frame = domain_.take_memory();
        if (frame != no_frame) domain_.write_memory(frame, content, writer);
        return frame;
    };
    for (std::size_t i = 0; i < options_.zero_pages; ++i) {
        if (put(zero_fingerprint, Writer::program) == no_frame) return false;
    }
    for (std::size_t i = 0; i < options_.image_pages; ++i) {
        const bool changed = unit(mix64(seed_, mix64(of_change, i))) <= options_.image_changed;
        const Frame frame = put(made_content(of_image, options_.image, i), Writer::device);
        if (frame == no_frame) return false;
        image_.push_back(frame);
        if (changed) domain_.write_memory(frame, made_content(of_change, seed_, i));
    }
    for (std::size_t i = 0; i < options_.repeated_pages; ++i) {
        const std::size_t which = i / std::max(options_.repeats, 1u);
        if (put(made_content(of_repeat, seed_, which), Writer::program) == no_frame) return false;
    }
    const Nanoseconds now = domain_.host().clock().now();
    for (std::uint32_t slot = 0; slot < anonymous_.size(); ++slot) {
        anonymous_[slot] = domain_.take_memory();
        if (anonymous_[slot] == no_frame) return false;
        renew(slot, now, true);
    }
    return true;
}

/// Zeros first, then common ones, then the guest's own.
bool GuestMemory::is_common(std::uint32_t slot) const {
    const auto pages = static_cast<double>(options_.anonymous_pages);
    return slot < pages * (options_.anonymous_zero + options_.anonymous_common);
}

Fingerprint GuestMemory::anonymous_content(std::uint32_t slot) const {
    if (slot < static_cast<double>(options_.anonymous_pages) * options_.anonymous_zero) {
        return zero_fingerprint;
    }
    return made_content(of_anonymous, is_common(slot) ? common_seed_ : seed_,
                        mix64(slot, generation_[slot]));
}

/// `residual`: of a page that is there when the run starts, so already lived for a while.
Nanoseconds GuestMemory::lifetime(std::uint32_t slot, bool residual) const {
    const double u = unit(mix64(is_common(slot) ? common_seed_ : seed_,
                                mix64(of_life, mix64(slot, generation_[slot]))));
    const auto mean = static_cast<double>(options_.lifetime_ns);
    double life = mean;
    switch (options_.shape) {
        case LifetimeShape::fixed:
            life = residual ? mean * u : mean;
            break;
        case LifetimeShape::exponential:
            life = -mean * std::log(u);
            break;
        case LifetimeShape::pareto:
            life = mean * (pareto_shape - 1) / pareto_shape * std::pow(u, -1 / pareto_shape);
            break;
    }
    return std::max<Nanoseconds>(1, std::llround(std::min(life, 1e18)));
}

void GuestMemory::renew(std::uint32_t slot, Nanoseconds now, bool residual) {
    domain_.write_memory(anonymous_[slot], anonymous_content(slot));
    if (options_.lifetime_ns > 0) deaths_due_.push({now + lifetime(slot, residual), slot});
}

void GuestMemory::start() {
    if (options_.storm_ns > 0) {
        domain_.spawn(
            "storm",
            [this] {
                host::Clock& clock = domain_.host().clock();
                if (options_.storm_ns > clock.now()) clock.sleep(options_.storm_ns - clock.now());
                for (std::size_t i = 0; i < image_.size(); ++i) {
                    domain_.write_memory(image_[i], made_content(of_storm, seed_, i));
                    if (i % 64 == 63) clock.flush();
                }
            },
            true);
    }
    if (deaths_due_.empty()) return;
    domain_.spawn(
        "anonymous memory",
        [this] {
            host::Clock& clock = domain_.host().clock();
            // Deaths close to each other are served together: a hundred turns a lifetime.
            const Nanoseconds step = std::max<Nanoseconds>(options_.lifetime_ns / 100, 100'000);
            for (;;) {
                clock.sleep(std::max(step, deaths_due_.top().at - clock.now()));
                const Nanoseconds now = clock.now();
                while (deaths_due_.top().at <= now) {
                    const Death death = deaths_due_.top();
                    deaths_due_.pop();
                    ++generation_[death.slot];
                    ++deaths_;
                    renew(death.slot, death.at, false);
                }
            }
        },
        true);
}

}  // namespace xenfs::sim
