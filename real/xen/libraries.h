#pragma once
// Xen's C libraries as owned handles. No other file includes their headers.

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

extern "C" {
#define __XEN_TOOLS__ 1
#include <xenctrl.h>
// xenctrl.h comes first, since the others rely on its types
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoollog.h>
}

namespace xenfs::real::xen {

/// Thrown where Xen is not there, or refuses: one sentence with what to do about it.
class XenError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

template <auto Close>
struct CloseWith {
    template <class T>
    void operator()(T* handle) const {
        Close(handle);
    }
};
using Control = std::unique_ptr<xc_interface, CloseWith<xc_interface_close>>;
using EventHandle = std::unique_ptr<xenevtchn_handle, CloseWith<xenevtchn_close>>;
using ForeignMemory = std::unique_ptr<xenforeignmemory_handle, CloseWith<xenforeignmemory_close>>;
using GrantMapper = std::unique_ptr<xengnttab_handle, CloseWith<xengnttab_close>>;
using GrantSharer = std::unique_ptr<xengntshr_handle, CloseWith<xengntshr_close>>;
using StoreHandle = std::unique_ptr<xs_handle, CloseWith<xs_close>>;

/// Returns the handle, or throws an XenError that names the device and the module it needs.
template <class Owned, class Opened>
Owned opened(Opened* handle, const std::string& what, const std::string& remedy) {
    if (handle == nullptr) throw XenError("cannot open " + what + ": " + remedy);
    return Owned(handle);
}

/// Returns what Xen tells of a domain, or nothing if the domain does not exist. xc_domain_getinfo,
/// which older programs call, is gone from Xen 4.18's library. The call used here is in all of
/// them, but where there is no such domain it may answer with the next one.
inline std::optional<xc_domaininfo_t> domain_info(xc_interface* control, std::uint32_t domain) {
    xc_domaininfo_t info{};
    if (xc_domain_getinfolist(control, domain, 1, &info) != 1 || info.domain != domain) return {};
    return info;
}

/// A logger that drops what it gets: the libraries log each refusal, which is an ordinary answer
/// here.
inline xentoollog_logger* quiet_logger() {
    static xentoollog_logger_stdiostream* const logger =
        xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
    return reinterpret_cast<xentoollog_logger*>(logger);
}

}  // namespace xenfs::real::xen
