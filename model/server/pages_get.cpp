// PAGES_GET and PAGES_RELEASE: entries for pages of the shared cache, within the client's credit.
#include "model/server/page_requests.h"

#include <algorithm>

namespace xenfs::server {

using protocol::PageMode;

pages::GrantBook::EndResult PageRequests::end_entries(Connection& c,
                                                      std::span<const GrantRef> refs) {
    if (refs.empty()) return {};
    const auto result = residency_.end(c.account, refs);
    stats_.revoke_busy += result.busy;
    if (result.busy != 0) busy_();
    if (result.ended != 0) {
        c.gave_back = true;
        c.fruitless = 0;
    }
    return result;
}

void PageRequests::end_unseen(Request& q) {
    if ((q.header.flags & protocol::request_again) == 0 || !journal_->outlives()) return;
    std::vector<GrantRef> unseen;
    book_.for_each_of_account(q.client.account, [&](GrantRef reference, const auto&) {
        const auto given = journal_->entry(reference);
        if (given.known && given.unique == q.header.unique) unseen.push_back(reference);
    });
    end_entries(q.client, unseen);
}

/// What a request gives back that may have done so before: since then the numbers may name others.
std::span<const std::uint32_t> PageRequests::given_before(Request& q,
                                                          std::span<const std::uint32_t> refs) {
    if ((q.header.flags & protocol::request_again) == 0 || !journal_->outlives()) return refs;
    q.worker->given.clear();
    for (const GrantRef reference : refs) {
        const auto given = journal_->entry(reference);
        if (given.unique < q.header.unique) q.worker->given.push_back(reference);
    }
    return q.worker->given;
}

int PageRequests::release(Request& q) {
    const auto in = q.args.get<protocol::PagesReleaseIn>();
    if (in.count > protocol::max_release_per_request) return EINVAL;
    const auto refs = q.args.get_array<std::uint32_t>(in.count);
    if (!q.args.finished()) return EINVAL;
    const auto result = end_entries(q.client, given_before(q, refs));
    if (result.ended != 0) notices_.note_progress(q);
    q.reply.put(protocol::PagesReleaseOut{static_cast<std::uint32_t>(result.ended),
                                          static_cast<std::uint32_t>(result.busy)});
    return 0;
}

/// How many pages from `first` on are cached and filled, up to `most`, without a gap.
std::uint32_t PageRequests::cached_behind(Request& q, Inode& inode, Inodes::Index index,
                                          std::uint64_t first, std::uint32_t most) {
    const std::uint32_t file = fill_.file_number(inode, index, q.client);
    const auto slots = std::span(q.worker->slots).first(most);
    cache_.find_run(file, static_cast<std::uint32_t>(first), slots);
    std::uint32_t run = 0;
    while (run < most && slots[run] != cache::kNoSlot &&
           cache_.state(slots[run]) != cache::PageState::loading) {
        ++run;
    }
    return run;
}

int PageRequests::get(Request& q) {
    const auto in = q.args.get<protocol::PagesGetIn>();
    if (in.release_count > protocol::max_release_per_request ||
        in.accept_count > max_pages_per_request || in.count > max_pages_per_request ||
        in.mode >= protocol::page_mode_count) {
        return EINVAL;
    }
    const auto released = q.args.get_array<std::uint32_t>(in.release_count);
    const auto accept = q.args.get_array<std::uint32_t>(in.accept_count);
    const auto mode = static_cast<PageMode>(in.mode);
    if (!q.args.finished() || in.accept_count != (mode == PageMode::flip_out ? in.count : 0) ||
        in.head >= page_size || in.tail >= page_size) {
        return EINVAL;
    }
    if (in.first_page >= protocol::max_file_pages ||
        in.count > protocol::max_file_pages - in.first_page) {
        return EFBIG;
    }
    if (!q.released) {
        q.released = true;
        end_entries(q.client, given_before(q, released));
        end_unseen(q);
    }
    if (!balloon_.donation_stands(q.client)) return EPERM;
    protocol::PagesGetOut out{};
    if (in.count == 0) {
        q.reply.put(out);
        return 0;
    }
    const bool fresh_allowed = mode == PageMode::copy_in || mode == PageMode::flip_in;
    const bool write = fresh_allowed || mode == PageMode::map_write;
    const Inodes::Index index = opens_.file_for_pages(q, in.fh, write);
    if (index == Inodes::none) return EBADF;
    InodeUse inode(inodes_, index);
    if (coherence_.recall(q, *inode, index) != 0) return parked;
    if (const auto attr = attributes_.attributes(*inode); !attr) return attr.error();
    if (mode == PageMode::copy_out || mode == PageMode::flip_out) {
        coherence_.add_copier(*inode, q.client);
    }
    std::uint32_t count = in.count;
    if (!fresh_allowed) {
        const std::uint64_t end = (inode->attr.size + page_size - 1) >> page_shift;
        const std::uint64_t left = in.first_page >= end ? 0 : end - in.first_page;
        if (left < count) {
            count = static_cast<std::uint32_t>(left);
            out.flags |= protocol::got_end;
        }
    }
    if ((in.flags & protocol::get_cached) != 0 && mode == PageMode::map_read && in.wanted < count) {
        const std::uint32_t wanted = std::max(in.wanted, 1u);
        count = wanted + cached_behind(q, *inode, index, in.first_page + wanted, count - wanted);
    }
    out.file_size = inode->attr.size;
    Worker& w = *q.worker;  // survives yields: workers stay as long as the server
    std::size_t granted = 0;
    Lack lack = Lack::none;
    if (mode == PageMode::flip_in) {
        granted = flip_in_accept(q, count, lack);
    } else if (count != 0) {
        io_.begin(*inode);
        int error = 0;
        const PageFill::Wish wish{.first = static_cast<std::uint32_t>(in.first_page),
                                  .count = count,
                                  .overwrite = mode == PageMode::copy_in,
                                  .head_kept = in.head != 0,
                                  .tail_kept = in.tail != 0};
        std::uint32_t ready = fill_.fill(q, *inode, index, wish, error);
        if (ready == 0 && error != 0) {
            io_.end(*inode);
            return error;
        }
        const auto slots = std::span(w.slots).first(ready);
        residency_.touch(slots);
        host_.clock().charge(host_.core_costs().server_page * static_cast<Nanoseconds>(ready));
        std::fill_n(w.entry_flags.begin(), ready, std::uint8_t{0});
        if (write && by_content_) {
            for (std::uint32_t i = 0; i < ready; ++i) {
                bool moved = false;
                if (!sharing_.make_private(q, &q.client, *inode, slots[i], moved)) {
                    for (std::uint32_t j = i; j < ready; ++j) fill_.release_unused(slots[j]);
                    ready = i;
                    break;
                }
                if (moved) w.entry_flags[i] = protocol::entry_moved;
            }
        }
        const auto usable = slots.first(ready);
        if (ready == 0) {
            lack = Lack::frames;
        } else if (mode == PageMode::flip_out) {
            granted = flip_out(q, usable, accept, lack);
            residency_.unpin(usable);
        } else if (w.queues && room_.waits_for(Lack::entries)) {
            lack = Lack::entries;
            for (const cache::Slot slot : usable) fill_.release_unused(slot);
        } else {
            for (std::uint32_t i = 0; i < ready; ++i) {
                // Writers count before our own entry does.
                if (pool_[cache_.frame(usable[i])].writers != 0)
                    w.entry_flags[i] |= protocol::entry_volatile;
                if ((cache_.flags(usable[i]) & page_flux) != 0) {
                    w.entry_flags[i] |= protocol::entry_fresh;
                }
            }
            bool credit_short = false;
            granted = residency_.grant(q.client.account, usable,
                                       write ? pages::EntryKind::write : pages::EntryKind::read,
                                       w.refs, credit_short);
            for (std::size_t i = granted; i < ready; ++i) fill_.release_unused(usable[i]);
            if (granted == 0) lack = credit_short ? Lack::credit : Lack::entries;
            if (credit_short) out.flags |= protocol::got_credit;
            stats_.granted += granted;
            for (std::size_t i = 0; i < granted; ++i) {
                journal_->keep_entry(w.refs[i], q.client.index, q.header.unique);
            }
            if (write) {
                stats_.granted_writable += granted;
                for (std::size_t i = 0; i < granted; ++i) {
                    if (mode == PageMode::map_write) write_back_.dirtied(*inode, index, usable[i]);
                }
            }
        }
        io_.end(*inode);
    }
    if (granted == 0 && lack != Lack::none) {
        const bool twice = mode == PageMode::flip_out;  // a frame each goes out and comes in
        return room_.no_room(q, lack, twice ? 2 * count : count, out,
                             (in.flags & protocol::get_wait) == 0);
    }
    if (q.had_room) room_.note_progress();
    // Clients that have copies hear of the writer before the writer has its entries.
    if (mode == PageMode::map_write && granted != 0) {
        coherence_.pages_changed(q.acks, *inode, in.first_page, granted, &q.client);
    }
    out.granted = static_cast<std::uint32_t>(granted);
    q.reply.put(out);
    for (std::size_t i = 0; i < granted; ++i) {
        q.reply.put(protocol::PageEntry{w.refs[i], w.entry_flags[i]});
    }
    return 0;
}

}  // namespace xenfs::server
