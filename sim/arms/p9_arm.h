#pragma once
#include "sim/arms/remote_arm.h"

namespace xenfs::sim {

struct P9Settings : RemoteSettings {
    std::string caching = "default";  ///< none
    unsigned ring_order = 9;          ///< the ring has 2^order pages
};
const settings::Table<P9Settings>& p9_settings();

/// "9p": Xen's 9pfs, 9P2000.L over rings of shared pages (Xen's docs/misc/9pfs.pandoc) between
/// Linux's v9fs client in the guest and a user-space daemon in dom0 (xen-9pfsd, or QEMU).
///
/// All data are copied through the ring, whose two halves share 2^ring_order pages (order at most
/// 9), in messages of msize at most; each message is a round trip, and the client sends them one
/// after the other: Twalk and Tgetattr for a look-up, Twalk and Tlopen for an open [M].
/// cache=none: nothing is kept, reads and writes go to the server, mmap has single pages.
/// cache=loose: names, attributes and pages are kept without end and written back, as if the guest
/// were alone [M].
std::unique_ptr<Arm> make_p9_arm(Machine& machine, Domain& dom0, const ArmSite& site,
                                 const P9Settings& settings);

}  // namespace xenfs::sim
