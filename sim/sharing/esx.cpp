// VMware ESX Server (Waldspurger, OSDI 2002): pages are picked at random and looked up by hash. A
// page without an equal leaves its hash behind as a hint, which names it until the next page of
// that hash comes; then the hinted page is hashed again, and the two are shared if it has not
// changed. Hints are kept from pass to pass, and a hinted page is not write-protected.
#include "sim/sharing/policy.h"

namespace xenfs::sim {
namespace {

class Esx final : public SharingPolicy {
  public:
    Esx(GuestPages& pages, SharedPages& shared, SharingStats& stats, const SharingOptions& options)
        : SharingPolicy(pages, shared, stats, options), random_(options.seed) {}

    Nanoseconds wake() override {
        const std::size_t all = pages_.frames() + pages_.idle_pages();
        for (std::uint32_t i = 0; i < options_.pages_per_wake && all > 0; ++i) {
            // Frames that are no guest's are not its to scan: it draws again, a few times.
            std::size_t at = random_() % all;
            for (int again = 0; at < pages_.frames() && again < 16; ++again) {
                if (!pages_.foreign(static_cast<Frame>(at))) break;
                at = random_() % all;
            }
            ++stats_.scanned;
            spend(options_.hash_ns);
            if (at < pages_.frames()) examine(static_cast<Frame>(at));
        }
        stats_.passes = all == 0 ? 0 : stats_.scanned / all;
        return options_.sleep_ns;
    }

  private:
    void examine(Frame frame) {
        if (!pages_.mergeable(frame) || shared_.group_of(frame) != SharedPages::no_group) return;
        const ContentKey key = pages_.key(frame);
        if (join_known(frame, key)) return;
        const auto [place, is_new] = hints_.try_emplace(key, frame);
        if (is_new || place->second == frame) return;
        const Frame other = place->second;
        spend(options_.hash_ns);  // the hinted page, as it is now
        if (pages_.mergeable(other) && pages_.key(other) == key &&
            shared_.group_of(other) == SharedPages::no_group) {
            merge(other, frame, key);
            hints_.erase(place);
        } else {
            place->second = frame;
        }
    }

    std::mt19937_64 random_;
    std::unordered_map<ContentKey, Frame, ContentKeyHash> hints_;
};

}  // namespace

std::unique_ptr<SharingPolicy> make_sharing_esx(GuestPages& pages, SharedPages& shared,
                                                SharingStats& stats,
                                                const SharingOptions& options) {
    return std::make_unique<Esx>(pages, shared, stats, options);
}

}  // namespace xenfs::sim
