#pragma once
// The grant book has one record for each entry of the pool domain's grant table, in a chain for
// each account and one for each frame. It knows nothing of files: a record carries the caller's
// `tag` (the server keeps the cache slot there).

#include <cassert>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/host/grants.h"
#include "model/pages/frame_pool.h"
#include "model/pages/ledger.h"
#include "model/policies/charging/policy.h"

namespace xenfs::pages {

enum class EntryKind : std::uint8_t {
    none,    ///< not in use
    read,    ///< read-only
    write,   ///< writable
    accept,  ///< a frame may be transferred in, or the entry given up
    payment  ///< a frame is owed; the entry stays charged until it has come
};

inline constexpr std::uint32_t no_tag = ~0u;
inline constexpr std::uint32_t no_record = ~0u;

struct GrantRecord {
    FrameIndex frame = no_index;
    std::uint32_t tag = no_tag;
    std::uint32_t account_prev = no_record, account_next = no_record;
    std::uint32_t frame_prev = no_record, frame_next = no_record;
    std::uint16_t account = 0;
    EntryKind kind = EntryKind::none;
    std::uint8_t charge : 5 = 0;    ///< pages
    std::uint8_t deferred : 1 = 0;  ///< revoked while mapped; ends when it is idle
    std::uint8_t ending : 1 = 0;    ///< in the batch that is being ended now
    std::uint8_t orphaned : 1 = 0;  ///< its account is closing; `account` is the domain
};
static_assert(sizeof(GrantRecord) == 28);

/// Every entry is charged before it is written and discharged when it has really ended. The host's
/// grant() and the ledger can both stop a batch short.
class GrantBook {
  public:
    GrantBook(host::Grants& grants, FramePool& pool, Ledger& ledger,
              const policies::ChargingPolicy& charging)
        : grants_(grants), pool_(pool), ledger_(ledger), charging_(charging) {}

    /// Writes a tagged entry for each of `frames` (each has users), at most 256. Returns how many
    /// it wrote; `credit_short` tells whether it stopped for want of credit.
    std::size_t grant(AccountId account, std::span<const FrameIndex> frames,
                      std::span<const std::uint32_t> tags, EntryKind kind, std::span<GrantRef> out,
                      bool& credit_short);
    /// Writes entries under which `account`'s domain may transfer frames in; at most 256.
    std::size_t accept(AccountId account, EntryKind kind, std::span<GrantRef> out,
                       bool& credit_short);

    // A successor finds the entries of its predecessor in the table.
    /// Charges one to `account`. A `deferred` one was revoked by the predecessor while mapped.
    /// Returns false and does nothing where the credit does not suffice.
    bool adopt(AccountId account, GrantRef reference, FrameIndex frame, std::uint32_t tag,
               EntryKind kind, bool deferred);
    /// Counts the entry of a client that does not return as orphaned until it is idle.
    void adopt_orphan(DomainId domain, GrantRef reference, FrameIndex frame, EntryKind kind);

    /// Ends payment entries for frames that never went out.
    void cancel(AccountId account, std::span<const GrantRef> references);

    /// Finds the record of a live entry of `account`. References come from clients: where there is
    /// no such entry it returns null.
    const GrantRecord* find(AccountId account, GrantRef reference) const {
        if (reference >= records_.size()) return nullptr;
        const GrantRecord& r = records_[reference];
        if (r.kind == EntryKind::none || r.account != account || r.deferred || r.ending ||
            r.orphaned) {
            return nullptr;
        }
        return &r;
    }

    /// Sets what is called for each entry that ended, before its frame may be recycled. It is not
    /// called for accept and payment entries.
    using Ended = std::function<void(GrantRef, const GrantRecord&)>;
    void on_ended(Ended ended) { ended_ = std::move(ended); }

    struct EndResult {
        std::size_t ended = 0, busy = 0, foreign = 0;
    };
    /// Ends entries that `account` gives back. Foreign ones are skipped; a repeated one counts
    /// once.
    EndResult end(AccountId account, std::span<const GrantRef> references);
    /// Ends an accept or payment entry under which a frame has arrived. Returns the frame, with one
    /// user, or no_index while none has arrived.
    FrameIndex take_arrived(AccountId account, GrantRef reference);

    /// Ends all entries of a client that is gone; those that are still mapped are deferred. The
    /// account may be closed then. Returns true where no entry of its domain is left.
    bool end_all(AccountId account);
    /// Revokes deferred entries again. Returns how many ended.
    std::size_t retry_deferred();
    std::size_t deferred() const { return deferred_.size(); }

    /// Removes `tag` from the frame's entries, because the page no longer shows this frame, and
    /// calls `each` with each such record. With no_tag it does nothing.
    template <class Each>
    void untag(FrameIndex frame, std::uint32_t tag, Each&& each) {
        for (std::uint32_t r = pool_[frame].first_grant; r != no_record;
             r = records_[r].frame_next) {
            if (records_[r].tag != tag || tag == no_tag) continue;
            records_[r].tag = no_tag;
            each(records_[r]);
        }
    }
    template <class Each>
    void for_each_of_frame(FrameIndex frame, Each&& each) const {
        for (std::uint32_t r = pool_[frame].first_grant; r != no_record;
             r = records_[r].frame_next) {
            each(records_[r]);
        }
    }
    template <class Each>
    void for_each_of_account(AccountId account, Each&& each) const {
        if (account >= heads_.size()) return;
        for (std::uint32_t r = heads_[account]; r != no_record; r = records_[r].account_next) {
            each(r, records_[r]);
        }
    }
    std::size_t entries() const { return entries_; }
    /// Counts frames with more than one entry, and their entries beyond the first.
    std::uint64_t shared_frames() const { return shared_frames_; }
    std::uint64_t extra_entries() const { return extra_entries_; }
    /// Counts the entries of an account, in time proportional to that number.
    std::size_t held(AccountId account) const;
    /// Checks chains, counts and charges against each other, for tests; it walks all entries.
    void check_all() const;

  private:
    /// Where `orphan`, `account` is a domain's number.
    void link(GrantRef reference, std::uint32_t account, FrameIndex frame, std::uint32_t tag,
              EntryKind kind, std::uint8_t charge, bool orphan = false);
    void unlink(GrantRef reference);
    /// Adjusts the rebates of the frame's holders, which had `before` entries on it until now.
    void share_out(FrameIndex frame, std::uint32_t before);
    bool rebates() const { return charging_.rebate() != policies::Rebate::none; }
    EndResult end_batch(std::span<const GrantRef> references);
    std::uint32_t& account_head(AccountId account) {
        if (account >= heads_.size()) heads_.resize(account + 1, no_record);
        return heads_[account];
    }

    host::Grants& grants_;
    FramePool& pool_;
    Ledger& ledger_;
    const policies::ChargingPolicy& charging_;
    Ended ended_;
    std::vector<GrantRecord> records_;  ///< by reference
    std::vector<std::uint32_t> heads_;  ///< by account
    std::vector<GrantRef> deferred_;
    std::size_t entries_ = 0;
    std::uint64_t shared_frames_ = 0, extra_entries_ = 0;
};

}  // namespace xenfs::pages
