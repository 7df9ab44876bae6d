// Chooses the cheapest by the host's own costs. For a batch of n pages that are used u times each:
//
//   map   request + hypercall + n (map + unmap) + n/b (hypercall + flush)      once, whatever u is
//   copy  c (request + hypercall + n copy)    c = 1 if the copy is kept, else u: anew each time
//   flip  c (request + hypercall + n flip)    the same, with a frame paid back
//
// A request is the round trip to the server: tens of times what a page costs, so that a page which
// is likely to be used again is rather kept.
//
// Where the host's grant table is full, or the guest's credit, what is mapped is taken back before
// it pays: then the guest keeps copies, in frames of its own, as it would without a shared cache.
//
// Where a file's pages are missed again and again and there is room for its mappings, those behind
// the wanted one are mapped with it, as far as the server has them: that saves their requests.
//
// Loading the data into the program's buffer costs the same in all three and is left out.
#include "model/policies/transfer/policy.h"

namespace xenfs::policies {
namespace {

class Adaptive final : public TransferPolicy {
  public:
    Adaptive(const host::MechanismCosts& costs, const host::Capabilities& can)
        : costs_(costs), flip_supported_(can.transfer) {}
    std::string_view name() const override { return "adaptive"; }

    TransferDecision decide(const TransferRequest& request) const override {
        using Use = TransferRequest::Use;
        if (request.entries_short && (request.use == Use::read || request.use == Use::mmap_read)) {
            return {Mechanism::copy, TransferReason::entries_short};
        }
        if (request.use == Use::mmap_read || request.use == Use::mmap_write) {
            return {Mechanism::map, TransferReason::must_share};
        }
        const double n = request.pages;
        const double times = request.copy_is_kept ? 1 : std::max(1.0, request.expected_uses);
        const double hypercall = cost(costs_.hypercall);
        const double request_cost = cost(costs_.round_trip) + hypercall;
        const double map = request_cost + n * (cost(costs_.map_page) + cost(costs_.unmap_page)) +
                           n / request.unmap_batch * (hypercall + cost(costs_.unmap_flush));
        const double copy = times * (request_cost + n * cost(costs_.copy_page));
        const double flip = times * (request_cost + n * cost(costs_.flip_page));
        if (flip_supported_ && flip < copy && flip < map) {
            return {Mechanism::flip, TransferReason::cheaper_batch, copy, map, flip, Keep::once};
        }
        // A request costs a round trip, which is tens of times what a page costs under any
        // mechanism.
        if (request.use == Use::read && request.around_pages > request.pages) {
            return {Mechanism::map, TransferReason::cheaper_around, copy, map, flip, Keep::around};
        }
        if (map < copy) return {Mechanism::map, TransferReason::cheaper_reused, copy, map, flip};
        return {Mechanism::copy, TransferReason::cheaper_once, copy, map, flip, Keep::once};
    }

  private:
    static double cost(Nanoseconds ns) { return static_cast<double>(ns); }

    host::MechanismCosts costs_;
    bool flip_supported_;
};

}  // namespace

std::unique_ptr<TransferPolicy> make_transfer_adaptive(const host::MechanismCosts& costs,
                                                       const host::Capabilities& can) {
    return std::make_unique<Adaptive>(costs, can);
}

}  // namespace xenfs::policies
