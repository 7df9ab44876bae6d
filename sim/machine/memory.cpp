#include <fmt/format.h>
#include <xxhash.h>

#include <cassert>
#include <cstring>

#include "sim/machine/host_view.h"

namespace xenfs::sim {
namespace {

/// Finds which of the buffer's fingerprints belongs to a piece: buffer.pages[0] is that of the file
/// page in which the buffer starts, and a file's page offset is its frame's page offset.
std::size_t page_index(const host::Piece& piece) {
    const std::size_t start = (piece.page_offset - piece.buffer_offset) & (page_size - 1);
    return (start + piece.buffer_offset) >> page_shift;
}

// stands for data stored without a fingerprint
constexpr Fingerprint unknown_data = 0x6e6f626f64796b73;

}  // namespace

Fingerprint mix(Fingerprint old, Fingerprint data, std::uint32_t offset, std::uint32_t length) {
    if (offset == 0 && length == page_size) return data;
    if (old == zero_fingerprint || old == data) return data;
    const std::uint64_t all[] = {old, data, std::uint64_t{offset} << 32 | length};
    const Fingerprint mixed = XXH3_64bits(all, sizeof all);
    return mixed != zero_fingerprint ? mixed : 1;
}

FrameRecord& SimMemory::record(host::Page page, bool written) const {
    if (page.kind == host::Page::Kind::mapping) {
        const auto* const mapping = self.maptrack.find(page.id);
        if (mapping == nullptr) {
            throw SimulationError(fmt::format("domain '{}' uses mapping {:#x}, which it has not",
                                              self.config.name, page.id));
        }
        if (written && !mapping->writable) {
            throw SimulationError(
                fmt::format("domain '{}' writes to a read-only mapping", self.config.name));
        }
        return machine.frames[mapping->frame];
    }
    if (page.kind == host::Page::Kind::frame && machine.frames.exists(page.id)) {
        FrameRecord& found = machine.frames[page.id];
        if (found.use != FrameRecord::free &&
            (found.owner == granter.id || found.owner == self.id)) {
            return found;
        }
    }
    throw SimulationError(
        fmt::format("domain '{}' uses frame {}, which it has not", self.config.name, page.id));
}

FrameRecord& SimMemory::data(host::Page page, bool written) const {
    FrameRecord& found = record(page, written);
    if (found.use == FrameRecord::control) {
        throw SimulationError(fmt::format("domain '{}' uses control memory as if it held file data",
                                          self.config.name));
    }
    return found;
}

void SimMemory::load(std::span<const host::Piece> pieces, host::Buffer into) {
    Nanoseconds cost = 0;
    for (const host::Piece& piece : pieces) {
        assert(piece.page_offset + piece.length <= page_size);
        FrameRecord& from = data(piece.page, false);
        cost += machine.prices.piece + machine.prices.copy.of(machine.frames.touch(from)) *
                                           piece.length / static_cast<Nanoseconds>(page_size);
        if (into.pages != nullptr) into.pages[page_index(piece)] = from.content;
    }
    machine.charge(cost);
}

void SimMemory::store(std::span<const host::Piece> pieces, host::Buffer from) {
    Nanoseconds cost = 0;
    for (const host::Piece& piece : pieces) {
        assert(piece.page_offset + piece.length <= page_size);
        FrameRecord& to = data(piece.page, true);
        cost += machine.prices.piece + machine.prices.copy.of(machine.frames.touch(to)) *
                                           piece.length / static_cast<Nanoseconds>(page_size);
        const Fingerprint what =
            from.pages != nullptr ? from.pages[page_index(piece)] : unknown_data;
        machine.frames.set_content(to, mix(to.content, what, piece.page_offset, piece.length));
    }
    machine.charge(cost);
}

void SimMemory::zero(host::Page page, std::uint16_t offset, std::uint16_t length) {
    assert(offset + length <= page_size);
    FrameRecord& to = record(page, true);
    machine.charge(machine.prices.zero.of(machine.frames.touch(to)) * length /
                   static_cast<Nanoseconds>(page_size));
    if (to.use == FrameRecord::control) {
        std::memset(to.bytes() + offset, 0, length);
    } else {
        machine.frames.set_content(to, mix(to.content, zero_fingerprint, offset, length));
    }
}

void SimMemory::copy(host::Page from, host::Page to) {
    FrameRecord& source = data(from, false);
    FrameRecord& destination = data(to, true);
    machine.charge(machine.prices.copy.of(machine.frames.touch(source)));
    machine.frames.touch(destination);
    machine.frames.set_content(destination, source.content);
}

void SimMemory::hash(std::span<const host::Page> pages, std::span<Fingerprint> out) {
    assert(pages.size() == out.size());
    Nanoseconds cost = 0;
    for (std::size_t i = 0; i < pages.size(); ++i) {
        FrameRecord& page = data(pages[i], false);
        cost += machine.prices.hash.of(machine.frames.touch(page));
        out[i] = page.content;
    }
    machine.charge(cost);
}

/// The whole price is charged even where the pages differ: that is an upper bound, since memcmp
/// stops there.
bool SimMemory::equal(host::Page a, host::Page b) {
    FrameRecord& first = data(a, false);
    FrameRecord& second = data(b, false);
    const bool warm = machine.frames.touch(first);
    machine.charge(machine.prices.compare.of(machine.frames.touch(second) && warm));
    return first.content == second.content;
}

std::byte* SimMemory::bytes(host::Page page) {
    FrameRecord& found = record(page, false);
    if (found.use != FrameRecord::control) {
        throw SimulationError(
            fmt::format("domain '{}' asks for the bytes of a page that is no control memory",
                        self.config.name));
    }
    return found.bytes();
}

Result<Frame> SimMemory::allocate_shared() {
    const Frame frame =
        granter.alive ? machine.take_frame(granter, FrameRecord::control) : no_frame;
    if (frame == no_frame) return Errno{ENOMEM};
    machine.charge(machine.prices.zero.warm);
    return frame;
}

void SimMemory::release_shared(Frame frame) {
    if (!granter.alive) return;
    const FrameRecord& found = machine.frames[frame];
    if (found.use != FrameRecord::control || found.owner != granter.id || xen::is_granted(found)) {
        fmt::print(
            stderr, "Memory::release_shared: frame {} {} (domain '{}')\n", frame,
            xen::is_granted(found) ? "is still granted" : "is no control memory of this domain",
            granter.config.name);
        std::abort();
    }
    machine.give_frame(granter, frame);
}

}  // namespace xenfs::sim
