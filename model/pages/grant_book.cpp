#include "model/pages/grant_book.h"

#include <algorithm>
#include <array>

namespace xenfs::pages {
namespace {
constexpr std::size_t batch_size = 256;

/// Returns what each of a frame's n entries saves, rounded so that together they never save too
/// much.
std::int64_t saved_by_each(std::uint32_t entries) {
    const std::uint64_t share = (Ledger::rebate_unit + entries - 1) / std::max(entries, 1u);
    return static_cast<std::int64_t>(Ledger::rebate_unit - share);
}
}  // namespace

void GrantBook::link(GrantRef reference, std::uint32_t account, FrameIndex frame, std::uint32_t tag,
                     EntryKind kind, std::uint8_t charge, bool orphan) {
    if (reference >= records_.size()) {
        records_.resize(reference + std::size_t{1});
    }
    GrantRecord& r = records_[reference];
    assert(r.kind == EntryKind::none && "the host gave a reference that is in use");
    r = {};
    r.frame = frame;
    r.tag = tag;
    r.account = static_cast<std::uint16_t>(account);
    r.kind = kind;
    r.charge = charge & 31;
    if (orphan) {
        r.orphaned = 1;
    } else {
        std::uint32_t& head = account_head(account);
        r.account_next = head;
        if (head != no_record) records_[head].account_prev = reference;
        head = reference;
    }
    if (frame != no_index) {
        PoolFrame& f = pool_[frame];
        r.frame_next = f.first_grant;
        if (f.first_grant != no_record) records_[f.first_grant].frame_prev = reference;
        f.first_grant = reference;
        assert(f.grants != UINT16_MAX);
        ++f.grants;
        shared_frames_ += f.grants == 2;
        extra_entries_ += f.grants > 1;
        f.writers = static_cast<std::uint16_t>(f.writers + (kind == EntryKind::write));
        if (rebates()) {
            // The rebates of the other holders are computed as if the new entry existed already.
            if (f.grants > 1 && !orphan) {
                ledger_.add_rebate(account, saved_by_each(f.grants - 1u));
            }
            share_out(frame, f.grants - 1u);
        }
    }
    ++entries_;
}

void GrantBook::share_out(FrameIndex frame, std::uint32_t before) {
    const std::uint32_t now = pool_[frame].grants;
    const std::int64_t change =
        (now > 0 ? saved_by_each(now) : 0) - (before > 0 ? saved_by_each(before) : 0);
    if (change == 0) return;
    for_each_of_frame(frame, [&](const GrantRecord& r) {
        if (!r.orphaned) ledger_.add_rebate(r.account, change);
    });
}

std::size_t GrantBook::held(AccountId account) const {
    std::size_t count = 0;
    if (account >= heads_.size()) return 0;
    for (std::uint32_t r = heads_[account]; r != no_record; r = records_[r].account_next) ++count;
    return count;
}

void GrantBook::unlink(GrantRef reference) {
    GrantRecord& r = records_[reference];
    if (r.orphaned) {
        ledger_.discharge_orphaned(r.account, r.charge);
    } else {
        (r.account_prev == no_record ? heads_[r.account] : records_[r.account_prev].account_next) =
            r.account_next;
        if (r.account_next != no_record) records_[r.account_next].account_prev = r.account_prev;
        ledger_.discharge(r.account, r.charge);
    }
    if (r.frame == no_index) {
        pool_.unreserve(1);
    } else {
        PoolFrame& f = pool_[r.frame];
        (r.frame_prev == no_record ? f.first_grant : records_[r.frame_prev].frame_next) =
            r.frame_next;
        if (r.frame_next != no_record) records_[r.frame_next].frame_prev = r.frame_prev;
        shared_frames_ -= f.grants == 2;
        extra_entries_ -= f.grants > 1;
        if (rebates() && !r.orphaned) ledger_.add_rebate(r.account, -saved_by_each(f.grants));
        --f.grants;
        if (rebates()) share_out(r.frame, f.grants + 1u);
        f.writers = static_cast<std::uint16_t>(f.writers - (r.kind == EntryKind::write));
        if (ended_) ended_(reference, r);
        pool_.grant_ended(r.frame);
    }
    r = {};
    --entries_;
}

std::size_t GrantBook::grant(AccountId account, std::span<const FrameIndex> frames,
                             std::span<const std::uint32_t> tags, EntryKind kind,
                             std::span<GrantRef> out, bool& credit_short) {
    assert(frames.size() <= batch_size && frames.size() == tags.size());
    std::array<Frame, batch_size> machine;
    std::array<std::uint8_t, batch_size> charges;
    std::size_t charged = 0;
    credit_short = false;
    for (; charged < frames.size(); ++charged) {
        const PoolFrame& f = pool_[frames[charged]];
        charges[charged] = static_cast<std::uint8_t>(std::min(charging_.charge(f.grants), 31u));
        if (f.grants == UINT16_MAX || !ledger_.charge(account, charges[charged])) {
            credit_short = true;
            break;
        }
        machine[charged] = f.frame;
    }
    if (charged == 0) return 0;
    const std::size_t written = grants_.grant(
        ledger_.account(account).domain, std::span(machine).first(charged),
        kind == EntryKind::write ? Access::read_write : Access::read, out.first(charged));
    for (std::size_t i = 0; i < written; ++i) {
        link(out[i], account, frames[i], tags[i], kind, charges[i]);
    }
    for (std::size_t i = written; i < charged; ++i) ledger_.discharge(account, charges[i]);
    return written;
}

std::size_t GrantBook::accept(AccountId account, EntryKind kind, std::span<GrantRef> out,
                              bool& credit_short) {
    assert(kind == EntryKind::accept || kind == EntryKind::payment);
    std::size_t affordable = std::min<std::uint64_t>(out.size(), ledger_.credit(account));
    credit_short = affordable < out.size();
    affordable = pool_.reserve(static_cast<std::uint32_t>(affordable));
    if (affordable == 0) return 0;
    ledger_.charge(account, affordable);
    const std::size_t written =
        grants_.accept_transfer(ledger_.account(account).domain, out.first(affordable));
    for (std::size_t i = 0; i < written; ++i) link(out[i], account, no_index, no_tag, kind, 1);
    ledger_.discharge(account, affordable - written);
    pool_.unreserve(static_cast<std::uint32_t>(affordable - written));
    return written;
}

bool GrantBook::adopt(AccountId account, GrantRef reference, FrameIndex frame, std::uint32_t tag,
                      EntryKind kind, bool deferred) {
    const std::uint32_t charge =
        frame == no_index ? 1 : std::min(charging_.charge(pool_[frame].grants), 31u);
    if (!ledger_.charge(account, charge)) return false;
    if (frame == no_index && pool_.reserve(1) == 0) {
        ledger_.discharge(account, charge);
        return false;
    }
    link(reference, account, frame, tag, kind, static_cast<std::uint8_t>(charge));
    if (deferred) {
        records_[reference].deferred = 1;
        deferred_.push_back(reference);
    }
    return true;
}

void GrantBook::adopt_orphan(DomainId domain, GrantRef reference, FrameIndex frame,
                             EntryKind kind) {
    ledger_.add_orphaned(domain, 1);
    link(reference, domain, frame, no_tag, kind, 1, true);
    records_[reference].deferred = 1;
    deferred_.push_back(reference);
}

void GrantBook::cancel(AccountId account, std::span<const GrantRef> references) {
    for (const GrantRef reference : references) {
        if (find(account, reference) != nullptr) records_[reference].kind = EntryKind::accept;
    }
    end(account, references);
}

GrantBook::EndResult GrantBook::end_batch(std::span<const GrantRef> references) {
    EndResult result;
    std::array<GrantStatus, batch_size> status;
    grants_.revoke(references, std::span(status).first(references.size()));
    for (std::size_t i = 0; i < references.size(); ++i) {
        GrantRecord& r = records_[references[i]];
        r.ending = 0;
        if (status[i] == GrantStatus::okay) {
            unlink(references[i]);
            ++result.ended;
        } else {
            if (!r.deferred) deferred_.push_back(references[i]);
            r.deferred = 1;
            ++result.busy;
        }
    }
    return result;
}

GrantBook::EndResult GrantBook::end(AccountId account, std::span<const GrantRef> references) {
    EndResult result;
    std::array<GrantRef, batch_size> batch;
    std::size_t length = 0;
    const auto flush = [&] {
        if (length == 0) return;
        const EndResult part = end_batch(std::span(batch).first(length));
        result.ended += part.ended;
        result.busy += part.busy;
        length = 0;
    };
    for (const GrantRef reference : references) {
        const GrantRecord* r = find(account, reference);
        if (r == nullptr) {
            ++result.foreign;
            continue;
        }
        if (r->kind == EntryKind::accept || r->kind == EntryKind::payment) {
            const bool owed = r->kind == EntryKind::payment;
            if (const FrameIndex came = take_arrived(account, reference); came != no_index) {
                pool_.drop_user(came);
                ++result.ended;
                continue;
            }
            if (owed) {
                ++result.busy;
                continue;
            }
        }
        records_[reference].ending = 1;
        batch[length++] = reference;
        if (length == batch.size()) flush();
    }
    flush();
    return result;
}

FrameIndex GrantBook::take_arrived(AccountId account, GrantRef reference) {
    const GrantRecord* r = find(account, reference);
    if (r == nullptr || (r->kind != EntryKind::accept && r->kind != EntryKind::payment)) {
        return no_index;
    }
    const Frame frame = grants_.take_transferred(reference);
    if (frame == no_frame) return no_index;
    unlink(reference);
    return pool_.adopt(frame);
}

bool GrantBook::end_all(AccountId account) {
    const DomainId domain = ledger_.account(account).domain;
    std::array<GrantRef, batch_size> batch;
    while (account < heads_.size() && heads_[account] != no_record) {
        std::size_t length = 0;
        for (std::uint32_t r = heads_[account]; r != no_record && length < batch.size();) {
            const std::uint32_t next = records_[r].account_next;
            GrantRecord& record = records_[r];
            if (record.kind == EntryKind::accept || record.kind == EntryKind::payment) {
                record.deferred = 0;
                if (const FrameIndex came = take_arrived(account, r); came != no_index) {
                    pool_.drop_user(came);
                    r = next;
                    continue;
                }
            }
            record.ending = 1;
            batch[length++] = r;
            r = next;
        }
        end_batch(std::span(batch).first(length));
        // Entries that are still mapped leave the account's chain, since the account may be closed.
        for (const GrantRef reference : std::span(batch).first(length)) {
            GrantRecord& r = records_[reference];
            if (r.kind == EntryKind::none || r.orphaned) continue;
            if (rebates() && r.frame != no_index) {
                ledger_.add_rebate(account, -saved_by_each(pool_[r.frame].grants));
            }
            (r.account_prev == no_record ? heads_[account]
                                         : records_[r.account_prev].account_next) = r.account_next;
            if (r.account_next != no_record) records_[r.account_next].account_prev = r.account_prev;
            r.account_prev = r.account_next = no_record;
            r.orphaned = 1;
            r.account = domain;
        }
    }
    return std::none_of(deferred_.begin(), deferred_.end(), [&](GrantRef reference) {
        return records_[reference].orphaned && records_[reference].account == domain;
    });
}

std::size_t GrantBook::retry_deferred() {
    std::vector<GrantRef> todo;
    todo.swap(deferred_);
    std::size_t ended = 0;
    for (std::size_t at = 0; at < todo.size(); at += batch_size) {
        const std::size_t length = std::min(batch_size, todo.size() - at);
        const auto part = std::span(todo).subspan(at, length);
        // end_all() may have ended some of them meanwhile.
        std::array<GrantRef, batch_size> alive;
        std::size_t count = 0;
        for (const GrantRef reference : part) {
            GrantRecord& r = records_[reference];
            if (r.kind == EntryKind::none || !r.deferred) continue;
            r.deferred = 0;  // end_batch() sets it again where the page is still mapped
            alive[count++] = reference;
        }
        ended += end_batch(std::span(alive).first(count)).ended;
    }
    return ended;
}

void GrantBook::check_all() const {
    std::vector<std::uint64_t> pinned(heads_.size(), 0), rebate(heads_.size(), 0);
    std::size_t alive = 0;
    std::uint64_t orphaned = 0;
    for (const GrantRecord& r : records_) {
        if (r.kind == EntryKind::none) continue;
        ++alive;
        if (r.orphaned) {
            orphaned += r.charge;
        } else {
            pinned[r.account] += r.charge;
            if (rebates() && r.frame != no_index) {
                rebate[r.account] +=
                    static_cast<std::uint64_t>(saved_by_each(pool_[r.frame].grants));
            }
        }
        assert(!r.ending);
    }
    assert(alive == entries_ && orphaned == ledger_.orphaned());
    for (AccountId id = 0; id < heads_.size(); ++id) {
        std::uint64_t chained = 0;
        for (std::uint32_t r = heads_[id]; r != no_record; r = records_[r].account_next) {
            assert(records_[r].account == id && !records_[r].orphaned);
            chained += records_[r].charge;
        }
        assert(chained == pinned[id]);
        if (chained != 0) {
            assert(ledger_.account(id).pinned == chained);
            assert(ledger_.account(id).rebate == rebate[id]);
        }
    }
    static_cast<void>(orphaned);
}

}  // namespace xenfs::pages
