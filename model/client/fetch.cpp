#include "model/client/fetch.h"

#include <algorithm>

#include "model/client/convert.h"
#include "model/client/page_install.h"

namespace xenfs::client {

using policies::Keep;
using policies::Mechanism;
using protocol::PageMode;

/// The plan of one request.
struct PageFetch::Plan {
    PageRequest request;
    bool once = false;  ///< what comes goes after one use
    /// it is a range (Keep::range), or a part of a range already asked for as such
    bool whole_range = false;
};

void PageFetch::drop_outdated(bool lent) {
    for (const PageKey key : outdated_) {
        const Slot slot = pages_.cache().find(key);
        if (slot == kNoSlot || !pages_.ready(slot) || !pages_.has(slot, page_outdated)) continue;
        if (pages_.cache().pins(slot) == 0 || (lent && pages_.on_loan(slot))) pages_.drop(slot);
    }
    outdated_.clear();
}

/// Counts the pages from `first` on that are not there: at least `count`, at most `most`.
std::uint32_t PageFetch::missing_from(std::uint32_t file, std::uint64_t first, std::uint32_t count,
                                      std::uint64_t most) const {
    while (count < most && pages_.find(file, first + count) == kNoSlot) ++count;
    return count;
}

/// Extends the request to the whole aligned range of map_range pages, as far as none of it is there
/// and it lies before the end.
void PageFetch::widen(std::uint32_t file, std::uint64_t end, PageRequest& request) const {
    const std::uint64_t size = std::clamp<std::uint64_t>(config_.map_range, 1, PageRequest::most);
    const std::uint64_t begin = request.first / size * size;
    const std::uint64_t last = std::min(begin + size, end);
    std::uint64_t to = request.first + 1;
    while (to < last && pages_.find(file, to) == kNoSlot) ++to;
    while (request.first > begin && pages_.find(file, request.first - 1) == kNoSlot) {
        --request.first;
    }
    request.count = request.wanted = static_cast<std::uint32_t>(to - request.first);
}

/// Turns the pages that are needed or read ahead, in plan.request, into the request. Returns false
/// where frames of ours must come free first.
bool PageFetch::choose(const Node& node, std::uint64_t end, std::uint32_t window, Use use,
                       Plan& plan) {
    PageRequest& request = plan.request;
    const std::uint64_t first = request.first;
    const std::uint32_t behind = choice_.around_pages(node, window);
    const auto decision = choice_.decide(node, use, request.count, behind);
    request.wanted = request.count;
    plan.once = decision.keep == Keep::once;
    const bool maps = decision.mechanism == Mechanism::map;
    if (decision.keep == Keep::range && maps && !plan.whole_range) {
        plan.whole_range = true;
        widen(node.file(), end, request);
    }
    if (decision.keep == Keep::around) {
        request.count = missing_from(node.file(), first, request.count,
                                     std::min<std::uint64_t>(behind, end - first));
    }
    request.only_first = request.only_first && request.count > 1 && request.first == first;
    const std::uint32_t budget = maps ? config_.mapping_budget : config_.own_budget;
    request.count = std::min(request.count, std::max(1u, budget / 2));
    if (maps) {
        request.mode = use == Use::mmap_write ? PageMode::map_write : PageMode::map_read;
        pages_.room_for_mappings(request.count);
        return true;
    }
    request.mode = decision.mechanism == Mechanism::copy ? PageMode::copy_out : PageMode::flip_out;
    if (pages_.room_for_own(request.count)) return true;
    const bool none_dirty = pages_.cache().dirty_count() == 0;
    if (request.count == 1 || !none_dirty || !pages_.room_for_own(1)) return false;
    request.count = 1;  // one page is all that processes leave free
    return true;
}

/// `whole_range` says that the rest of its range was already asked for (Keep::range).
int PageFetch::fetch(Node& node, std::uint64_t first, std::uint32_t need, std::uint32_t window,
                     Use use, bool whole_range) {
    const Slot there = pages_.find(node.file(), first);
    if (there != kNoSlot) {
        if (pages_.ready(there)) return 0;
        ++stats_.waits_for_page;
        exchange_.wait_for_page();
        return 0;
    }
    const std::uint64_t end = node.state.pages();
    if (first >= end || first > protocol::max_file_pages) return ENODATA;

    Plan plan;
    PageRequest& request = plan.request;  // survives yields: a local's
    plan.whole_range = whole_range;
    request.first = first;
    request.count = missing_from(
        node.file(), first, 1,
        std::min<std::uint64_t>({std::uint64_t{need} + window, end - first, PageRequest::most}));
    request.only_first = need == 1;
    if (!choose(node, end, window, use, plan)) return flusher_.flush_oldest();
    PageInstaller installer(shared_, plan.once, outdated_);
    request.count = installer.reserve(node.file(), request.first, request.count);
    if (request.count == 0) return flusher_.flush_oldest();
    stats_.page_misses += std::min(need, request.count);
    node.uses.fetched(request.count, node.state.pages(), plan.once);
    if (request.count > need) stats_.readahead_pages += request.count - need;

    int error;
    {
        const PageExchange::EntriesOut entries_out(exchange_);
        const bool maps = request.mode == PageMode::map_read || request.mode == PageMode::map_write;
        const Flusher::FramesMoving moving(flusher_, !maps);
        error = exchange_.get(node, request, installer);
    }
    installer.drop_behind(request.granted);
    exchange_.page_changed();
    if (error != 0) return error;
    if (plan.whole_range) pages_.map_as_range(node.file(), request.first, request.granted);
    // Only the beginning of a range came, so the wanted page is asked for by itself.
    const std::uint64_t came = request.first + request.granted;
    if (request.granted > 0 && came <= first) return fetch(node, first, need, 0, use, true);
    if (request.granted > 0) return 0;
    // The server's file ends before this page. Under the lease ours may be longer: this is a hole.
    if (node.state.leased() && first < node.state.pages()) return make_hole(node, first);
    if (!node.state.leased()) node.state.forget();
    return ENODATA;
}

int PageFetch::make_hole(Node& node, std::uint64_t page) {
    Frame frame;
    if (int error = flusher_.own_frame(frame)) return error;
    if (!node.state.leased() || pages_.find(node.file(), page) != kNoSlot) {
        pages_.give_frame(frame);
        return 0;
    }
    const Slot slot = pages_.add_loading(node.file(), page);
    if (slot == kNoSlot) {
        pages_.give_frame(frame);
        return ENOMEM;
    }
    memory_.zero(host::Page::of_frame(frame), 0, page_size);
    pages_.become_own(slot, frame);
    flusher_.will_dirty(node);
    pages_.mark_dirty(slot);
    return 0;
}

}  // namespace xenfs::client
