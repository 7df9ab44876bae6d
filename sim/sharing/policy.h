#pragma once
// How a hypervisor finds equal pages in its guests' memory, whatever they hold: their page caches,
// the shared cache, kernels, programs, zeros. (Which pages of a file share a frame of the shared
// cache is another question: model/policies/dedup.)

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "model/policies/registry.h"
#include "sim/sharing/shared_pages.h"

namespace xenfs::sim {

/// [sharing] of a scenario, and what the cost model says. Times in ns.
struct SharingOptions {
    std::uint32_t pages_per_wake = 100;  ///< KSM's pages_to_scan
    Nanoseconds sleep_ns = 20'000'000;   ///< KSM's sleep_millisecs
    bool volatile_check = true;          ///< ksm: only pages whose checksum held for a pass
    bool zero_pages = false;             ///< ksm: pages of zeros at first sight (use_zero_pages)
    std::uint32_t hint_queue = 8192;     ///< xlh: hints kept; the oldest go
    double hint_share = 0.5;             ///< xlh: of a wake-up's pages, at most
    std::uint64_t seed = 1;              ///< esx: of its random walk
    Nanoseconds hash_ns = 1'700;         ///< checksum of a page
    Nanoseconds compare_ns = 1'900;      ///< of two equal pages
    Nanoseconds tree_step_ns = 150;      ///< one level of a tree of pages, unequal ones
    Nanoseconds merge_ns = 2'000;        ///< mapping one page in the other's place
};

struct SharingStats {
    std::uint64_t scanned = 0;  ///< pages that a scanner looked at, idle ones too
    std::uint64_t passes = 0;
    std::uint64_t merged = 0;
    std::uint64_t volatile_pages = 0;  ///< skipped: their checksum had changed
    std::uint64_t hints = 0, hints_dropped = 0, hints_used = 0;
    std::uint64_t breaks = 0;        ///< writes to pages that others shared: a fault and a copy
    std::uint64_t watch_faults = 0;  ///< writes to pages that were only watched: a fault
    std::uint64_t replaced = 0;      ///< shared pages that a device filled anew: a fresh frame
    Nanoseconds cpu_ns = 0;          ///< for finding and merging; breaks not included
};

/// The memory that a policy works on: frames of guests and of the shared cache.
class GuestPages {
  public:
    virtual ~GuestPages() = default;
    /// Frames have numbers below this.
    virtual std::size_t frames() const = 0;
    /// Pages that the guests have without using them now; a scanner reads them too.
    virtual std::size_t idle_pages() const = 0;
    /// The frame is in use by a guest (or by the shared cache), filled, and not granted.
    virtual bool mergeable(Frame frame) const = 0;
    /// A scanner passes over it without reading: it is no guest's.
    virtual bool foreign(Frame frame) const = 0;
    virtual ContentKey key(Frame frame) const = 0;
};

/// Calls come in the order of events; the frame has left its group before `written` and `released`.
class SharingPolicy {
  public:
    SharingPolicy(GuestPages& pages, SharedPages& shared, SharingStats& stats,
                  const SharingOptions& options)
        : pages_(pages), shared_(shared), stats_(stats), options_(options) {}
    virtual ~SharingPolicy() = default;

    /// A device filled the frame, or read it (`sent`).
    virtual void filled(Frame) {}
    virtual void sent(Frame) {}
    /// Its content changed, by whomever.
    virtual void written(Frame) {}
    virtual void released(Frame) {}
    /// A scanner's turn: works, then says how long it sleeps. 0: there is no scanner.
    virtual Nanoseconds wake() { return 0; }
    /// Time is nothing to it: no cost of breaking a page either.
    virtual bool ideal() const { return false; }

  protected:
    void spend(Nanoseconds cpu) { stats_.cpu_ns += cpu; }
    /// Joins the group of its content if there is one; pays for the comparison and the mapping.
    bool join_known(Frame frame, const ContentKey& key);
    /// Both get one page: a group of two.
    void merge(Frame first, Frame second, const ContentKey& key);

    GuestPages& pages_;
    SharedPages& shared_;
    SharingStats& stats_;
    const SharingOptions options_;
};

using SharingFactory = std::function<std::unique_ptr<SharingPolicy>(
    GuestPages&, SharedPages&, SharingStats&, const SharingOptions&)>;
using SharingRegistry = policies::Registry<SharingPolicy, SharingFactory>;

/// none, ksm, esx, xlh, satori, oracle, and those added since.
SharingRegistry& sharing_policies();

std::unique_ptr<SharingPolicy> make_sharing_none(GuestPages&, SharedPages&, SharingStats&,
                                                 const SharingOptions&);
std::unique_ptr<SharingPolicy> make_sharing_ksm(GuestPages&, SharedPages&, SharingStats&,
                                                const SharingOptions&);
std::unique_ptr<SharingPolicy> make_sharing_esx(GuestPages&, SharedPages&, SharingStats&,
                                                const SharingOptions&);
std::unique_ptr<SharingPolicy> make_sharing_xlh(GuestPages&, SharedPages&, SharingStats&,
                                                const SharingOptions&);
std::unique_ptr<SharingPolicy> make_sharing_satori(GuestPages&, SharedPages&, SharingStats&,
                                                   const SharingOptions&);
std::unique_ptr<SharingPolicy> make_sharing_oracle(GuestPages&, SharedPages&, SharingStats&,
                                                   const SharingOptions&);

}  // namespace xenfs::sim
