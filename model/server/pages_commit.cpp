// PAGES_COMMIT: new data is in the pages.
#include "model/server/page_requests.h"

#include <algorithm>

#include "model/server/convert.h"

namespace xenfs::server {

using cache::kNoSlot;
using cache::Slot;
using protocol::PageMode;

int PageRequests::commit(Request& q) {
    const auto in = q.args.get<protocol::PagesCommitIn>();
    if (in.ref_count > max_pages_per_request || in.mode >= protocol::page_mode_count) return EINVAL;
    const auto refs = q.args.get_array<std::uint32_t>(in.ref_count);
    if (!q.args.finished()) return EINVAL;
    constexpr std::uint64_t most = std::uint64_t{protocol::max_file_pages} << page_shift;
    if (in.offset > most || in.length > most - in.offset) return EFBIG;
    const auto mode = static_cast<PageMode>(in.mode);
    if (mode != PageMode::copy_in && mode != PageMode::flip_in && mode != PageMode::map_write) {
        return EINVAL;
    }
    const std::uint64_t first = in.offset >> page_shift;
    const std::uint64_t end = (in.offset + in.length + page_size - 1) >> page_shift;
    const std::uint64_t touched = in.length == 0 ? 0 : end - first;
    if (in.ref_count != (mode == PageMode::map_write ? 0 : touched)) return EINVAL;

    // What a predecessor took may name an open that the client has replaced since.
    const std::optional<Replay> before = changes_.replay(q);
    const Inodes::Index index =
        before ? inodes_.find_or_make(q.header.nodeid) : opens_.file_for_pages(q, in.fh, true);
    if (index == Inodes::none) return EBADF;
    InodeUse inode(inodes_, index);
    if (coherence_.recall(q, *inode, index) != 0) return parked;
    if (const auto attr = attributes_.attributes(*inode); !attr) return attr.error();

    journal_->keep_node(*inode);
    io_.begin(*inode);
    int error = 0;
    const auto first_page = static_cast<std::uint32_t>(first);
    if (before) {
        // A predecessor took it: what is left is to end the entries and to tell the others.
    } else if (mode == PageMode::copy_in) {
        error = copy_in_commit(q, *inode, index, first_page, refs);
    } else if (mode == PageMode::flip_in) {
        error = flip_in_commit(q, *inode, index, first_page, refs);
    } else if (in.offset + in.length >
               page_size * ((inode->attr.size + page_size - 1) / page_size)) {
        error = EINVAL;  // a mapping reaches to the end of the last page, no further
    }
    if (error == 0 && !before) {
        if (!by_name_) {
            outdate_variants(*inode, q.client, first_page, static_cast<std::uint32_t>(touched));
        }
        stats_.committed += refs.size();
        inode->attr.size = std::max(inode->attr.size, in.length == 0 ? 0 : in.offset + in.length);
        inode->attr.ctime = host_.clock().world();
        inode->attr.mtime = (in.flags & protocol::commit_mtime) != 0
                                ? protocol::time_from(in.mtime, in.mtimensec)
                                : inode->attr.ctime;
        inode->size_ahead = true;
        journal_->keep_size(*inode);
        // From here on it has happened, also if we die: entries end after that.
        changes_.intend(q, {.node = inode->node});
        changes_.done(q, inode->node);
    }
    if (error == 0 && mode == PageMode::copy_in && (in.flags & protocol::commit_keep) == 0) {
        end_copied_in(q, refs);
    }
    io_.end(*inode);
    if (error != 0) return error;
    if (!by_name_) {
        drop_other_variants(q.acks, *inode, q.client, first_page,
                            static_cast<std::uint32_t>(touched));
    }
    write_back_.list(*inode, index);  // also where only size or time changed
    if (touched != 0) coherence_.pages_changed(q.acks, *inode, first, touched, &q.client);
    coherence_.node_changed(q.acks, *inode, &q.client);
    protocol::PagesCommitOut out{};
    if ((in.flags & (protocol::commit_sync | protocol::commit_sync_all)) != 0) {
        const bool data_only = (in.flags & protocol::commit_sync_all) == 0;
        int unsafe = write_back_.write(*inode);
        if (unsafe == 0) unsafe = storage_.sync(inode->node, data_only);
        out.sync_error = static_cast<std::uint32_t>(unsafe);
    }
    out.file_size = inode->attr.size;
    out.committed = static_cast<std::uint32_t>(refs.size());
    q.reply.put(out);
    return 0;
}

/// All references are checked before anything changes: each a live writable entry of this client
/// for just that page of just this file. ESTALE: a page has been cut off, or taken away from a
/// client that kept it for too long. Then all the entries end, and the client asks for others.
int PageRequests::copy_in_commit(Request& q, Inode& inode, Inodes::Index index, std::uint32_t first,
                                 std::span<const std::uint32_t> refs) {
    const std::uint32_t file = fill_.file_number(inode, index, q.client);
    bool stale = false;
    for (std::size_t i = 0; i < refs.size(); ++i) {
        const pages::GrantRecord* r = book_.find(q.client.account, refs[i]);
        if (r == nullptr || r->kind != pages::EntryKind::write) return EBADF;
        const cache::PageKey key{file, first + static_cast<std::uint32_t>(i)};
        if (r->tag == pages::no_tag) {
            stale = true;
        } else if (cache_.key(r->tag) != key) {
            return EBADF;
        }
    }
    if (stale) {
        end_entries(q.client, given_before(q, refs));
        return ESTALE;
    }
    for (std::size_t i = 0; i < refs.size(); ++i) {
        const Slot slot = book_.find(q.client.account, refs[i])->tag;
        if (residency_.end_flux(slot)) fill_.settled();
        write_back_.dirtied(inode, index, slot);
    }
    return 0;
}

void PageRequests::end_copied_in(Request& q, std::span<const std::uint32_t> refs) {
    std::size_t count = 0;
    for (const std::uint32_t reference : refs) {
        const pages::GrantRecord* const r = book_.find(q.client.account, reference);
        if (r != nullptr && r->tag != pages::no_tag) q.worker->slots[count++] = r->tag;
    }
    const auto slots = std::span(q.worker->slots).first(count);
    residency_.pin(slots);
    end_entries(q.client, given_before(q, refs));
    // The write is over when the entry is; only then may others show the frame.
    if (by_content_) sharing_.share_content(q.client, slots);
    residency_.unpin(slots);
}

/// Dedup "none": what other clients' frames of these pages hold is not to be written back any more.
/// At once, without a yield since the new pages became dirty: a write-back under way goes from
/// client to client, and would write the old page after the new one. One that is being written just
/// now is written before it.
void PageRequests::outdate_variants(Inode& inode, const Connection& c, std::uint32_t first,
                                    std::uint32_t count) {
    for (std::size_t i = 0; i < inode.files.size(); ++i) {
        if (i == c.index || inode.files[i] == no_file) continue;
        for (std::uint32_t page = first; page < first + count; ++page) {
            const Slot slot = cache_.find({inode.files[i], page});
            if (slot == kNoSlot || cache_.state(slot) != cache::PageState::dirty) continue;
            if ((cache_.flags(slot) & page_writing) == 0) residency_.mark_clean(slot);
        }
    }
}

/// Dedup "none": frames of other clients are stale now, and so is what they mapped of them.
void PageRequests::drop_other_variants(Acks& acks, Inode& inode, const Connection& c,
                                       std::uint32_t first, std::uint32_t count) {
    const auto others = std::count_if(inode.files.begin(), inode.files.end(),
                                      [](std::uint32_t file) { return file != no_file; });
    if (others < 2) return;
    io_.drain(inode);  // another request may hold slots of these pages
    ClientSet stale;
    for (std::size_t i = 0; i < inode.files.size(); ++i) {
        if (i == c.index || inode.files[i] == no_file) continue;
        for (std::uint32_t page = first; page < first + count; ++page) {
            const Slot slot = cache_.find({inode.files[i], page});
            if (slot == kNoSlot || cache_.state(slot) == cache::PageState::loading) continue;
            if ((cache_.flags(slot) & page_writing) != 0) continue;
            residency_.drop(slot);
            stale.insert(static_cast<ConnectionIndex>(i));
        }
    }
    coherence_.mappings_changed(acks, stale, inode.node, first, count);
}

}  // namespace xenfs::server
