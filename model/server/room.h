#pragma once
// Room for pages: frames of the pool, entries of its grant table, a client's credit.
//
// A request that finds none is parked here and occupies no worker. One task makes room for those
// that wait: clean pages are evicted, dirty ones written back (by the write-back task), and where
// frames are mapped or the table is full, clients are asked to give pages back. Requests are
// resumed in the order of arrival, urgent ones first, and newcomers that would need what is waited
// for queue behind. What cannot be had within room_timeout ends with an error, but not while the
// storage has pages to write: that is waited for.

#include <array>
#include <deque>

#include "model/pages/ledger.h"
#include "model/server/part.h"
#include "model/server/worker.h"
#include "model/server/write_back.h"

namespace xenfs::server {

/// Answers requests.
class Answerer {
  public:
    virtual void answer(Request& q, int error, std::size_t result_bytes) MAY_YIELD = 0;
    /// Does so, and counts how long it took.
    virtual void finish(Request& q, int error, std::size_t result_bytes) MAY_YIELD = 0;

  protected:
    ~Answerer() = default;
};

/// Invariant: the queue holds the requests that are parked for Wait::room and no others, urgent
/// ones first, then by age; waiting() counts them by what they lack, Connection::urgent_waiting the
/// urgent ones.
class RoomQueue : public Part {
  public:
    RoomQueue(const Shared& shared, const pages::Ledger& ledger, WriteBack& write_back,
              Answerer& answerer)
        : Part(shared),
          ledger_(ledger),
          write_back_(write_back),
          answerer_(answerer),
          gate_(host_.tasks().make_gate()) {}

    // --- frames
    /// A frame with one user, by eviction if it must be. no_index where that gives none, or where
    /// others wait for what there is.
    pages::FrameIndex take_frame(Worker& w);
    /// Takes clean pages out of the cache until so many frames are free; how many are.
    std::uint32_t evict_clean(Worker& w, std::uint32_t frames);

    // --- waits
    bool waits_for(Lack lack) const { return waiting_[static_cast<std::size_t>(lack)] != 0; }
    /// What to do about a request for which there was nothing. Where its client itself holds what
    /// is wanted, the reply says so, unless it said that it has nothing left to release.
    int no_room(Request& q, Lack lack, std::uint32_t pages, protocol::PagesGetOut out,
                bool may_return);
    /// Puts the request into the queue; it is resumed, or answered, by the task. `parked`.
    int park(Request& q, Lack lack, std::uint32_t pages, std::uint64_t file_size, bool may_return);
    void drop(const Connection& c);

    // --- what ends them
    /// Something came free: those who wait for room are looked at.
    void made() {
        ++made_;
        if (!queue_.empty()) gate_->wake_one();
    }
    /// Somebody got what he waited for, or might: the others are given time again.
    void note_progress() { progress_ = host_.clock().now(); }
    /// The task.
    void run() MAY_YIELD;
    void wake() { gate_->wake_all(); }

  private:
    /// A parked request in the queue.
    struct Waiter {
        Request* request = nullptr;
        bool again = false;       ///< waited before, and found too little
        bool may_return = false;  ///< may be sent back to its client, for that to release
        Lack lack = Lack::frames;
        std::uint32_t pages = 0;      ///< wanted
        std::uint64_t file_size = 0;  ///< for the reply
        std::uint64_t seen = 0;       ///< made_ when it began to wait
        Nanoseconds since = 0, parked = 0;
    };

    Nanoseconds serve_waiters(Worker& w) MAY_YIELD;
    Waiter take(std::size_t place);
    void resume(std::size_t place);
    void end(std::size_t place, int error) MAY_YIELD;
    bool holds_most(const Connection& c) const;
    void ask_for_frames(std::uint32_t frames) MAY_YIELD;
    void ask_largest(std::uint32_t pages) MAY_YIELD;
    void ask(ConnectionIndex index, std::vector<cache::PageKey> wanted,
             std::uint32_t pages) MAY_YIELD;
    void revoke(Connection& c, std::vector<cache::PageKey>& wanted, std::uint32_t pages);
    bool revocation_open(Connection& c);

    const pages::Ledger& ledger_;
    WriteBack& write_back_;
    Answerer& answerer_;
    std::unique_ptr<host::Gate> gate_;
    std::deque<Waiter> queue_;
    std::array<std::uint32_t, 4> waiting_{};  ///< of them, by Lack
    std::uint64_t made_ = 0;                  ///< counts what came free
    Nanoseconds progress_ = 0;
    std::size_t table_size_ = 0;  ///< entries when the grant table was last found full
};

}  // namespace xenfs::server
