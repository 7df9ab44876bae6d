#include "real/mount/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "model/client/settings.h"
#include "model/settings/units.h"
#include "real/mount/remount.h"

namespace xenfs::real::mount {

namespace {

using settings::Kind;
using settings::Setting;
using settings::Value;

const settings::Table<Options>& option_settings() {
    using namespace settings;
    using O = Options;
    static const Table<O> table = [] {
        const auto client = part(&O::client, client::client_settings());
        return Table<O>{
            client["device"],
            choice("cache", &O::kernel_pages, {"none", "text", "all"},
                   "What the guest's kernel may keep copies of: nothing but what a private mmap "
                   "makes it keep, also programs and shared objects (ELF files opened for "
                   "reading), or everything."),
            whole(Kind::time, "names", &O::stale_names_s, {0, hours},
                  "How late another guest's change of a name may be seen.", 1'000'000'000),
            pages("memory", &O::memory_pages, {4 * mib, tib},
                  "Frames of its own that the mount may use for what was written and not sent."),
            client["mapping_budget"].as("mapping"),
            client["read_ahead"].as("readahead"),
            client["write_behind"],
            client["server_timeout"],
            client["poll"],
            client["transfer"],
            text("guest", &O::guest, "On a local host: the name of this domain."),
            count("domain", &O::domain, {0, 32751},
                  "On a local host: the number of this domain; 0: any."),
        };
    }();
    return table;
}

/// The word that stands for the value in help: MIB, SECONDS, NAME, none|text|all.
std::string placeholder(const settings::Declaration& option) {
    if (option.names && !option.names_grow) return settings::join(option.names(), "|");
    if (option.kind == Kind::size) return "MIB";
    if (option.kind == Kind::time) return "SECONDS";
    return option.kind == Kind::count ? "N" : "NAME";
}

std::string default_of(const Setting<Options>& option) {
    std::string text = settings::print(option, option.get(Options()));
    std::erase(text, '"');
    return text;
}

Value parse_value(const settings::Declaration& option, const std::string& text) {
    if (option.kind == Kind::text) return text;
    std::int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    const bool bare = error == std::errc() && rest == end;
    if (option.kind == Kind::count) {
        return bare ? number : throw settings::UnitError("give a whole number");
    }
    // Such a number counts MiB and seconds, as in other mount options.
    const char* const unit = option.kind == Kind::size ? " MiB" : " s";
    return settings::parse_quantity_text(bare ? text + unit : text, option.kind);
}

/// Words of fstab that are mount(8)'s own business.
bool fstab_word(std::string_view word) {
    static constexpr std::array words = {
        "defaults",   "auto",        "noauto",        "user",     "nouser",     "users",
        "owner",      "group",       "_netdev",       "nofail",   "rw",         "relatime",
        "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "async",
        "iversion",   "noiversion",  "silent",        "loud"};
    return std::find(words.begin(), words.end(), word) != words.end() || word.starts_with("x-") ||
           word.starts_with("X-") || word.starts_with("comment=") || word.starts_with("uhelper=") ||
           word.starts_with("helper=") || word.starts_with("user_id=") ||
           word.starts_with("group_id=") || word == "default_permissions";
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

void take_option(Options& options, std::string_view word) {
    if (flag_of(word).flag != 0) options.flags.emplace_back(word);
    // mount(8) has read this from the mount that it remounts, with all that is to stay.
    if (word.starts_with("user_id=")) options.names_all_flags = true;
    if (word == "remount") {
        options.remount = true;
        return;
    }
    if (word == "rw") std::erase(options.fuse, "ro");  // the last of both counts
    if (word.empty() || fstab_word(word)) return;
    if (fuse_word(word)) {
        options.fuse.emplace_back(word);
        return;
    }
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string key(word.substr(0, equals));
    const Setting<Options>* const option = option_settings().find(key);
    if (option == nullptr) {
        throw MountError(fmt::format("option '{}' is unknown; see xenfs-mount --help", key));
    }
    if (equals == word.size()) {
        throw MountError(
            fmt::format("option {0}: give it a value, as in {0}={1}", key, default_of(*option)));
    }
    try {
        const Value value = parse_value(*option, std::string(word.substr(equals + 1)));
        const std::string fault = fault_of(*option, value);
        if (!fault.empty()) throw settings::UnitError(fault);
        option->set(options, value);
    } catch (const settings::UnitError& error) {
        throw MountError(fmt::format("option {}: {}", word, error.what()));
    }
}

}  // namespace

Options::Options() {
    // A guest's kernel makes a copy of its own where a program maps a file privately.
    client.mmap = client::MmapMode::private_copy;
}

std::string usage() {
    std::string out =
        "usage: xenfs-mount DEVICE MOUNTPOINT [-o OPTION,...] [-f] [-d]\n"
        "  DEVICE  xen or xen:DOMID      the xenfsd of that domain (default 0) on this Xen host\n"
        "          /path/to/socket       the local host (xenfs-localhost) that listens there\n"
        "  -f      stay in the foreground      -d   the same, and every request on stderr\n"
        "options:\n";
    for (const auto& option : option_settings()) {
        const std::string range = print_range(option);
        out += fmt::format("  {}={} ({}default {})\n      {}\n", option.key, placeholder(option),
                           range.empty() ? "" : range + ", ", default_of(option), option.sentence);
    }
    return out +
           "  and those of mount(8): ro, nodev, nosuid, noexec, noatime, allow_other, ...\n"
           "See xenfs-mount(8).\n";
}

std::string options_manual() {
    std::string out;
    for (const auto& option : option_settings()) {
        const std::string range = print_range(option);
        out += fmt::format(".TP\n.BI {}= {}\n{}{} Default: {}.\n", option.key, placeholder(option),
                           settings::roff(option.sentence),
                           range.empty() ? "" : " Range: " + range + ".", default_of(option));
    }
    return out;
}

Options parse_options(const std::vector<std::string>& arguments, bool& help, bool& version) {
    Options options;
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
