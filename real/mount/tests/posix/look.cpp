#include "real/mount/tests/posix/look.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "real/mount/tests/posix/words.h"

namespace xenfs::real::mount::posix {
namespace {

constexpr char between_fields = '\x1f', between_entries = '\x1e';

std::string attributes_of(const std::string& path) {
    std::string names(4096, '\0'), words;
    const ssize_t length = llistxattr(path.c_str(), names.data(), names.size());
    if (length <= 0) return "";
    std::set<std::string> sorted;
    for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
        sorted.insert(names.c_str() + at);
        at += sorted.find(names.c_str() + at)->size() + 1;
    }
    for (const std::string& name : sorted) {
        // What a security module adds is its own matter.
        if (name.starts_with("security.") && name != "security.capability") continue;
        std::string value(65536, '\0');
        const ssize_t bytes = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        value.resize(bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
        words += " " + name + "=" + (bytes < 0 ? error_word(errno) : shown(value));
    }
    return words;
}

std::string inside_of(const std::string& path, const struct stat& status) {
    if (S_ISLNK(status.st_mode)) {
        std::string target(8192, '\0');
        const ssize_t length = readlink(path.c_str(), target.data(), target.size());
        if (length < 0) return " -> " + error_word(errno);
        target.resize(static_cast<std::size_t>(length));
        return " -> " + shown(target);
    }
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        return " device " + std::to_string(major(status.st_rdev)) + ":" +
               std::to_string(minor(status.st_rdev));
    }
    if (!S_ISREG(status.st_mode)) return "";
    const int file = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
    if (file < 0) return " open: " + error_word(errno);
    const std::string content = content_of(file, status.st_size);
    close(file);
    return " " + content;
}

std::string record(const std::string& name, const Entry& entry) {
    std::string line;
    const auto field = [&](const std::string& text) { line += text + between_fields; };
    field(name);
    field(entry.words);
    field(entry.numbers);
    for (const Time& time : {entry.modified, entry.changed}) {
        field(std::to_string(time.seconds));
        field(std::to_string(time.nanoseconds));
    }
    return line + between_entries;
}

void walk(const std::string& directory, const std::string& name, std::string& out) {
    const std::string path = name == "." ? directory : directory + "/" + name;
    struct stat status {};
    Entry entry;
    if (lstat(path.c_str(), &status) != 0) {
        entry.words = "lstat: " + error_word(errno);
        out += record(name, entry);
        return;
    }
    entry.words = words_of(status) + inside_of(path, status) + attributes_of(path);
    entry.numbers = "inode " + std::to_string(status.st_ino) + " atime " +
                    std::to_string(status.st_atim.tv_sec) + "." +
                    std::to_string(status.st_atim.tv_nsec);
    entry.modified = {status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
    entry.changed = {status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
    std::vector<std::string> names;
    if (S_ISDIR(status.st_mode)) {
        const int directory_file = open(path.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC);
        DIR* const stream = fdopendir(directory_file);
        if (stream == nullptr) entry.words += " opendir: " + error_word(errno);
        while (stream != nullptr) {
            errno = 0;
            const dirent* const each = readdir(stream);
            if (each == nullptr) break;
            const std::string_view found = each->d_name;
            if (found != "." && found != "..") names.emplace_back(found);
        }
        if (stream != nullptr && errno != 0) entry.words += " readdir: " + error_word(errno);
        if (stream != nullptr) closedir(stream);
    }
    out += record(name, entry);
    std::sort(names.begin(), names.end());
    if (std::adjacent_find(names.begin(), names.end()) != names.end()) {
        out += record(name + "/a name that is listed twice", {});
    }
    for (const std::string& each : names) {
        walk(directory, name == "." ? each : name + "/" + each, out);
    }
}

Look parsed(const std::string& text) {
    Look look;
    std::istringstream entries(text);
    for (std::string line; std::getline(entries, line, between_entries);) {
        std::istringstream fields(line);
        std::array<std::string, 7> field;
        for (std::string& each : field) std::getline(fields, each, between_fields);
        look[field[0]] = {field[1], field[2], Time{std::stoll(field[3]), std::stol(field[4])},
                          Time{std::stoll(field[5]), std::stol(field[6])}};
    }
    return look;
}

bool send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

/// A text ends with a zero byte.
bool receive(int socket, std::string& text) {
    text.clear();
    std::array<char, 65536> part{};
    while (text.empty() || text.back() != '\0') {
        const ssize_t got = recv(socket, part.data(), part.size(), 0);
        if (got <= 0) return false;
        text.append(part.data(), static_cast<std::size_t>(got));
    }
    text.pop_back();
    return true;
}

std::string time_word(const Time& time, const Time* before) {
    // What is this far from now was set by a program.
    constexpr std::int64_t day_s = 86400;
    const std::int64_t now = std::time(nullptr);
    if (time.seconds < now - day_s || time.seconds > now + day_s) {
        return std::to_string(time.seconds) + "." + std::to_string(time.nanoseconds);
    }
    if (before == nullptr) return "new";
    return time == *before ? "stayed" : time < *before ? "went back" : "moved";
}

struct Moves {
    std::string modified, changed;
};

Moves moves_of(const std::string& name, const Entry& entry, const Look& before) {
    const auto found = before.find(name);
    const Entry* const old = found == before.end() ? nullptr : &found->second;
    return {time_word(entry.modified, old ? &old->modified : nullptr),
            time_word(entry.changed, old ? &old->changed : nullptr)};
}

std::string words_of(const Entry& entry, const Moves& moves) {
    return entry.words + ", mtime " + moves.modified + ", ctime " + moves.changed;
}

}  // namespace

std::string words_of(const struct stat& status) {
    static const std::map<mode_t, const char*> types = {
        {S_IFREG, "file"},    {S_IFDIR, "directory"}, {S_IFLNK, "link"},  {S_IFIFO, "fifo"},
        {S_IFSOCK, "socket"}, {S_IFCHR, "character"}, {S_IFBLK, "block"},
    };
    const auto type = types.find(status.st_mode & S_IFMT);
    std::array<char, 16> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", status.st_mode & 07777);
    std::string words = std::string(type == types.end() ? "?" : type->second) + " " + mode.data() +
                        " links " + std::to_string(status.st_nlink) + " of " +
                        std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid);
    // The size of a directory is the file system's own matter.
    if (!S_ISDIR(status.st_mode)) words += " size " + std::to_string(status.st_size);
    return words;
}

std::string content_of(int descriptor, off_t size) {
    constexpr off_t part = 128 * 1024;
    std::string bytes;
    std::vector<std::pair<off_t, off_t>> ranges = {{0, std::min(size + 1, 2 * part)}};
    if (size > 2 * part) ranges = {{0, part}, {size - part, part + 1}};
    for (const auto& [start, length] : ranges) {
        std::string buffer(static_cast<std::size_t>(length), '?');
        for (off_t done = 0; done < length;) {
            const ssize_t got = pread(descriptor, buffer.data(),
                                      static_cast<std::size_t>(length - done), start + done);
            if (got < 0) return "read: " + error_word(errno);
            if (got == 0) break;
            bytes.append(buffer.data(), static_cast<std::size_t>(got));
            done += got;
        }
    }
    return shown(bytes);
}

std::string difference(const Look& wanted, const Look& wanted_before, const Look& found,
                       const Look& found_before, bool with_times) {
    std::string lines;
    for (const auto& [name, entry] : wanted) {
        const Moves moves = moves_of(name, entry, wanted_before);
        const std::string expected = with_times ? words_of(entry, moves) : entry.words;
        const auto here = found.find(name);
        std::string got = "is not there";
        if (here != found.end()) {
            Moves here_moves = moves_of(name, here->second, found_before);
            // What was written reaches the tree later, and the tree's file system stamps it then.
            const bool late = entry.words.starts_with("file") && moves.changed == "stayed" &&
                              here_moves.changed == "moved";
            if (late) here_moves.changed = "stayed";
            got = with_times ? words_of(here->second, here_moves) : here->second.words;
        }
        if (got != expected)
            lines += name + ":\n   wanted " + expected + "\n    found " + got + "\n";
    }
    for (const auto& [name, entry] : found) {
        if (!wanted.contains(name)) lines += name + ": should not be there: " + entry.words + "\n";
    }
    return lines;
}

std::string disagreement(const Look& one, const Look& other) {
    const auto time = [](const Time& t) {
        return std::to_string(t.seconds) + "." + std::to_string(t.nanoseconds);
    };
    const auto exactly = [&](const Entry& entry) {
        return entry.words + ", " + entry.numbers + " mtime " + time(entry.modified);
    };
    std::string lines;
    for (const auto& [name, entry] : one) {
        const auto there = other.find(name);
        const std::string seen = there == other.end() ? "nothing" : exactly(there->second);
        if (seen != exactly(entry)) {
            lines += name + ":\n   one guest has " + exactly(entry) + "\n   the other has " + seen +
                     "\n";
        } else if (there->second.changed < entry.changed) {
            lines += name + ": its ctime went back from " + time(entry.changed) + " to " +
                     time(there->second.changed) + "\n";
        }
    }
    for (const auto& [name, entry] : other) {
        if (!one.contains(name)) lines += name + ": the other guest alone has it\n";
    }
    return lines;
}

Looker::Looker() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw std::runtime_error("no sockets");
    }
    process_ = fork();
    if (process_ == 0) {
        close(ends[0]);
        for (std::string path; receive(ends[1], path);) {
            std::string out;
            walk(path, ".", out);
            std::replace(out.begin(), out.end(), '\0', '?');
            if (!send_all(ends[1], out + '\0')) break;
        }
        _exit(0);
    }
    close(ends[1]);
    socket_ = ends[0];
}

Looker::~Looker() {
    close(socket_);
    waitpid(process_, nullptr, 0);
}

Look Looker::look(const std::string& directory) const {
    std::string text;
    if (!send_all(socket_, directory + '\0') || !receive(socket_, text)) {
        throw std::runtime_error("the looker has died");
    }
    return parsed(text);
}

}  // namespace xenfs::real::mount::posix
