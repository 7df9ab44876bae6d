#pragma once
// The command line of xenfs-mount, as a person, fstab or mount(8) writes it.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/client/config.h"

namespace xenfs::real::mount {

/// The mount cannot be made: one sentence with what to do about it.
class MountError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// What the guest's kernel may keep copies of in its own page cache.
enum class KernelPages : std::uint8_t {
    none,  ///< only what a private mmap makes it keep
    text,  ///< and programs and shared objects (ELF), which every process maps
    all    ///< everything, as an ordinary file system: a second copy of what is shared
};

struct Options {
    Options();

    std::string device;  ///< a local host's socket, or "xen" or "xen:DOMID"
    std::string mount_point;
    bool foreground = false;
    bool debug = false;  ///< every FUSE request on stderr; implies foreground

    std::string guest = "guest";          ///< local host: this domain's name
    std::uint32_t domain = 0;             ///< local host: its wanted number; 0: any
    std::size_t memory_pages = 256 << 8;  ///< frames of its own that the mount may use
    KernelPages kernel_pages = KernelPages::text;
    std::uint32_t stale_names_s = 0;  ///< how late another guest's change of a name may be seen
    client::ClientConfig client;

    std::vector<std::string> fuse;  ///< words for libfuse and the kernel
    /// A mount that stands is to have other flags (mount -o remount,...); its program goes on.
    bool remount = false;
    /// Words that set or clear flags of the kernel's mount, in order.
    std::vector<std::string> flags;
    bool names_all_flags = false;  ///< a flag that `flags` does not name is to be cleared
};

/// Parses the arguments behind the program's name; MountError for what makes no sense. `help` and
/// `version` are set where that was asked for, and then nothing else is.
Options parse_options(const std::vector<std::string>& arguments, bool& help, bool& version);

/// What --help prints.
std::string usage();
/// The options with their defaults, as the manual page has them (roff).
std::string options_manual();

}  // namespace xenfs::real::mount
