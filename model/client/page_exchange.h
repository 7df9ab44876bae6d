#pragma once
// PageExchange is the one way to get entries for pages from the server, to commit what was written,
// and to give entries back.

#include <array>
#include <memory>
#include <span>

#include "model/client/balloon.h"
#include "model/client/call.h"
#include "model/client/nodes.h"
#include "model/client/page_store.h"
#include "model/client/part.h"
#include "model/client/transfer_choice.h"

namespace xenfs::client {

/// What a PAGES_GET asks for, and what came.
struct PageRequest {
    static constexpr std::size_t most = protocol::max_pages_per_request;
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    protocol::PageMode mode = protocol::PageMode::map_read;
    std::uint32_t wanted = 0;  ///< not 0: those behind come only if the server has them cached
    bool only_first = false;   ///< the rest is read-ahead
    Urgency urgency = Urgency::ordinary;
    std::uint16_t head = 0, tail = 0;  ///< bytes of the first and the last page that stay
    std::span<const GrantRef> accept;  ///< flip_out: entries of ours

    std::uint32_t granted = 0;
    std::uint16_t reply_flags = 0;
    std::array<GrantRef, most> refs;
    std::array<std::uint32_t, most> entry_flags;  ///< protocol::PageEntryFlags

    std::span<const GrantRef> entries() const { return std::span(refs).first(granted); }
};

/// Receives the pages of each attempt. The default does nothing, for entries that are to be written
/// to.
class PageReceiver {
  public:
    /// Says how many of `request.count` pages can be received now. Returns false where there can be
    /// none.
    virtual bool prepare(PageRequest& request, std::uint32_t& count) {
        count = request.count;
        return true;
    }
    /// Receives what came; it may lower `request.granted` to what could be used.
    virtual void receive(PageRequest&) {}

  protected:
    ~PageReceiver() = default;
};

struct PageCommit {
    std::uint64_t offset = 0, length = 0;
    protocol::PageMode mode = protocol::PageMode::copy_in;
    std::span<const GrantRef> refs;
    std::uint16_t flags = 0;  ///< protocol::PagesCommitFlags
    Urgency urgency = Urgency::ordinary;
};

/// Opens a file again at the server when its open is unknown there (EBADF).
class Reopener {
  public:
    /// `fh` is the one that the failed request carried. Returns true where there is another open
    /// now, so that the caller asks again.
    virtual bool reopen(Node& node, std::uint64_t fh) MAY_YIELD = 0;

  protected:
    ~Reopener() = default;
};

/// Invariant: an entry that came is mapped or copied from (PageStore), or in the hands of a task
/// that counts as EntriesOut, or among PageStore::released(). So none is lost, and whoever waits
/// for entries of this client waits for a task that gives them back.
class PageExchange : Part {
  public:
    PageExchange(const Shared& shared, TransferChoice& choice, Balloon& balloon,
                 Reopener& reopener);

    /// Counts a task that has entries which it will commit or give back without being asked.
    class EntriesOut {
      public:
        explicit EntriesOut(PageExchange& of) : count_(of.entries_out_) { ++count_; }
        ~EntriesOut() { --count_; }
        EntriesOut(const EntriesOut&) = delete;
        EntriesOut& operator=(const EntriesOut&) = delete;

      private:
        std::uint32_t& count_;
    };

    /// Makes a task the only one that has the server change the file's pages or size. Meanwhile no
    /// page of it becomes dirty here, so what was flushed stays so.
    class Change {
      public:
        Change(PageExchange& exchange, Node& node) MAY_YIELD : exchange_(exchange), node_(node) {
            while (node.changing) exchange.wait_for_page();
            node.changing = true;
        }
        ~Change() {
            node_.changing = false;
            exchange_.page_changed();
        }
        Change(const Change&) = delete;
        Change& operator=(const Change&) = delete;

      private:
        PageExchange& exchange_;
        Node& node_;
    };

    /// Asks until some pages came or there is no hope. Where the server has no room it parks the
    /// request, or asks us to give up entries. The caller counts as EntriesOut until it has dealt
    /// with what came. Returning 0 with nothing granted means that the file ends before these
    /// pages.
    int get(Node& node, PageRequest& request, PageReceiver& receiver) MAY_YIELD;
    int get(Node& node, PageRequest& request) MAY_YIELD;
    /// Until it is answered. EBADF after all means that the file cannot be opened again; ESTALE,
    /// that pages were cut off meanwhile: the entries have ended, and others are to be asked for.
    int commit(Node& node, const PageCommit& what) MAY_YIELD {
        int sync_error = 0;
        const int error = commit(node, what, sync_error);
        return error != 0 ? error : sync_error;
    }
    /// `sync_error` is the errno of making the file durable, where that was asked for; the data is
    /// committed even so.
    int commit(Node& node, const PageCommit& what, int& sync_error) MAY_YIELD;

    /// These are the halves of one attempt of get() and commit(), for a task that has several in
    /// flight. Any outcome but entries, or the commit's reply, is left to get() and commit().
    int submit_get(Call& call, const Node& node, PageRequest& request) MAY_YIELD;
    int finish_get(Call& call, PageRequest& request) MAY_YIELD;
    int submit_commit(Call& call, const Node& node, const PageCommit& what) MAY_YIELD;
    int finish_commit(Call& call, Node& node, int& sync_error) MAY_YIELD;

    /// Copies our frames into the cache's. Returns how many succeeded, counted from the first.
    std::uint32_t copy_in(std::span<const Frame> frames, std::span<const GrantRef> refs);
    /// Transfers our frames away. Returns how many arrived, counted from the first. All are lost to
    /// us, except those that Xen refused as bad_page.
    std::uint32_t flip_in(std::span<const Frame> frames, std::span<const GrantRef> refs);
    /// Unmaps what was dropped and tells the server, until there are less than `enough` left.
    void release(Urgency urgency, std::size_t enough = 1) MAY_YIELD;
    /// Puts the entries from `from` on, into which nothing was written, among those that the next
    /// request releases. True: others may wait for such a page (protocol::entry_fresh), so the
    /// server is to hear of it at once.
    bool put_back(PageRequest& request, std::size_t from);
    /// Sends what is to be released: by `call`, which was answered, or by a request of its own.
    void release_at_once(Urgency urgency, Call* call = nullptr) MAY_YIELD;
    /// Whether the server has refused a commit and left its entries as they were.
    static bool refused(int error, const Call& answered) {
        return error != 0 && error != ESTALE && answered.answered();
    }
    /// Does so at once with those of a commit that was refused.
    void give_back(const PageCommit& refused, Call* call = nullptr) MAY_YIELD;

    /// Sends a request that carries the file's open, `ask(fh)`, and repeats it where the server
    /// does not know that open, or another task has replaced it.
    template <class Ask>
    int with_open(Node& node, Ask&& ask) MAY_YIELD {
        constexpr int most = 3;
        for (int attempt = 0;; ++attempt) {
            const std::uint64_t fh = node.open.fh();
            const int error = ask(fh);
            if (error != EBADF || attempt == most || !reopener_.reopen(node, fh)) return error;
        }
    }

    /// Waits for a page that another task has under way: until one came, a flush ended, a loan was
    /// returned, or some time has passed. The caller looks again.
    void wait_for_page() MAY_YIELD;
    void page_changed() {
        if (page_waiters_ > 0) page_gate_->wake_all();
    }

  private:
    bool may_reopen(Node& node, std::uint64_t fh, int& reopens) MAY_YIELD;
    int ask(Node& node, std::uint64_t fh, bool wait, std::uint32_t count,
            PageRequest& request) MAY_YIELD;
    void put_get(Call& call, std::uint64_t fh, bool wait, std::uint32_t count,
                 const PageRequest& request);
    int take_entries(Call& call, std::uint32_t count, PageRequest& request);
    int make_room(std::uint16_t reply_flags, std::uint32_t pages, int attempt,
                  bool& wait) MAY_YIELD;
    void send_released(Urgency urgency) MAY_YIELD;
    void send_released(Call& call) MAY_YIELD;
    TransferChoice& choice_;
    Balloon& balloon_;
    Reopener& reopener_;
    std::unique_ptr<host::Gate> page_gate_;
    std::uint32_t page_waiters_ = 0;
    std::uint32_t entries_out_ = 0;
};

}  // namespace xenfs::client
