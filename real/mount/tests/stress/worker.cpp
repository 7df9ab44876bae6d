#include "real/mount/tests/stress/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace xenfs::real::mount::stress {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t largest = 60'000;

template <std::size_t size>
void set_text(std::array<char, size>& to, const std::string& text) {
    std::snprintf(to.data(), to.size(), "%s", text.c_str());
}

/// What a local file system answers where somebody else changes the same names at the same time.
bool others_cause(int error) {
    return error == ENOENT || error == EEXIST || error == ENOTEMPTY || error == EISDIR ||
           error == ENOTDIR || error == EINVAL;
}

}  // namespace

Worker::Worker(fs::path here, fs::path elsewhere, int number, std::uint64_t seed, Told& told)
    : here_(std::move(here)),
      elsewhere_(std::move(elsewhere)),
      directory_("own" + std::to_string(number)),
      random_(seed * 1000 + static_cast<std::uint64_t>(number)),
      told_(told) {}

void Worker::fault(const std::string& what) {
    if (told_.faults < told_.fault.size())
        set_text(told_.fault[told_.faults], directory_ + ": " + what);
    ++told_.faults;
}

void Worker::failed(const std::string& name, Where where) {
    if (where == Where::shared && others_cause(errno)) return;
    if (where == Where::shared && errno == ESTALE) {
        // Twice in a row the name was taken from the file that had just been looked up: the kernel
        // walks the path again once only.
        ++told_.stale;
        return;
    }
    const char* const error = strerrorname_np(errno);
    fault(fmt::format("{}{}: {}", name, where == Where::own ? "" : " in shared",
                      error == nullptr ? "?" : error));
}

/// Returns what `act` returns, and keeps how long it took.
template <class Act>
long Worker::timed(const char* name, Act act) {
    const auto start = std::chrono::steady_clock::now();
    const long result = act();
    const int error = errno;
    const double took_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++told_.operations;
    told_.longer_than_1s += took_s > 1 ? 1 : 0;
    told_.longer_than_100ms += took_s > 0.1 ? 1 : 0;
    if (took_s > told_.slowest_s) {
        told_.slowest_s = took_s;
        set_text(told_.slowest, name);
    }
    errno = error;
    return result;
}

std::string Worker::own_name() {
    return fmt::format("f{}", draw(8));
}

std::string Worker::shared_name() {
    static const char* const places[] = {"", "", "d0/", "d1/", "d0/d1/"};
    return fmt::format("{}s{}", places[draw(5)], draw(12));
}

void Worker::run(const std::atomic<bool>& stop) {
    if (mkdir((here_ / directory_).c_str(), 0755) != 0) failed("mkdir", Where::own);
    while (!stop) {
        if (draw(2) == 0) {
            work_alone();
        } else {
            work_together();
        }
    }
    compare_all();
}

void Worker::work_alone() {
    const std::string name = own_name();
    switch (draw(10)) {
        case 0:
        case 1:
        case 2:
            return write_own(name);
        case 3:
            return truncate_own(name);
        case 4:
            return rename_own(name, own_name());
        case 5:
            return link_own(name, own_name());
        case 6:
            return unlink_own(name);
        case 7:
            return directories_own();
        default:
            return read_own(name, draw(4) == 0 ? elsewhere_ : here_);
    }
}

void Worker::write_own(const std::string& name) {
    const bool appends = draw(4) == 0;
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | (appends ? O_APPEND : 0);
    const auto file = static_cast<int>(
        timed("open", [&] { return open(own(name).c_str(), flags, 0600 + draw(8) * 8); }));
    if (file < 0) return failed("open", Where::own);
    std::shared_ptr<std::string>& known = files_[name];
    if (known == nullptr) known = std::make_shared<std::string>();
    for (std::uint64_t i = draw(4); i < 4; ++i) {
        if (appends && known->size() > largest) break;
        const std::string data(1 + draw(draw(2) == 0 ? 100 : 9000),
                               static_cast<char>('a' + draw(26)));
        const std::size_t offset = appends ? known->size() : draw(largest - data.size());
        const long done = timed("write", [&] {
            return appends ? write(file, data.data(), data.size())
                           : pwrite(file, data.data(), data.size(), static_cast<off_t>(offset));
        });
        if (done != static_cast<long>(data.size())) {
            failed("write", Where::own);
            break;
        }
        known->resize(std::max(known->size(), offset + data.size()));
        known->replace(offset, data.size(), data);
    }
    if (draw(16) == 0 && timed("fsync", [&] { return fsync(file); }) != 0) {
        failed("fsync", Where::own);
    }
    if (timed("close", [&] { return close(file); }) != 0) failed("close", Where::own);
}

void Worker::truncate_own(const std::string& name) {
    const std::size_t size = draw(largest);
    const bool there = files_.contains(name);
    const long result =
        timed("truncate", [&] { return truncate(own(name).c_str(), static_cast<off_t>(size)); });
    if ((result == 0) != there) failed("truncate", Where::own);
    if (there) files_[name]->resize(size);
}

void Worker::read_own(const std::string& name, const fs::path& mount) {
    const auto known = files_.find(name);
    const std::string path = mount / directory_ / name;
    const auto file =
        static_cast<int>(timed("open", [&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    if ((file >= 0) != (known != files_.end())) failed("open to read", Where::own);
    if (file < 0 || known == files_.end()) return;
    std::string found(2 * largest, '?');
    const long got = timed("read", [&] { return pread(file, found.data(), found.size(), 0); });
    struct stat status {};
    if (fstat(file, &status) != 0) failed("fstat", Where::own);
    close(file);
    if (got < 0) return failed("read", Where::own);
    found.resize(static_cast<std::size_t>(got));
    if (found == *known->second && static_cast<std::size_t>(status.st_size) == found.size()) return;
    const auto differs =
        std::mismatch(found.begin(), found.end(), known->second->begin(), known->second->end());
    fault(fmt::format("content of {}: {} B of {}, st_size {}, differs at {}", name, got,
                      known->second->size(), status.st_size, differs.first - found.begin()));
}

void Worker::rename_own(const std::string& from, const std::string& to) {
    const bool there = files_.contains(from);
    const long result = timed("rename", [&] { return rename(own(from).c_str(), own(to).c_str()); });
    if ((result == 0) != there) failed("rename", Where::own);
    if (!there || from == to) return;
    // Two names of one file both stay.
    if (files_.contains(to) && files_[to] == files_[from]) return;
    files_[to] = files_[from];
    files_.erase(from);
}

void Worker::link_own(const std::string& from, const std::string& to) {
    const bool possible = files_.contains(from) && !files_.contains(to);
    const long result = timed("link", [&] { return link(own(from).c_str(), own(to).c_str()); });
    if ((result == 0) != possible) failed("link", Where::own);
    if (possible) files_[to] = files_[from];
}

void Worker::unlink_own(const std::string& name) {
    const long result = timed("unlink", [&] { return unlink(own(name).c_str()); });
    if ((result == 0) != files_.contains(name)) failed("unlink", Where::own);
    files_.erase(name);
}

void Worker::directories_own() {
    const bool makes = !has_directory_;
    const std::string name = own("d");
    const long result = makes ? timed("mkdir", [&] { return mkdir(name.c_str(), 0750); })
                              : timed("rmdir", [&] { return rmdir(name.c_str()); });
    if (result != 0) return failed(makes ? "mkdir" : "rmdir", Where::own);
    has_directory_ = makes;
}

void Worker::work_together() {
    const std::string name = shared(shared_name()), other = shared(shared_name());
    const std::string directory = shared(draw(3) == 0 ? "d0/d1" : draw(2) == 0 ? "d0" : "d1");
    const auto attempt = [&](const char* what, auto act) {
        if (timed(what, act) != 0) failed(what, Where::shared);
    };
    switch (draw(10)) {
        case 0:
        case 1:
        case 2:
            return write_shared(name);
        case 3:
            return attempt("truncate", [&] {
                return truncate(name.c_str(), static_cast<off_t>(draw(largest)));
            });
        case 4:
            return attempt("rename", [&] { return rename(name.c_str(), other.c_str()); });
        case 5:
            return attempt("link", [&] { return link(name.c_str(), other.c_str()); });
        case 6:
            return attempt("unlink", [&] { return unlink(name.c_str()); });
        case 7:
            return attempt("mkdir", [&] { return mkdir(directory.c_str(), 0755); });
        case 8:
            if (draw(4) != 0) return list_shared();
            return attempt("rmdir", [&] { return rmdir(directory.c_str()); });
        default:
            return attempt("chmod", [&] { return chmod(name.c_str(), 0600 + draw(8)); });
    }
}

void Worker::write_shared(const std::string& name) {
    const int flags = O_RDWR | O_CLOEXEC | (draw(2) == 0 ? O_CREAT : 0) |
                      (draw(4) == 0 ? O_TRUNC : 0) | (draw(4) == 0 ? O_APPEND : 0);
    const auto file =
        static_cast<int>(timed("open", [&] { return open(name.c_str(), flags, 0644); }));
    if (file < 0) return failed(fmt::format("open of {} with {:#o}", name, flags), Where::shared);
    const std::string data(1 + draw(9000), static_cast<char>('a' + draw(26)));
    const auto offset = static_cast<off_t>(draw(largest));
    if (timed("write", [&] { return pwrite(file, data.data(), data.size(), offset); }) !=
        static_cast<long>(data.size())) {
        failed("write to what is open", Where::own);
    }
    std::string found(20'000, '?');
    if (timed("read", [&] { return pread(file, found.data(), found.size(), offset); }) < 0) {
        failed("read of what is open", Where::own);
    }
    if (timed("close", [&] { return close(file); }) != 0) failed("close", Where::own);
}

void Worker::list_shared() {
    const std::string place = shared(draw(2) == 0 ? "" : "d0");
    DIR* const directory = opendir(place.c_str());
    if (directory == nullptr) return failed("opendir", Where::shared);
    const long error = timed("readdir", [&] {
        errno = 0;
        while (readdir(directory) != nullptr) {
        }
        return static_cast<long>(errno);
    });
    if (error != 0) failed("readdir", Where::shared);
    closedir(directory);
}

void Worker::compare_all() {
    for (int i = 0; i < 8; ++i) read_own(fmt::format("f{}", i), elsewhere_);
}

}  // namespace xenfs::real::mount::stress
