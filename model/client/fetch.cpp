// Getting pages from the shared cache: mapped, copied or flipped.
#include <algorithm>
#include <array>

#include "model/client/client.h"
#include "model/client/convert.h"

namespace xenfs::client {

using policies::Mechanism;
using protocol::PageMode;

/// Pages of one request, from the loading entries to the frames.
struct Client::Batch {
    static constexpr std::size_t most = protocol::max_pages_per_request;
    std::uint32_t file = 0;
    std::uint64_t first = 0;
    std::uint32_t count = 0;    ///< asked for
    std::uint32_t wanted = 0;   ///< of them; those behind only if the server has them cached
    std::uint32_t granted = 0;  ///< came
    std::uint16_t reply_flags = 0;
    PageMode mode = PageMode::map_read;
    bool once = false;        ///< what comes goes after one use
    bool only_first = false;  ///< the rest is read-ahead
    std::array<Slot, most> slots;
    std::array<GrantRef, most> refs;        ///< what the server gave
    std::array<std::uint32_t, most> flags;  ///< protocol::PageEntryFlags
    std::array<GrantRef, most> accept;      ///< flip_out: what we offered
    std::array<Frame, most> frames;         ///< own, for copies and payment
};

policies::TransferDecision Client::decide(const Node& node, policies::TransferRequest::Use use,
                                          std::uint32_t pages, std::uint32_t around) {
    policies::TransferRequest request;
    request.around_pages = around;
    request.use = use;
    request.pages = pages;
    request.unmap_batch = config_.release_batch;
    request.entries_short = clock_.now() < entries_short_until_;
    request.expected_uses =
        node.uses.expected_uses(pages_.cache().file_pages(node.file()), node.pages_now());
    const policies::TransferDecision decision = transfer_->decide(request);
    if (config_.on_decision) config_.on_decision(request, decision);
    return decision;
}

void Client::wait_for_page() {
    ++page_waiters_;
    page_gate_->wait(config_.event_timeout);
    --page_waiters_;
}

void Client::wake_page_waiters() {
    if (page_waiters_ > 0) page_gate_->wake_all();
}

void Client::drop_doomed() {
    for (const PageKey key : doomed_) {
        const Slot slot = pages_.cache().find(key);
        if (slot != kNoSlot && pages_.ready(slot) && pages_.has(slot, page_doomed) &&
            pages_.cache().pins(slot) == 0) {
            pages_.drop(slot);
        }
    }
    doomed_.clear();
}

/// TransferRequest::around_pages. Twice as many pages as the file was asked for before, so that
/// what comes in vain stays within a factor of what was wanted; the most where it is read in order.
std::uint32_t Client::around_pages(const Node& node, std::uint32_t window) {
    const std::uint64_t here = pages_.cache().file_pages(node.file());
    const std::uint64_t missing = node.pages_now() - std::min(here, node.pages_now());
    const std::uint32_t most = std::min<std::uint32_t>(config_.map_range, Batch::most);
    if (pages_.mapped() + missing > config_.mapping_budget || node.uses.keeping_is_vain(here))
        return 0;
    if (window != 0 && window >= config_.readahead) return most;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, 2 * node.uses.requests()));
}

/// To the whole aligned range of map_range pages, as far as none of it is there and it lies before
/// the end.
void Client::widen(Batch& batch, std::uint64_t end) const {
    const std::uint64_t size = std::clamp<std::uint64_t>(config_.map_range, 1, Batch::most);
    const std::uint64_t begin = batch.first / size * size;
    const std::uint64_t last = std::min(begin + size, end);
    std::uint64_t to = batch.first + 1;
    while (to < last && pages_.find(batch.file, to) == kNoSlot) ++to;
    while (batch.first > begin && pages_.find(batch.file, batch.first - 1) == kNoSlot) {
        --batch.first;
    }
    batch.count = static_cast<std::uint32_t>(to - batch.first);
    batch.wanted = batch.count;
}

/// Brings [first, first + need) and up to `window` pages more, as far as they lie before the end
/// and before a page that is there already. 0: the first one is there. ENODATA: it lies beyond the
/// end. May also return 0 without it when another task was at it: the caller looks again.
/// `around`: the rest of its range was asked for already (Keep::range).
int Client::fetch(Node& node, std::uint64_t first, std::uint32_t need, std::uint32_t window,
                  policies::TransferRequest::Use use, bool around) {
    const Slot there = pages_.find(node.file(), first);
    if (there != kNoSlot) {
        if (pages_.ready(there)) return 0;
        ++stats_.waits_for_page;
        wait_for_page();
        return 0;
    }
    const std::uint64_t end = pages_of(node.attr.size);
    if (first >= end || first > protocol::max_file_pages) return ENODATA;

    Batch batch;
    batch.file = node.file();
    batch.first = first;
    const auto most = static_cast<std::uint32_t>(
        std::min<std::uint64_t>({need + window, end - first, Batch::most}));
    batch.count = 1;
    while (batch.count < most && pages_.find(batch.file, first + batch.count) == kNoSlot) {
        ++batch.count;
    }
    const std::uint32_t behind = around_pages(node, window);
    const policies::TransferDecision decision = decide(node, use, batch.count, behind);
    batch.wanted = batch.count;
    batch.once = decision.keep == policies::Keep::once;
    const bool maps = decision.mechanism == Mechanism::map;
    if (decision.keep == policies::Keep::range && maps && !around) {
        around = true;
        widen(batch, end);
    }
    if (decision.keep == policies::Keep::around) {
        const auto last = static_cast<std::uint32_t>(std::min<std::uint64_t>(behind, end - first));
        while (batch.count < last && pages_.find(batch.file, first + batch.count) == kNoSlot) {
            ++batch.count;
        }
    }
    batch.only_first = need == 1 && batch.count > 1 && batch.first == first;
    const std::uint32_t budget = maps ? config_.mapping_budget : config_.own_budget;
    batch.count = std::min(batch.count, std::max(1u, budget / 2));
    if (maps) {
        const bool write = use == policies::TransferRequest::Use::mmap_write;
        batch.mode = write ? PageMode::map_write : PageMode::map_read;
        pages_.room_for_mappings(batch.count);
    } else {
        batch.mode =
            decision.mechanism == Mechanism::copy ? PageMode::copy_out : PageMode::flip_out;
        if (!pages_.room_for_own(batch.count)) {
            const bool none_dirty = pages_.cache().dirty_count() == 0;
            if (batch.count == 1 || !none_dirty || !pages_.room_for_own(1)) return flush_oldest();
            batch.count = 1;  // all that processes leave free
        }
    }
    for (std::uint32_t i = 0; i < batch.count; ++i) {
        batch.slots[i] = pages_.add_loading(batch.file, batch.first + i);
        if (batch.slots[i] == kNoSlot) {
            batch.count = i;
            break;
        }
    }
    if (batch.count == 0) return flush_oldest();
    stats_.page_misses += std::min(need, batch.count);
    node.uses.fetched(batch.count, node.pages_now(), batch.once);
    if (batch.count > need) stats_.readahead_pages += batch.count - need;

    const int error = request_pages(node, batch);
    for (std::uint32_t i = batch.granted; i < batch.count; ++i) pages_.drop_loading(batch.slots[i]);
    wake_page_waiters();
    if (error != 0) return error;
    if (around) pages_.map_as_range(batch.file, batch.first, batch.granted);
    // A range whose beginning alone came: the page that is wanted, by itself.
    const std::uint64_t came = batch.first + batch.granted;
    if (batch.granted > 0 && came <= first) return fetch(node, first, need, 0, use, true);
    if (batch.granted > 0) return 0;
    // The server's file ends before this page. Under the lease ours may be longer: a hole.
    if (!node.lease || first >= pages_of(node.attr.size)) {
        if (!node.lease) node.size_valid = node.attr_valid = false;
        return ENODATA;
    }
    Frame frame;
    if (int failed = own_frame(frame)) return failed;
    if (!node.lease || pages_.find(batch.file, first) != kNoSlot) {
        pages_.give_frame(frame);
        return 0;
    }
    const Slot slot = pages_.add_loading(batch.file, first);
    if (slot == kNoSlot) {
        pages_.give_frame(frame);
        return ENOMEM;
    }
    memory_.zero(host::Page::of_frame(frame), 0, page_size);
    pages_.become_own(slot, frame);
    pages_.mark_dirty(slot);
    return 0;
}

/// Asks until something comes. Where the server has no room it lets the request wait, or says that
/// it is for us to make some.
int Client::request_pages(Node& node, Batch& batch) {
    const EntriesOut entries_out(*this);
    const bool own = batch.mode != PageMode::map_read && batch.mode != PageMode::map_write;
    const FramesMoving moving(*this, own);
    bool wait = false;
    for (int attempt = 0;; ++attempt) {
        std::uint32_t frames = 0;
        if (own) {
            const auto wanted = std::span<Frame>(batch.frames).first(batch.count);
            frames = static_cast<std::uint32_t>(pages_.take_or_make_frames(wanted));
        }
        std::uint32_t count = own ? frames : batch.count;
        if (count == 0) return ENOMEM;
        const bool flip = batch.mode == PageMode::flip_out;
        if (flip) {
            count = static_cast<std::uint32_t>(host_.grants().accept_transfer(
                connection_.pool(), std::span<GrantRef>(batch.accept).first(count)));
        }
        const std::uint64_t fh = node.fh_valid ? node.fh : 0;
        int error = 0;
        batch.granted = 0;
        batch.reply_flags = 0;
        {
            Call call(connection_, protocol::Opcode::pages_get, node.id);
            std::array<GrantRef, protocol::max_release_per_request> released;
            const std::size_t most = flip ? protocol::max_pages_per_request : released.size();
            const std::size_t releases =
                pages_.take_released(std::span<GrantRef>(released).first(most));
            protocol::PagesGetIn in{};
            in.fh = fh;
            in.first_page = batch.first;
            in.count = count;
            in.mode = static_cast<std::uint16_t>(batch.mode);
            in.flags = static_cast<std::uint16_t>(
                (batch.only_first ? protocol::get_readahead : 0) | (wait ? protocol::get_wait : 0) |
                (count > batch.wanted ? protocol::get_cached : 0));
            in.wanted = batch.wanted;
            in.release_count = static_cast<std::uint32_t>(releases);
            in.accept_count = flip ? count : 0;
            call.put(in);
            call.put_refs(std::span<const GrantRef>(released).first(releases));
            if (flip) call.put_refs(std::span<const GrantRef>(batch.accept).first(count));
            error = call.send();
            const auto out = call.get<protocol::PagesGetOut>();
            const auto got =
                call.reader().get_array<protocol::PageEntry>(std::min(out.granted, count));
            if (error == 0 && (!call.ok() || out.granted > count)) error = EIO;
            if (error == 0) {
                batch.granted = out.granted;
                batch.reply_flags = out.flags;
                for (std::uint32_t i = 0; i < out.granted; ++i) {
                    batch.refs[i] = got[i].gref;
                    batch.flags[i] = got[i].flags;
                }
            }
        }
        if (flip) {
            install_flipped(batch);
            std::array<GrantStatus, Batch::most> status;
            const auto unused = std::span<const GrantRef>(batch.accept)
                                    .subspan(batch.granted, count - batch.granted);
            host_.grants().revoke(unused, std::span(status).first(unused.size()));
        } else if (own) {
            install_copied(node, batch);
        } else {
            install_mapped(batch);
        }
        for (std::uint32_t i = own ? batch.granted : frames; i < frames; ++i) {
            pages_.give_frame(batch.frames[i]);
        }
        if (error == EBADF && attempt < 8 && open_again(node, fh)) continue;
        if (error != 0 || batch.granted > 0) return error;
        if ((batch.reply_flags & protocol::got_end) != 0) return 0;
        // Flips fail for want of headroom on either side, and lose frames; a copy does not.
        if (flip && attempt >= 2) batch.mode = PageMode::copy_out;
        if (int refusal = make_room(batch.reply_flags, batch.count, attempt, wait)) return refusal;
    }
}

/// Nothing came. 0: it may be asked again at once; what was given up for it goes along with the
/// request. `wait`: nothing is left to give up, but other tasks of ours hold entries for a moment.
int Client::make_room(std::uint16_t reply_flags, std::uint32_t pages, int attempt, bool& wait) {
    constexpr int most_attempts = 1000;  // each gave something up; a server that always asks lies
    constexpr int most_mishaps = 8;      // entries that came and could not be used
    const bool credit = (reply_flags & protocol::got_credit) != 0;
    if (!credit && (reply_flags & protocol::got_release) == 0) {
        // A transfer that failed, or a mapping that the hypervisor has no room for.
        pages_.shrink_mappings(pages);
        pages_.settle();
        return attempt < most_mishaps ? 0 : ENOMEM;
    }
    ++(credit ? stats_.credit_refusals : stats_.release_refusals);
    entries_are_short();
    if (wait || attempt >= most_attempts) return ENOMEM;
    const std::uint32_t given = pages_.shrink_mappings(std::max(pages, config_.release_batch));
    pages_.settle();
    if (given == 0 && credit && donated_ < config_.donate_limit &&
        donate(std::min(config_.donate_step, config_.donate_limit - donated_)) > 0) {
        return 0;
    }
    if (pages_.released() > 0) return 0;
    if (entries_out_ == 1 && credit) return ENOMEM;
    wait = true;
    return 0;
}

/// For a while from now on nothing is mapped that can be copied, if the policy agrees.
void Client::entries_are_short() {
    constexpr Nanoseconds while_ns = 10'000'000'000;
    entries_short_until_ = clock_.now() + while_ns;
}

/// Tells the server of entries that are not mapped any more, as many as fit into one request.
void Client::send_released(bool urgent) {
    const EntriesOut entries_out(*this);
    std::array<GrantRef, protocol::max_release_per_request> refs;
    Call call(connection_, protocol::Opcode::pages_release, 0, urgent);
    const std::size_t count = pages_.take_released(refs);
    call.put(protocol::PagesReleaseIn{static_cast<std::uint32_t>(count), 0});
    call.put_refs(std::span<const GrantRef>(refs).first(count));
    call.send();
}

void Client::install_mapped(Batch& batch) {
    const std::uint32_t count = batch.granted;
    if (count == 0) return;
    std::array<MapHandle, Batch::most> handles;
    std::array<GrantStatus, Batch::most> status;
    const bool write = batch.mode == PageMode::map_write;
    host_.grants().map(connection_.pool(), std::span<const GrantRef>(batch.refs).first(count),
                       write ? Access::read_write : Access::read, std::span(handles).first(count),
                       std::span(status).first(count));
    // An entry that is gone already was revoked before we came to map it. The pages behind it are
    // dropped as well: what was asked for in one piece stays in one piece.
    std::uint32_t good = 0;
    while (good < count && status[good] == GrantStatus::okay) ++good;
    for (std::uint32_t i = good; i < count; ++i) {
        if (status[i] == GrantStatus::okay) {
            host_.grants().unmap(std::span<const MapHandle>(&handles[i], 1));
        }
        pages_.release_later(batch.refs[i]);
    }
    for (std::uint32_t i = 0; i < good; ++i) {
        pages_.become_mapping(batch.slots[i], handles[i], batch.refs[i], write);
        if (batch.once) pages_.set_flag(batch.slots[i], page_once);
        if (pages_.has(batch.slots[i], page_doomed)) {
            doomed_.push_back(pages_.cache().key(batch.slots[i]));
        }
    }
    stats_.pages_mapped += good;
    batch.granted = good;
}

void Client::install_copied(Node&, Batch& batch) {
    const std::uint32_t count = batch.granted;
    std::array<host::CopyOperation, Batch::most> operations;
    for (std::uint32_t i = 0; i < count; ++i) {
        operations[i] = {};
        operations[i].source.domain = connection_.pool();
        operations[i].source.reference = batch.refs[i];
        operations[i].destination.frame = batch.frames[i];
        operations[i].length = page_size;
    }
    if (count > 0) host_.grants().copy(std::span(operations).first(count));
    std::uint32_t good = 0;
    while (good < count && operations[good].status == GrantStatus::okay) ++good;
    for (std::uint32_t i = 0; i < count; ++i) pages_.release_later(batch.refs[i]);
    for (std::uint32_t i = 0; i < good; ++i) {
        const Slot slot = batch.slots[i];
        pages_.become_own(slot, batch.frames[i]);
        if (batch.once) pages_.set_flag(slot, page_once);
        if ((batch.flags[i] & protocol::entry_volatile) != 0) pages_.set_flag(slot, page_doomed);
        if (pages_.has(slot, page_doomed)) doomed_.push_back(pages_.cache().key(slot));
    }
    stats_.pages_copied_out += good;
    batch.granted = good;
}

/// The data came in frames that are ours now; a frame each goes back in payment.
void Client::install_flipped(Batch& batch) {
    std::array<host::TransferOperation, Batch::most> pay;
    std::uint32_t good = 0;
    for (std::uint32_t i = 0; i < batch.granted; ++i) {
        pay[i] = {batch.frames[i], connection_.pool(), batch.refs[i], GrantStatus::okay};
        const Frame came = host_.grants().take_transferred(batch.accept[i]);
        if (came == no_frame) break;
        const Slot slot = batch.slots[i];
        pages_.become_own(slot, came);
        if (batch.once) pages_.set_flag(slot, page_once);
        if ((batch.flags[i] & protocol::entry_volatile) != 0) pages_.set_flag(slot, page_doomed);
        if (pages_.has(slot, page_doomed)) doomed_.push_back(pages_.cache().key(slot));
        ++good;
    }
    if (good > 0) host_.grants().transfer(std::span(pay).first(good));
    for (std::uint32_t i = 0; i < batch.granted; ++i) pages_.release_later(batch.refs[i]);
    stats_.pages_flipped_out += good;
    batch.granted = good;
}

}  // namespace xenfs::client
