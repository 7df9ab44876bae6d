#include "real/mount/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace xenfs::real::mount {

const char* const usage_text =
    "usage: xenfs-mount DEVICE MOUNTPOINT [-o OPTION,...] [-f] [-d]\n"
    "  DEVICE  xen or xen:DOMID      the xenfsd of that domain (default 0) on this Xen host\n"
    "          /path/to/socket       the local host (xenfs-localhost) that listens there\n"
    "  -f      stay in the foreground      -d   the same, and every request on stderr\n"
    "options:\n"
    "  device=N           which device of this guest (default 0)\n"
    "  cache=text|none|all   what the guest's kernel may keep copies of (default text: programs)\n"
    "  names=SECONDS      how late another guest's change of a name may be seen (default 0)\n"
    "  memory=MIB         the mount's own frames (default 256)\n"
    "  mapping=MIB        shared frames kept mapped (default 256)\n"
    "  readahead=PAGES    largest window (default 32; 0: none)\n"
    "  write_behind=SECONDS  age at which written data is sent (default 5)\n"
    "  server_timeout=SECONDS  wait for a server that is away, then EIO (default 60)\n"
    "  transfer=NAME      transfer policy (default map)\n"
    "  guest=NAME, domain=N  local host: this domain's name and number\n"
    "  and those of mount(8): ro, nodev, nosuid, noexec, noatime, allow_other, ...\n"
    "See xenfs-mount(8).\n";

namespace {

/// Words of fstab that are mount(8)'s own business.
bool fstab_word(std::string_view word) {
    static constexpr std::array words = {
        "defaults",   "auto",        "noauto",        "user",     "nouser",     "users",
        "owner",      "group",       "_netdev",       "nofail",   "rw",         "relatime",
        "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "async",
        "iversion",   "noiversion",  "silent",        "loud"};
    return std::find(words.begin(), words.end(), word) != words.end() || word.starts_with("x-") ||
           word.starts_with("X-") || word.starts_with("comment=") || word.starts_with("uhelper=") ||
           word.starts_with("helper=");
}

bool fuse_word(std::string_view word) {
    static constexpr std::array words = {"ro",         "dev",         "nodev",      "suid",
                                         "nosuid",     "exec",        "noexec",     "sync",
                                         "dirsync",    "atime",       "noatime",    "diratime",
                                         "nodiratime", "allow_other", "allow_root", "auto_unmount"};
    return std::find(words.begin(), words.end(), word) != words.end() ||
           word.starts_with("fsname=") || word.starts_with("max_read=") ||
           word.starts_with("context=");
}

template <class Number>
Number number(std::string_view key, std::string_view text, Number least, Number most) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
        throw MountError(
            fmt::format("option {}={}: give a number from {} to {}", key, text, least, most));
    }
    return value;
}

void set(Options& options, std::string_view key, std::string_view value) {
    constexpr std::uint32_t pages_per_mib = 1u << (20 - page_shift);
    if (key == "device") {
        options.client.device = number<std::uint32_t>(key, value, 0, 65535);
    } else if (key == "cache") {
        if (value == "none") {
            options.kernel_pages = KernelPages::none;
        } else if (value == "text") {
            options.kernel_pages = KernelPages::text;
        } else if (value == "all") {
            options.kernel_pages = KernelPages::all;
        } else {
            throw MountError(fmt::format("option cache={}: give text, none or all", value));
        }
    } else if (key == "names") {
        options.stale_names_s = number<std::uint32_t>(key, value, 0, 3600);
    } else if (key == "memory") {
        options.memory_mib = number<std::uint32_t>(key, value, 4, 1u << 20);
    } else if (key == "mapping") {
        options.client.mapping_budget =
            number<std::uint32_t>(key, value, 1, 1u << 20) * pages_per_mib;
    } else if (key == "readahead") {
        options.client.readahead = number<std::uint32_t>(key, value, 0, 256);
    } else if (key == "write_behind") {
        options.client.write_behind =
            Nanoseconds{1'000'000'000} * number<std::uint32_t>(key, value, 0, 86400);
    } else if (key == "server_timeout") {
        options.client.server_timeout =
            Nanoseconds{1'000'000'000} * number<std::uint32_t>(key, value, 1, 86400);
    } else if (key == "transfer") {
        options.client.transfer = value;
    } else if (key == "guest") {
        options.guest = value;
    } else if (key == "domain") {
        options.domain = number<std::uint32_t>(key, value, 1, 32751);
    } else {
        throw MountError(fmt::format("option '{}' is unknown; see xenfs-mount --help", key));
    }
}

void take_option(Options& options, std::string_view word) {
    if (word.empty() || fstab_word(word)) return;
    if (word == "ro") options.read_only = true;
    if (fuse_word(word)) {
        options.fuse.emplace_back(word);
        return;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
        throw MountError(fmt::format("option '{}' is unknown; see xenfs-mount --help", word));
    }
    set(options, word.substr(0, equals), word.substr(equals + 1));
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments, bool& help, bool& version) {
    Options options;
    // Mapping is what this mount is for; the other policies are for comparison.
    options.client.transfer = "map";
    options.client.mmap = client::MmapMode::private_copy;
    help = version = false;
    std::vector<std::string> places;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (word == "-h" || word == "--help") {
            help = true;
            return options;
        }
        if (word == "-V" || word == "--version") {
            version = true;
            return options;
        }
        if (word == "-f" || word == "-d") {
            options.foreground = true;
            options.debug = options.debug || word == "-d";
        } else if (word == "-r") {
            take_option(options, "ro");
        } else if (word == "-n" || word == "-s" || word == "-v" || word == "-w") {
            // mount(8) hands these on; nothing here differs for them
        } else if (word.starts_with("-o")) {
            if (word.size() == 2 && ++i == arguments.size()) {
                throw MountError("-o stands without options; see xenfs-mount --help");
            }
            std::string_view list = word.size() == 2 ? std::string_view(arguments[i])
                                                     : std::string_view(word).substr(2);
            while (!list.empty()) {
                const std::size_t comma = std::min(list.find(','), list.size());
                take_option(options, list.substr(0, comma));
                list.remove_prefix(std::min(comma + 1, list.size()));
            }
        } else if (word.starts_with("-")) {
            throw MountError(fmt::format("'{}' is unknown; see xenfs-mount --help", word));
        } else {
            places.push_back(word);
        }
    }
    if (places.size() != 2) {
        throw MountError("give a DEVICE and a MOUNTPOINT; see xenfs-mount --help");
    }
    options.device = places[0];
    options.mount_point = places[1];
    return options;
}

}  // namespace xenfs::real::mount
