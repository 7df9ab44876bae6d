// Each client has frames of its own, as under `none`; a scanner finds equal ones later, as KSM does
// for a host that knows nothing of files.
#include "model/policies/dedup/scan.h"

namespace xenfs::policies {
namespace {

class Scan final : public DedupPolicy {
  public:
    std::string_view name() const override { return "scan"; }
    bool shares_by_name() const override { return false; }
    bool shares_by_content() const override { return true; }
    std::unique_ptr<DedupScanner> make_scanner(const ScanOptions& options) const override {
        return std::make_unique<CacheScan>(options);
    }
};

}  // namespace

std::unique_ptr<DedupPolicy> make_dedup_scan() {
    return std::make_unique<Scan>();
}

}  // namespace xenfs::policies
