#include "model/client/page_install.h"

#include <algorithm>

namespace xenfs::client {

using protocol::PageMode;

std::uint32_t PageInstaller::reserve(std::uint32_t file, std::uint64_t first, std::uint32_t count) {
    for (reserved_ = 0; reserved_ < count; ++reserved_) {
        slots_[reserved_] = pages_.add_loading(file, first + reserved_);
        if (slots_[reserved_] == kNoSlot) break;
    }
    return reserved_;
}

void PageInstaller::drop_behind(std::uint32_t granted) {
    for (std::uint32_t i = granted; i < reserved_; ++i) pages_.drop_loading(slots_[i]);
    reserved_ = std::min(reserved_, granted);
}

/// Copies and flips need a frame of ours for each page; a flip pays with it.
bool PageInstaller::prepare(PageRequest& request, std::uint32_t& count) {
    count = request.count;
    if (request.mode == PageMode::map_read || request.mode == PageMode::map_write) return true;
    // Flips fail where either side has no headroom, and then lose frames; a copy does not.
    constexpr int most_flips = 3;
    if (attempts_++ == most_flips) request.mode = PageMode::copy_out;
    const auto wanted = std::span<Frame>(frames_).first(count);
    count = frame_count_ = static_cast<std::uint32_t>(pages_.take_or_make_frames(wanted));
    if (count == 0) return false;
    if (request.mode == PageMode::flip_out) {
        count = static_cast<std::uint32_t>(host_.grants().accept_transfer(
            connection_.pool(), std::span<GrantRef>(accept_).first(count)));
        request.accept = std::span<const GrantRef>(accept_).first(count);
    }
    return true;
}

void PageInstaller::receive(PageRequest& request) {
    if (request.mode == PageMode::map_read || request.mode == PageMode::map_write) {
        return map(request);
    }
    if (request.mode == PageMode::flip_out) {
        flip(request);
        std::array<GrantStatus, most> status;
        const auto unused = request.accept.subspan(request.granted);
        host_.grants().revoke(unused, std::span(status).first(unused.size()));
    } else {
        copy(request);
    }
    for (std::uint32_t i = request.granted; i < frame_count_; ++i) pages_.give_frame(frames_[i]);
}

void PageInstaller::map(PageRequest& request) {
    const std::uint32_t count = request.granted;
    if (count == 0) return;
    std::array<MapHandle, most> handles;
    std::array<GrantStatus, most> status;
    const bool write = request.mode == PageMode::map_write;
    host_.grants().map(connection_.pool(), request.entries(),
                       write ? Access::read_write : Access::read, std::span(handles).first(count),
                       std::span(status).first(count));
    // An entry that has ended was revoked before we mapped it. The pages behind it are dropped as
    // well, so that what was asked for in one piece stays in one piece.
    std::uint32_t good = 0;
    while (good < count && status[good] == GrantStatus::okay) ++good;
    for (std::uint32_t i = good; i < count; ++i) {
        if (status[i] == GrantStatus::okay) {
            host_.grants().unmap(std::span<const MapHandle>(&handles[i], 1));
        }
        pages_.release_later(request.refs[i]);
    }
    for (std::uint32_t i = 0; i < good; ++i) {
        pages_.become_mapping(slots_[i], handles[i], request.refs[i], write);
        installed(request, i, false);
    }
    stats_.pages_mapped += good;
    request.granted = good;
}

void PageInstaller::copy(PageRequest& request) {
    const std::uint32_t count = request.granted;
    std::array<host::CopyOperation, most> operations;
    for (std::uint32_t i = 0; i < count; ++i) {
        operations[i] = {};
        operations[i].source.domain = connection_.pool();
        operations[i].source.reference = request.refs[i];
        operations[i].destination.frame = frames_[i];
        operations[i].length = page_size;
    }
    if (count > 0) host_.grants().copy(std::span(operations).first(count));
    std::uint32_t good = 0;
    while (good < count && operations[good].status == GrantStatus::okay) ++good;
    for (std::uint32_t i = 0; i < count; ++i) pages_.release_later(request.refs[i]);
    for (std::uint32_t i = 0; i < good; ++i) {
        pages_.become_own(slots_[i], frames_[i]);
        installed(request, i, true);
    }
    stats_.pages_copied_out += good;
    request.granted = good;
}

/// The data came in frames that are ours now; for each, a frame is transferred in payment.
void PageInstaller::flip(PageRequest& request) {
    std::array<host::TransferOperation, most> pay;
    std::uint32_t good = 0;
    for (; good < request.granted; ++good) {
        pay[good] = {frames_[good], connection_.pool(), request.refs[good], GrantStatus::okay};
        const Frame frame = host_.grants().take_transferred(accept_[good]);
        if (frame == no_frame) break;
        pages_.become_own(slots_[good], frame);
        installed(request, good, true);
    }
    if (good > 0) host_.grants().transfer(std::span(pay).first(good));
    for (const GrantRef entry : request.entries()) pages_.release_later(entry);
    stats_.pages_flipped_out += good;
    request.granted = good;
}

void PageInstaller::installed(const PageRequest& request, std::uint32_t i, bool own) {
    const Slot slot = slots_[i];
    if (once_) pages_.set_flag(slot, page_once);
    if (own && (request.entry_flags[i] & protocol::entry_volatile) != 0) {
        pages_.set_flag(slot, page_outdated);
    }
    if (pages_.has(slot, page_outdated)) outdated_.push_back(pages_.cache().key(slot));
}

}  // namespace xenfs::client
