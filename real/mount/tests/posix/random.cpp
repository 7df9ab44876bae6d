#include "real/mount/tests/posix/random.h"

#include <fmt/format.h>

namespace xenfs::real::mount::posix {

std::string Draws::one_of(std::initializer_list<const char*> words) {
    return *(words.begin() + below(words.size()));
}

std::string Draws::name() {
    return one_of({"a", "b", "c", "d", "e", "d/a", "d/b", "d/e", "e/a", "e/d", "d/e/a"});
}

std::string Draws::slot() {
    return one_of({"p", "q", "r", "s"});
}

/// What is opened in a guest has a slot of this guest's.
std::string Draws::slot_of(std::uint64_t guest) {
    return guest == 0 ? one_of({"p", "q"}) : one_of({"r", "s"});
}

/// Mostly around the bounds of pages.
std::string Draws::offset() {
    if (below(4) == 0) return std::to_string(below(40'000));
    return one_of({"0", "1", "4095", "4096", "4097", "8191", "8192", "12287", "16384", "30000"});
}

std::string Draws::data() {
    const std::uint64_t length = below(2) == 0 ? 1 + below(50) : 1 + below(13'000);
    return fmt::format("{{{}*{}}}", static_cast<char>('a' + below(26)), length);
}

/// Root mostly, otherwise somebody who may do little.
std::string Draws::user() {
    const std::uint64_t who = below(8);
    return who == 0 ? "as 1000 1000 " : who == 1 ? "as 1001 1001,1000 " : "";
}

std::string Draws::open_file() {
    const std::string access = one_of({"O_RDONLY", "O_WRONLY", "O_RDWR", "O_RDWR", "O_RDWR"});
    const std::string more =
        one_of({"", "", "|O_CREAT", "|O_CREAT", "|O_CREAT|O_EXCL", "|O_TRUNC", "|O_CREAT|O_TRUNC",
                "|O_APPEND", "|O_CREAT|O_APPEND", "|O_NOFOLLOW", "|O_DIRECTORY", "|O_PATH"});
    return fmt::format("open {} {} {}{} {}", slot_of(guest_), name(), access, more,
                       one_of({"0644", "0600", "0666", "0755", "0"}));
}

std::string Draws::write_or_read() {
    switch (below(8)) {
        case 0:
            return fmt::format("write {} {}", slot(), data());
        case 1:
            return fmt::format("write {} {} {}", slot(), data(), data());
        case 2:
        case 3:
            return fmt::format("pwrite {} {} {}", slot(), offset(), data());
        case 4:
            return fmt::format("append {} {}", name(), data());
        case 5:
            return fmt::format("put {} {}", name(), data());
        case 6:
            return fmt::format("read {} {}", slot(), 1 + below(20'000));
        default:
            return fmt::format("pread {} {} {}", slot(), offset(), 1 + below(20'000));
    }
}

/// Never to the size that a file has, where local file systems do not agree about the times.
std::string Draws::resize() {
    const std::uint64_t length = 1 + below(20'000);
    switch (below(7)) {
        case 0:
        case 1:
            return fmt::format("truncate {} {}", name(), 1 + below(40'000));
        case 2:
            return fmt::format("ftruncate {} {}", slot(), 1 + below(40'000));
        case 3:
            return fmt::format(
                "fallocate {} {} {} {}", slot(),
                one_of({"0", "FALLOC_FL_KEEP_SIZE", "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE",
                        "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE"}),
                offset(), length);
        case 4:
            // Both of one guest, since a kernel sees two files where two mounts have one.
            return fmt::format("copy {} {} {} {} {}", slot_of(guest_), offset(), slot_of(guest_),
                               offset(), length);
        case 5:
            return fmt::format("lseek {} {} {}", slot(), offset(),
                               one_of({"SEEK_SET", "SEEK_CUR"}));
        default:
            return fmt::format("{} {}", one_of({"fsync", "fdatasync"}), slot());
    }
}

std::string Draws::change_names() {
    switch (below(11)) {
        case 0:
            return fmt::format("mkdir {} {}", name(), one_of({"0755", "0700", "01777", "02775"}));
        case 1:
            return "rmdir " + name();
        case 2:
        case 3:
            return "unlink " + name();
        case 4:
            return fmt::format("link {} {}", name(), name());
        case 5:
            return fmt::format("symlink {} {}", name(), name());
        case 6:
            return fmt::format("mknod {} {} 0644", name(), one_of({"S_IFREG", "S_IFSOCK"}));
        case 7:
        case 8:
            return fmt::format("rename {} {}", name(), name());
        case 9:
            return fmt::format("rename {} {} {}", name(), name(),
                               one_of({"RENAME_NOREPLACE", "RENAME_EXCHANGE"}));
        default:
            return one_of({"close ", "close ", "fsync "}) + slot();
    }
}

std::string Draws::change_attributes() {
    switch (below(8)) {
        case 0:
            return fmt::format("chmod {} {}", name(),
                               one_of({"0644", "0600", "0755", "06755", "04711", "0777", "0"}));
        case 1:
            return fmt::format("fchmod {} {}", slot(), one_of({"0644", "0666", "0755"}));
        case 2:
            return fmt::format("chown {} {} {}", name(), one_of({"0", "1000", "1001", "-1"}),
                               one_of({"0", "1000", "-1"}));
        case 3:
            return fmt::format("utimens {} {} {}", name(), one_of({"now", "omit", "1000"}),
                               one_of({"now", "omit", "2000:5", "3000"}));
        case 4:
            return fmt::format("setxattr {} user.{} {{v*{}}} {}", name(), one_of({"a", "b"}),
                               below(3000), one_of({"0", "0", "XATTR_CREATE", "XATTR_REPLACE"}));
        case 5:
            return fmt::format("removexattr {} user.{}", name(), one_of({"a", "b"}));
        case 6:
            return fmt::format("access {} {}", name(), one_of({"R_OK", "W_OK", "X_OK", "F_OK"}));
        default:
            return fmt::format("readlink {} 100", name());
    }
}

std::string Draws::map_or_lock(bool maps) {
    const std::string place = fmt::format("{} {}", below(10), below(10));
    if (maps && below(2) == 0) {
        switch (below(3)) {
            case 0:
                return fmt::format("mmap m {} PROT_READ|PROT_WRITE {} 0 8192", slot(),
                                   one_of({"MAP_SHARED", "MAP_SHARED", "MAP_PRIVATE"}));
            case 1:
                return "munmap m";
            default:
                // In a child, since it may lie beyond the end of the file.
                return fmt::format("child publish m {} {{{}*{}}}", below(4000),
                                   static_cast<char>('a' + below(26)), 1 + below(4000));
        }
    }
    if (below(2) == 0) {
        return fmt::format("flock {} {}", slot(), one_of({"LOCK_SH", "LOCK_EX", "LOCK_UN"}));
    }
    return fmt::format("ofd_setlk {} {} {}", slot(), one_of({"F_RDLCK", "F_WRLCK", "F_UNLCK"}),
                       place);
}

Case Draws::sequence(std::size_t steps) {
    Case made;
    made.name = "drawn";
    // tmpfs leaves the times of a file that is written through a mapping.
    made.no_times = below(2) == 0;
    const auto add = [&](const std::string& line) { made.steps.push_back(step_of(line + " = ?")); };
    for (const char* line : {"chmod . 0777", "mkdir d 0777", "put a text", "put d/a {x*9000}"}) {
        add(line);
    }
    while (made.steps.size() < steps) {
        guest_ = below(2);
        const std::uint64_t kind = below(20);
        const std::string step = kind < 4    ? open_file()
                                 : kind < 9  ? write_or_read()
                                 : kind < 12 ? resize()
                                 : kind < 16 ? change_names()
                                 : kind < 19 ? change_attributes()
                                             : map_or_lock(made.no_times && maps_);
        add(fmt::format("@{} {}{}", guest_, user(), step));
    }
    return made;
}

std::string shortest(Case one, const std::function<bool(const Case&)>& fails) {
    for (std::size_t i = one.steps.size(); i-- > 0;) {
        Case shorter = one;
        shorter.steps.erase(shorter.steps.begin() + static_cast<std::ptrdiff_t>(i));
        if (fails(shorter)) one = shorter;
    }
    std::string text = "case " + one.name + (one.no_times ? " [no times]\n" : "\n");
    for (const Step& step : one.steps) text += "    " + step.line + "\n";
    return text;
}

}  // namespace xenfs::real::mount::posix
