#include "real/mount/tests/posix/words.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>

namespace xenfs::real::mount::posix {
namespace {

#define WORD(name) \
    { #name, name }
const std::map<std::string, std::int64_t, std::less<>> constants = {
    WORD(O_RDONLY),
    WORD(O_WRONLY),
    WORD(O_RDWR),
    WORD(O_CREAT),
    WORD(O_EXCL),
    WORD(O_TRUNC),
    WORD(O_APPEND),
    WORD(O_DIRECTORY),
    WORD(O_NOFOLLOW),
    WORD(O_PATH),
    WORD(O_SYNC),
    WORD(O_DSYNC),
    WORD(O_NONBLOCK),
    WORD(O_NOATIME),
    WORD(SEEK_SET),
    WORD(SEEK_CUR),
    WORD(SEEK_END),
    WORD(SEEK_DATA),
    WORD(SEEK_HOLE),
    WORD(RENAME_NOREPLACE),
    WORD(RENAME_EXCHANGE),
    WORD(RENAME_WHITEOUT),
    WORD(XATTR_CREATE),
    WORD(XATTR_REPLACE),
    WORD(FALLOC_FL_KEEP_SIZE),
    WORD(FALLOC_FL_PUNCH_HOLE),
    WORD(FALLOC_FL_ZERO_RANGE),
    WORD(FALLOC_FL_COLLAPSE_RANGE),
    WORD(FALLOC_FL_INSERT_RANGE),
    WORD(FALLOC_FL_UNSHARE_RANGE),
    WORD(AT_SYMLINK_FOLLOW),
    WORD(AT_SYMLINK_NOFOLLOW),
    WORD(AT_EMPTY_PATH),
    WORD(AT_REMOVEDIR),
    WORD(LOCK_SH),
    WORD(LOCK_EX),
    WORD(LOCK_UN),
    WORD(F_RDLCK),
    WORD(F_WRLCK),
    WORD(F_UNLCK),
    WORD(PROT_READ),
    WORD(PROT_WRITE),
    WORD(MAP_SHARED),
    WORD(MAP_PRIVATE),
    WORD(R_OK),
    WORD(W_OK),
    WORD(X_OK),
    WORD(F_OK),
    WORD(S_IFREG),
    WORD(S_IFDIR),
    WORD(S_IFIFO),
    WORD(S_IFSOCK),
    WORD(S_IFCHR),
    WORD(S_IFBLK),
    WORD(S_IFLNK),
};
#undef WORD

[[noreturn]] void wrong(std::string_view word) {
    throw std::invalid_argument("no such value: " + std::string(word));
}

/// One number, in octal or hexadecimal as in C, with K, M, G, T or P behind it; or a constant.
std::int64_t term(std::string_view word) {
    if (word.empty()) wrong(word);
    if (const auto found = constants.find(word); found != constants.end()) return found->second;
    const std::string text(word);
    char* end = nullptr;
    const std::int64_t number = std::strtoll(text.c_str(), &end, 0);
    if (end == text.c_str()) wrong(word);
    if (*end == '\0') return number;
    const char* const units = "KMGTP";
    const char* const unit = std::strchr(units, *end);
    if (unit == nullptr || end[1] != '\0') wrong(word);
    return number << (10 * (unit - units + 1));
}

std::string pattern(std::size_t length) {
    std::string made(length, 0);
    for (std::size_t i = 0; i < length; ++i)
        made[i] = static_cast<char>('a' + (i / 7 + i / 4096) % 26);
    return made;
}

}  // namespace

std::vector<std::string> words_of(std::string_view line) {
    std::istringstream in{std::string(line)};
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

std::int64_t value_of(std::string_view word) {
    if (const auto bar = word.find('|'); bar != std::string_view::npos) {
        return value_of(word.substr(0, bar)) | value_of(word.substr(bar + 1));
    }
    const auto sign = word.find_last_of("+-");
    if (sign == std::string_view::npos || sign == 0) return term(word);
    const std::int64_t last = term(word.substr(sign + 1));
    return value_of(word.substr(0, sign)) + (word[sign] == '-' ? -last : last);
}

std::string bytes_of(std::string_view word) {
    if (word == "''") return "";
    std::string made;
    while (!word.empty()) {
        const auto open = word.find('{');
        const auto shut = word.find('}', open);
        if (shut == std::string_view::npos) return made + std::string(word);
        made += word.substr(0, open);
        const std::string_view inner = word.substr(open + 1, shut - open - 1);
        const auto star = inner.find_last_of('*');
        if (inner.starts_with('#')) {
            made += pattern(static_cast<std::size_t>(value_of(inner.substr(1))));
        } else if (star == std::string_view::npos) {
            wrong(word);
        } else {
            for (auto times = value_of(inner.substr(star + 1)); times > 0; --times) {
                made += inner.substr(0, star);
            }
        }
        word.remove_prefix(shut + 1);
    }
    return made;
}

std::string shown(std::string_view bytes) {
    std::string out;
    const std::size_t length = bytes.size();
    const std::size_t hash = std::hash<std::string_view>()(bytes);
    while (!bytes.empty() && out.size() < 160) {
        const char first = bytes.front();
        const auto run = static_cast<std::size_t>(
            std::find_if(bytes.begin(), bytes.end(), [&](char c) { return c != first; }) -
            bytes.begin());
        const std::string_view one = first == '\0' ? "\\0" : bytes.substr(0, 1);
        if (run > 3) {
            out.append(" ").append(one).append("*").append(std::to_string(run)).append(" ");
        } else {
            for (std::size_t i = 0; i < run; ++i) out.append(one);
        }
        bytes.remove_prefix(run);
    }
    if (!bytes.empty()) {
        out.append("... ")
            .append(std::to_string(length))
            .append(" B #")
            .append(std::to_string(hash));
    }
    return out.insert(0, 1, '\'').append(1, '\'');
}

std::string error_word(int error) {
    const char* const name = strerrorname_np(error);
    return name != nullptr ? name : "errno " + std::to_string(error);
}

std::string outcome_of(std::int64_t returned) {
    return returned < 0 ? error_word(errno) : std::to_string(returned);
}

}  // namespace xenfs::real::mount::posix
