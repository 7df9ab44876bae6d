#pragma once
// The Flusher writes back what is dirty: on request, on a recall, with age, or when frames are
// short.

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "model/client/page_exchange.h"

namespace xenfs::client {

/// Consecutive pages of a file.
struct PageRun {
    std::uint64_t first = 0;
    std::uint32_t count = 0;
};
/// Cuts ascending page numbers into runs of at most `longest` pages.
std::deque<PageRun> runs_of(std::span<const std::uint32_t> pages, std::uint32_t longest);

/// Invariant: a page on its way to the server is page_writing, and therefore pinned, or loading
/// where it was flipped; Node::flushing says that a task has such pages of the file. A page that
/// could not be sent stays dirty; one that the server refused is counted as lost.
class Flusher : Part {
  public:
    Flusher(const Shared& shared, TransferChoice& choice, PageExchange& exchange);

    /// Counts a task with frames of our own under way: they will go into pages or come free.
    class FramesMoving {
      public:
        FramesMoving(Flusher& of, bool some) : moving_(some ? &of.frames_moving_ : nullptr) {
            if (moving_ != nullptr) ++*moving_;
        }
        ~FramesMoving() {
            if (moving_ != nullptr) --*moving_;
        }
        FramesMoving(const FramesMoving&) = delete;
        FramesMoving& operator=(const FramesMoving&) = delete;

      private:
        std::uint32_t* moving_;
    };

    /// Sends the file's dirty pages, about `most` of them at most, and waits for those already on
    /// their way. Pages that become dirty meanwhile may or may not be sent. Returns the first error
    /// met; a run that fails does not stop the others.
    int flush(Node& node, std::uint32_t most = UINT32_MAX) MAY_YIELD;
    /// Does so for all files.
    int flush_all() MAY_YIELD;
    /// Makes the file durable, as fsync does: the last commit also makes durable what was committed
    /// before, so that one dirty page takes two round trips.
    int sync(Node& node, bool data_only) MAY_YIELD;
    /// Frees frames of our own by writing back a good part of what has been dirty longest, or waits
    /// for frames that other tasks have on their way. Returns 0 where the caller should look again,
    /// ENOMEM where all frames are in use for good.
    int flush_oldest() MAY_YIELD;
    /// Returns a frame for one page more, after flush_oldest() where it must.
    int own_frame(Frame& frame) MAY_YIELD;

    void will_dirty(Node& node);  ///< called before pages of the file are marked dirty
    /// A task runs write_behind(), which writes back what is old enough, between start() and
    /// stop().
    void start() { stopping_ = false; }
    void write_behind() MAY_YIELD;
    void stop();

  private:
    struct Sending;
    class InProgress;
    class Pipeline;
    Slot due(const Node& node, std::uint64_t page) const;
    std::deque<PageRun> due_runs(const Node& node, std::uint32_t most) const;
    void prepare(const Node& node, Sending& sending, PageRun run);
    void deposit(Node& node, Sending& sending);
    bool describe(const Node& node, Sending& sending, std::uint16_t sync_flag);
    void conclude(Node& node, const Sending& sending, int error);
    int send(Node& node, std::uint32_t most, std::uint16_t sync_flag, bool& synced) MAY_YIELD;
    Node* oldest();
    TransferChoice& choice_;
    PageExchange& exchange_;
    std::unique_ptr<host::Gate> dirty_gate_;
    std::uint32_t frames_moving_ = 0;  ///< how many tasks have FramesMoving
    bool stopping_ = false;
};

}  // namespace xenfs::client
