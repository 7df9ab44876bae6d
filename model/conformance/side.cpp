#include "model/conformance/side.h"

#include <array>
#include <sstream>

namespace xenfs::conformance {
namespace {

constexpr Nanoseconds patience_ns = 120'000'000'000, poll_ns = 20'000'000;

std::array<std::byte, page_size> pattern(std::uint32_t content) {
    std::array<std::byte, page_size> bytes;
    std::uint32_t state = content * 2654435761u + 1;
    for (std::byte& byte : bytes) {
        state = state * 1664525u + 1013904223u;
        byte = static_cast<std::byte>(state >> 24);
    }
    return bytes;
}

Fingerprint fingerprint(std::uint32_t content) {
    return content == 0 ? zero_fingerprint : 0xC0FFEE0000000000u + content;
}

}  // namespace

Side::Side(host::Host& on, Others with, std::string case_name)
    : host(on), others(std::move(with)), name_(std::move(case_name)) {}

std::string Side::path(DomainId from, DomainId to, std::string_view key) const {
    return "/local/domain/" + std::to_string(from) + "/conformance/" + name_ + "/" +
           std::to_string(to) + "/" + std::string(key);
}

void Side::send(DomainId to, std::string_view key, std::string_view text) {
    host.clock().flush();
    const std::string at = path(host.self(), to, key);
    if (host.store().write(at, text) != 0 || host.store().allow(at, to) != 0) {
        throw std::runtime_error("cannot write " + at);
    }
}

void Side::send(DomainId to, std::string_view key, std::span<const std::uint32_t> numbers) {
    std::string text;
    for (const std::uint32_t number : numbers) text += std::to_string(number) + " ";
    send(to, key, text);
}

std::string Side::receive(DomainId from, std::string_view key) {
    const std::string at = path(from, host.self(), key);
    if (!gate_) gate_ = host.tasks().make_gate();
    const std::uint64_t watch = host.store().watch(at, [this] { gate_->wake_all(); });
    const Nanoseconds until = host.clock().now() + patience_ns;
    for (;;) {
        const Result<std::string> text = host.store().read(at);
        if (text || host.clock().now() > until) {
            host.store().unwatch(watch);
            if (text) return *text;
            throw std::runtime_error("nobody wrote " + at);
        }
        gate_->wait(poll_ns);
    }
}

std::vector<std::uint32_t> Side::receive_numbers(DomainId from, std::string_view key) {
    std::istringstream text(receive(from, key));
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number; text >> number;) numbers.push_back(number);
    return numbers;
}

void Side::fill(host::Page page, std::uint32_t content) {
    auto bytes = pattern(content);
    if (content == 0) bytes.fill(std::byte{0});
    Fingerprint print = fingerprint(content);
    const bool real = host.capabilities().real_bytes;
    const host::Piece piece{page, 0, page_size, 0};
    host.memory().store({&piece, 1},
                        {real ? bytes.data() : nullptr, real ? nullptr : &print, page_size});
}

bool Side::holds(host::Page page, std::uint32_t content) {
    auto expected = pattern(content);
    if (content == 0) expected.fill(std::byte{0});
    std::array<std::byte, page_size> bytes{};
    Fingerprint print = 0;
    const bool real = host.capabilities().real_bytes;
    const host::Piece piece{page, 0, page_size, 0};
    host.memory().load({&piece, 1},
                       {real ? bytes.data() : nullptr, real ? nullptr : &print, page_size});
    return real ? bytes == expected : print == fingerprint(content);
}

std::vector<Frame> Side::frames(std::size_t count) {
    std::vector<Frame> all(count);
    if (host.frames().allocate(all) != count) throw std::runtime_error("not enough frames");
    return all;
}

std::vector<GrantRef> Side::grant(DomainId to, std::span<const Frame> frames, Access access) {
    std::vector<GrantRef> references(frames.size());
    if (host.grants().grant(to, frames, access, references) != frames.size()) {
        throw std::runtime_error("not enough grant entries");
    }
    return references;
}

GrantRef Side::grant(DomainId to, Frame frame, Access access) {
    return grant(to, {&frame, 1}, access).front();
}

GrantStatus Side::revoke(GrantRef reference) {
    GrantStatus status = GrantStatus::general_error;
    host.grants().revoke({&reference, 1}, {&status, 1});
    return status;
}

GrantStatus Side::revoke_when_idle(GrantRef reference) {
    const Nanoseconds until = host.clock().now() + patience_ns;
    for (;;) {
        const GrantStatus status = revoke(reference);
        if (status != GrantStatus::busy || host.clock().now() > until) return status;
        host.clock().sleep(1'000'000);
    }
}

std::vector<MapHandle> Side::map(DomainId granter, std::span<const GrantRef> references,
                                 Access access) {
    std::vector<MapHandle> handles(references.size());
    std::vector<GrantStatus> status(references.size());
    host.grants().map(granter, references, access, handles, status);
    for (const GrantStatus each : status) {
        if (each != GrantStatus::okay) throw std::runtime_error("a map was refused");
    }
    return handles;
}

GrantStatus Side::try_map(DomainId granter, GrantRef reference, Access access, MapHandle& handle) {
    GrantStatus status = GrantStatus::okay;
    host.grants().map(granter, {&reference, 1}, access, {&handle, 1}, {&status, 1});
    return status;
}

void Side::unmap(MapHandle handle) {
    host.grants().unmap({&handle, 1});
}

std::span<const Case> cases() {
    static const std::vector<Case> all = [] {
        std::vector<Case> joined;
        for (const auto& part :
             {grant_cases(), limit_cases(), copy_cases(), transfer_cases(), death_cases(),
              event_cases(), frame_cases(), store_cases(), time_cases()}) {
            joined.insert(joined.end(), part.begin(), part.end());
        }
        return joined;
    }();
    return all;
}

const Case* find_case(std::string_view name) {
    for (const Case& each : cases()) {
        if (name == each.name) return &each;
    }
    return nullptr;
}

}  // namespace xenfs::conformance
