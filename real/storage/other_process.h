#pragma once
// For tests: somebody else on this machine, who changes the tree past the storage.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace xenfs::real::storage {

/// Runs it in a process of its own, to its end.
inline void by_other(const std::function<bool()>& work) {
    const pid_t child = fork();
    if (child == 0) {
        bool done = false;
        try {
            done = work();
        } catch (const std::exception&) {
        }
        _exit(done ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << "the other process has failed";
}

/// Writes the file anew in place, as `echo TEXT > PATH` does.
inline void other_writes(const std::filesystem::path& path, const std::string& text) {
    by_other([&] { return static_cast<bool>(std::ofstream(path) << text << std::flush); });
}

/// Stores the text through a shared mapping.
inline void other_maps_and_writes(const std::filesystem::path& path, const std::string& text) {
    by_other([&] {
        const int file = open(path.c_str(), O_RDWR);
        void* const at = mmap(nullptr, text.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file < 0 || at == MAP_FAILED) return false;
        close(file);
        text.copy(static_cast<char*>(at), text.size());
        return munmap(at, text.size()) == 0;
    });
}

}  // namespace xenfs::real::storage
