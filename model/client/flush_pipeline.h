#pragma once
// The inside of the Flusher: the runs of one flush on their way to the server.

#include <deque>
#include <memory>

#include "model/client/call.h"
#include "model/client/flush.h"

namespace xenfs::client {

/// Pages on their way: the entries that came for them, and the frames whose data goes into those.
/// One slot carries first the PAGES_GET and then the PAGES_COMMIT.
struct Flusher::Sending {
    std::unique_ptr<Call> call;
    PageRequest request;
    bool flip = false;        ///< the frames are transferred, not copied
    bool keep = false;        ///< the pages stay here as well
    bool waited_for = false;  ///< others may wait for entries that were not used
    std::uint32_t ready = 0;  ///< were dirty still when the entries had come
    std::uint32_t good = 0;   ///< of them, arrived in the cache's frames
    std::array<Frame, PageRequest::most> frames;
    PageCommit commit;
};

/// The runs of one flush. Several are in flight together, each first for its entries and then for
/// its commit, as far as slots can be spared; the task waits for a slot only while it has none. A
/// run for which nothing came is put off until none is in flight, so that the others have given
/// back what they held, and is then sent by itself with the retries of PageExchange. Invariant:
/// pages of a run in `commits_` are page_writing; runs in `gets_` and `rest_` hold nothing but
/// their slots.
class Flusher::Pipeline {
  public:
    /// `sync_flag` is the flag of the commit that makes the file durable, or 0.
    Pipeline(Flusher& flusher, Node& node, std::deque<PageRun> runs, std::uint16_t sync_flag)
        : flusher_(flusher),
          exchange_(flusher.exchange_),
          node_(node),
          rest_(std::move(runs)),
          sync_flag_(sync_flag) {}

    int run() MAY_YIELD;  ///< returns the first error met
    /// Returns whether a commit has made the file durable, or tried and failed; run() returned that
    /// error.
    bool synced() const { return synced_; }

  private:
    using Under = std::deque<std::unique_ptr<Sending>>;
    /// How many pages may be in flight at once where there is more than one run.
    static constexpr std::uint32_t most_pages = 4 * protocol::max_pages_per_request;
    static constexpr int most_stale = 64;

    bool start_gets() MAY_YIELD;
    void finish_get() MAY_YIELD;
    void finish_commit() MAY_YIELD;
    void send_alone(PageRun run) MAY_YIELD;
    bool describe(Sending& sending) MAY_YIELD;
    void sent(Sending& sending, int error, int sync_error) MAY_YIELD;
    void release_unused(Sending& sending) MAY_YIELD;
    PageRun behind(const Sending& sending) const;
    bool skip_clean(PageRun& run) const;
    static std::unique_ptr<Sending> take(Under& from) {
        auto taken = std::move(from.front());
        from.pop_front();
        return taken;
    }
    void failed(int error) {
        if (error_ == 0) error_ = error;
    }

    Flusher& flusher_;
    PageExchange& exchange_;
    Node& node_;
    std::deque<PageRun> rest_;     ///< not begun
    std::deque<PageRun> put_off_;  ///< nothing came for them
    Under gets_, commits_;
    Under again_;              ///< commits that named an open which the server does not know
    std::uint32_t pages_ = 0;  ///< counts those in gets_ and commits_
    const std::uint16_t sync_flag_;
    bool synced_ = false;
    int stale_ = 0;  ///< commits whose pages were cut off meanwhile
    int error_ = 0;
};

}  // namespace xenfs::client
