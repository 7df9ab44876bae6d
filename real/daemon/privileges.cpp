#include "real/daemon/privileges.h"

#include <cap-ng.h>
#include <sys/prctl.h>

#include <array>
#include <cstdlib>

#include "real/daemon/backing.h"

namespace xenfs::real::daemon {
namespace {

struct Kept {
    unsigned capability;
    const char* name;
    enum When { always, xen_only, devices_only } when;
};

constexpr std::array kept{
    Kept{CAP_DAC_OVERRIDE, "dac_override", Kept::always},
    Kept{CAP_DAC_READ_SEARCH, "dac_read_search", Kept::always},
    Kept{CAP_CHOWN, "chown", Kept::always},
    Kept{CAP_FOWNER, "fowner", Kept::always},
    Kept{CAP_FSETID, "fsetid", Kept::always},
    Kept{CAP_SETUID, "setuid", Kept::always},
    Kept{CAP_SETGID, "setgid", Kept::always},
    Kept{CAP_SETPCAP, "setpcap", Kept::always},
    Kept{CAP_SETFCAP, "setfcap", Kept::always},
    Kept{CAP_MKNOD, "mknod", Kept::devices_only},
    Kept{CAP_SYS_ADMIN, "sys_admin", Kept::xen_only},
    Kept{CAP_SYS_RESOURCE, "sys_resource", Kept::xen_only},
    Kept{CAP_IPC_LOCK, "ipc_lock", Kept::xen_only},
};

}  // namespace

std::string drop_privileges(bool xen, bool devices) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (capng_get_caps_process() != 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE) {
        return "none";
    }
    std::array<bool, kept.size()> had{};
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const bool wanted = kept[i].when == Kept::always ||
                            (kept[i].when == Kept::xen_only && xen) ||
                            (kept[i].when == Kept::devices_only && devices);
        had[i] = wanted && capng_have_capability(CAPNG_PERMITTED, kept[i].capability) != 0;
    }
    // The bounding set can only be lowered with SETPCAP; where that is missing, no_new_privs must
    // do.
    const bool bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
    capng_clear(CAPNG_SELECT_CAPS);
    if (bounding) capng_clear(CAPNG_SELECT_BOUNDS);
    std::string names;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        if (!had[i]) continue;
        const auto sets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED |
                                                    (bounding ? CAPNG_BOUNDING_SET : 0));
        capng_update(CAPNG_ADD, sets, kept[i].capability);
        if (!names.empty()) names += ',';
        names += kept[i].name;
    }
    if (capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0) {
        throw DaemonError(
            "cannot give up capabilities that serving does not need; start it as "
            "root or as an ordinary user, not with part of root's rights");
    }
    return names.empty() ? "none" : names;
}

}  // namespace xenfs::real::daemon
