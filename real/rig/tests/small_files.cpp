// `xenfs-small-files PLACE NAME FILES` makes FILES small files in PLACE/NAME and gives each its
// name by a rename; it moves every fourth beside PLACE/NAME, where others do the same, and removes
// every fourth; then it lists what is left and prints how long that took. It is a program and not a
// script, since under emulation a process takes longer to start than a dozen files to make.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

[[noreturn]] void fail(const char* what, const std::string& path) {
    std::fprintf(stderr, "%s %s: %s\n", what, path.c_str(), std::strerror(errno));
    std::exit(1);
}

void make(const std::string& path, const std::string& text) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file < 0) fail("create", path);
    if (write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        fail("write", path);
    }
    if (close(file) != 0) fail("close", path);
}

void move(const std::string& from, const std::string& to) {
    if (rename(from.c_str(), to.c_str()) != 0) fail("rename", from);
}

long count(const std::string& path) {
    DIR* const directory = opendir(path.c_str());
    if (directory == nullptr) fail("list", path);
    long entries = 0;
    while (const dirent* const entry = readdir(directory)) entries += entry->d_name[0] != '.';
    closedir(directory);
    return entries;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return std::fprintf(stderr, "usage: xenfs-small-files PLACE NAME FILES\n"), 2;
    using Clock = std::chrono::steady_clock;
    const std::string place = std::string(argv[1]) + "/", name = argv[2], own = place + name + "/";
    const long files = std::strtol(argv[3], nullptr, 10);
    if (mkdir(own.c_str(), 0755) != 0) fail("mkdir", own);
    const auto start = Clock::now();
    auto told = start;
    const auto seconds = [&] {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    for (long number = 1; number <= files; ++number) {
        const std::string text = std::to_string(number);
        make(own + "new" + text, name + " wrote " + text + "\n");
        move(own + "new" + text, own + "file" + text);
        if (number % 4 == 0 && unlink((own + "file" + text).c_str()) != 0)
            fail("remove", own + text);
        if (number % 4 == 1) move(own + "file" + text, place + name + "-" + text);
        if (Clock::now() - told < std::chrono::seconds(60)) continue;
        told = Clock::now();
        std::fprintf(stderr, "%s: %ld of %ld files, %.0f s\n", name.c_str(), number, files,
                     seconds());
    }
    const double made = seconds();
    const long left = count(own), expected = files - files / 4 - (files + 3) / 4;
    std::printf(
        "%s: %ld files made, renamed, moved, removed in %.1f s, %.1f a second; %ld listed in %.1f "
        "s\n",
        name.c_str(), files, made, static_cast<double>(files) / made, left, seconds() - made);
    if (left == expected) return 0;
    std::fprintf(stderr, "%s: %ld should be there\n", own.c_str(), expected);
    return 1;
}
