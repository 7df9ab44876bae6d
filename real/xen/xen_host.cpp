#include "real/xen/xen_host.h"

#include <charconv>

namespace xenfs::real::xen {
namespace {

DomainId own_domain(host::Store& store) {
    const auto text = store.read("domid");  // a relative path begins at the reader's own home
    DomainId domain = 0;
    if (!text ||
        std::from_chars(text->data(), text->data() + text->size(), domain).ec != std::errc{}) {
        throw XenError("xenstore does not say which domain this is (domid): is this a Xen domain?");
    }
    return domain;
}

}  // namespace

XenHost::XenHost(bool balloon)
    : store_(monitor_),
      events_(monitor_),
      clock_(monitor_),
      tasks_(monitor_),
      self_(own_domain(store_)),
      capabilities_{.transfer = false, .balloon = balloon, .real_bytes = true} {}

void XenHost::end_tasks() {
    monitor_.end();
    tasks_.join();
}

}  // namespace xenfs::real::xen
