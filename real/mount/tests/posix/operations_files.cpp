// Operations on open files: what they read, write, cut and allocate.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "real/mount/tests/posix/words.h"
#include "real/mount/tests/posix/world.h"

namespace xenfs::real::mount::posix {
namespace {

/// Buffers of the given lengths, for a read.
class Buffers {
  public:
    explicit Buffers(const std::vector<std::size_t>& lengths) {
        for (const std::size_t length : lengths) texts_.emplace_back(length, '?');
        point();
    }
    explicit Buffers(std::vector<std::string> texts) : texts_(std::move(texts)) { point(); }
    const iovec* vectors() const { return vectors_.data(); }
    int count() const { return static_cast<int>(vectors_.size()); }
    /// Returns what was read into them, or the error.
    std::string filled(ssize_t got) const {
        if (got < 0) return error_word(errno);
        std::string all;
        for (const std::string& text : texts_) all += text;
        all.resize(static_cast<std::size_t>(got));
        return shown(all);
    }

  private:
    void point() {
        for (std::string& text : texts_) vectors_.push_back({text.data(), text.size()});
    }
    std::vector<std::string> texts_;
    std::vector<iovec> vectors_;
};

/// The buffers that the words from `first` on describe.
Buffers to_write(const Words& words, std::size_t first) {
    std::vector<std::string> texts;
    for (std::size_t i = first; i < words.size(); ++i) texts.push_back(bytes_of(words[i]));
    return Buffers(std::move(texts));
}
Buffers to_read(const Words& words, std::size_t first) {
    std::vector<std::size_t> lengths;
    for (std::size_t i = first; i < words.size(); ++i) {
        lengths.push_back(static_cast<std::size_t>(value_of(words[i])));
    }
    return Buffers(lengths);
}

std::string opened(World& world, const std::string& slot, int descriptor) {
    if (descriptor < 0) return error_word(errno);
    world.replace(slot, descriptor);
    return "0";
}

mode_t mode_of(const Words& words, std::size_t at) {
    return words.size() > at ? static_cast<mode_t>(value_of(words[at])) : 0644;
}

/// An offset, or nothing where the file's own is meant ("-").
struct Offset {
    explicit Offset(const std::string& word) : own(word == "-"), at(own ? 0 : value_of(word)) {}
    off_t* pointer() { return own ? nullptr : &at; }
    bool own;
    off_t at;
};

std::string put(World& world, const Words& words, int flags) {
    const int file =
        open(world.path(words[0]).c_str(), flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return error_word(errno);
    const std::string text = bytes_of(words[1]);
    const std::string outcome = outcome_of(write(file, text.data(), text.size()));
    return close(file) == 0 ? outcome : "close: " + error_word(errno);
}

}  // namespace

void add_file_operations(Operations& table) {
    // open SLOT PATH FLAGS [MODE]; openat SLOT DIRECTORY PATH FLAGS [MODE]
    table["open"] = {3, 4, [](World& world, const Words& words) {
                         const auto flags = static_cast<int>(value_of(words[2])) | O_CLOEXEC;
                         return opened(
                             world, words[0],
                             open(world.path(words[1]).c_str(), flags, mode_of(words, 3)));
                     }};
    table["openat"] = {4, 5, [](World& world, const Words& words) {
                           const auto flags = static_cast<int>(value_of(words[3])) | O_CLOEXEC;
                           return opened(world, words[0],
                                         openat(world.slot(words[1]), bytes_of(words[2]).c_str(),
                                                flags, mode_of(words, 4)));
                       }};
    // reopen SLOT OTHER FLAGS: opens what the other slot has once more, by /proc/self/fd
    table["reopen"] = {3, 3, [](World& world, const Words& words) {
                           const std::string link =
                               "/proc/self/fd/" + std::to_string(world.slot(words[1]));
                           const auto flags = static_cast<int>(value_of(words[2])) | O_CLOEXEC;
                           return opened(world, words[0], open(link.c_str(), flags));
                       }};
    table["close"] = {1, 1, [](World& world, const Words& words) {
                          const std::string outcome = outcome_of(close(world.slot(words[0])));
                          world.slot(words[0]) = -1;
                          return outcome;
                      }};
    table["dup"] = {2, 2, [](World& world, const Words& words) {
                        return opened(world, words[0],
                                      fcntl(world.slot(words[1]), F_DUPFD_CLOEXEC, 0));
                    }};
    // setfl SLOT FLAGS
    table["setfl"] = {
        2, 2, [](World& world, const Words& words) {
            return outcome_of(fcntl(world.slot(words[0]), F_SETFL, value_of(words[1])));
        }};
    // put PATH BYTES, append PATH BYTES: makes or empties the file, opens it to append
    table["put"] = {2, 2,
                    [](World& world, const Words& words) { return put(world, words, O_TRUNC); }};
    table["append"] = {
        2, 2, [](World& world, const Words& words) { return put(world, words, O_APPEND); }};
    // write SLOT BYTES..., pwrite SLOT OFFSET BYTES...; more than one word of bytes: a vector
    table["write"] = {
        2, 9, [](World& world, const Words& words) {
            const Buffers buffers = to_write(words, 1);
            return outcome_of(writev(world.slot(words[0]), buffers.vectors(), buffers.count()));
        }};
    table["pwrite"] = {3, 9, [](World& world, const Words& words) {
                           const Buffers buffers = to_write(words, 2);
                           return outcome_of(pwritev(world.slot(words[0]), buffers.vectors(),
                                                     buffers.count(), value_of(words[1])));
                       }};
    // read SLOT LENGTH..., pread SLOT OFFSET LENGTH...
    table["read"] = {
        2, 9, [](World& world, const Words& words) {
            const Buffers buffers = to_read(words, 1);
            return buffers.filled(readv(world.slot(words[0]), buffers.vectors(), buffers.count()));
        }};
    table["pread"] = {3, 9, [](World& world, const Words& words) {
                          const Buffers buffers = to_read(words, 2);
                          return buffers.filled(preadv(world.slot(words[0]), buffers.vectors(),
                                                       buffers.count(), value_of(words[1])));
                      }};
    table["lseek"] = {3, 3, [](World& world, const Words& words) {
                          return outcome_of(lseek(world.slot(words[0]), value_of(words[1]),
                                                  static_cast<int>(value_of(words[2]))));
                      }};
    table["truncate"] = {
        2, 2, [](World& world, const Words& words) {
            return outcome_of(truncate(world.path(words[0]).c_str(), value_of(words[1])));
        }};
    table["ftruncate"] = {
        2, 2, [](World& world, const Words& words) {
            return outcome_of(ftruncate(world.slot(words[0]), value_of(words[1])));
        }};
    table["fsync"] = {1, 1, [](World& world, const Words& words) {
                          return outcome_of(fsync(world.slot(words[0])));
                      }};
    table["fdatasync"] = {1, 1, [](World& world, const Words& words) {
                              return outcome_of(fdatasync(world.slot(words[0])));
                          }};
    // fallocate SLOT MODE OFFSET LENGTH
    table["fallocate"] = {
        4, 4, [](World& world, const Words& words) {
            return outcome_of(fallocate(world.slot(words[0]), static_cast<int>(value_of(words[1])),
                                        value_of(words[2]), value_of(words[3])));
        }};
    // copy SLOT OFFSET SLOT OFFSET LENGTH, sendfile SLOT SLOT OFFSET LENGTH: from, to or to, from
    table["copy"] = {5, 5, [](World& world, const Words& words) {
                         Offset from(words[1]), to(words[3]);
                         return outcome_of(copy_file_range(
                             world.slot(words[0]), from.pointer(), world.slot(words[2]),
                             to.pointer(), static_cast<std::size_t>(value_of(words[4])), 0));
                     }};
    table["sendfile"] = {
        4, 4, [](World& world, const Words& words) {
            Offset from(words[2]);
            return outcome_of(sendfile(world.slot(words[0]), world.slot(words[1]), from.pointer(),
                                       static_cast<std::size_t>(value_of(words[3]))));
        }};
}

}  // namespace xenfs::real::mount::posix
