#include "real/mount/tests/posix/world.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <stdexcept>

#include "real/mount/tests/posix/look.h"
#include "real/mount/tests/posix/words.h"

namespace xenfs::real::mount::posix {
namespace {

/// Makes this thread another user's. The system calls themselves change no other thread, so the
/// rig's server, which runs in this process, stays what it is, and the thread can come back.
class InTheNameOf {
  public:
    InTheNameOf(uid_t uid, const std::vector<gid_t>& groups) : changed_(uid != 0) {
        if (!changed_) return;
        const long failed = syscall(SYS_setgroups, groups.size() - 1, groups.data() + 1) |
                            syscall(SYS_setresgid, -1, groups[0], -1) |
                            syscall(SYS_setresuid, -1, uid, -1);
        if (failed != 0) throw std::runtime_error("the user cannot be changed");
    }
    InTheNameOf(const InTheNameOf&) = delete;
    InTheNameOf& operator=(const InTheNameOf&) = delete;
    ~InTheNameOf() {
        if (!changed_) return;
        const gid_t none = 0;
        (void)syscall(SYS_setresuid, -1, 0, -1);
        (void)syscall(SYS_setresgid, -1, 0, -1);
        (void)syscall(SYS_setgroups, 0, &none);
    }

  private:
    bool changed_;
};

/// Returns what `act` returns, from a process that ends then.
template <class Act>
std::string in_child(Act act) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        const std::string outcome = act();
        (void)!write(ends[1], outcome.data(), outcome.size());
        _exit(0);
    }
    close(ends[1]);
    std::string outcome(4096, '\0');
    const ssize_t got = read(ends[0], outcome.data(), outcome.size());
    outcome.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) return std::string("SIG") + sigabbrev_np(WTERMSIG(status));
    return outcome;
}

}  // namespace

World::~World() {
    for (const auto& [name, mapping] : mappings) {
        if (mapping.start != nullptr) munmap(mapping.start, mapping.length);
    }
    for (const auto& [name, reading] : readings) {
        if (reading.stream != nullptr) closedir(reading.stream);
    }
    for (const auto& [name, descriptor] : slots_) {
        if (descriptor >= 0) close(descriptor);
    }
}

std::string World::path(const std::string& word) const {
    const std::string bytes = bytes_of(word);
    return bytes.empty() ? bytes : view() + "/" + bytes;
}

void World::replace(const std::string& word, int descriptor) {
    int& held = slot(word);
    if (held >= 0) close(held);
    held = descriptor;
}

std::string World::take(const Step& step, std::size_t guest) {
    guest_ = guest % views_.size();
    const auto found = operations().find(step.words.at(0));
    const std::size_t given = step.words.size() - 1;
    if (found == operations().end() || given < found->second.least || given > found->second.most) {
        throw std::invalid_argument("no such operation: " + step.line);
    }
    const Words arguments(step.words.begin() + 1, step.words.end());
    const auto act = [&] {
        const InTheNameOf user(step.uid, step.groups);
        return found->second.run(*this, arguments);
    };
    return step.child ? in_child(act) : act();
}

std::vector<std::string> World::open_files() const {
    std::vector<std::string> all;
    for (const auto& [name, descriptor] : slots_) {
        if (descriptor < 0) continue;
        struct stat status {};
        std::string words = name + ": ";
        if (fstat(descriptor, &status) != 0) {
            words += error_word(errno);
        } else {
            words += words_of(status);
            const int flags = fcntl(descriptor, F_GETFL);
            if (S_ISREG(status.st_mode) && (flags & O_PATH) == 0) {
                words += " at " + outcome_of(lseek(descriptor, 0, SEEK_CUR));
                if ((flags & O_ACCMODE) != O_WRONLY) {
                    words += " " + content_of(descriptor, status.st_size);
                }
            }
        }
        all.push_back(words);
    }
    return all;
}

const Operations& operations() {
    static const Operations all = [] {
        Operations table;
        add_file_operations(table);
        add_name_operations(table);
        add_attribute_operations(table);
        add_lock_operations(table);
        add_mapping_operations(table);
        add_directory_operations(table);
        return table;
    }();
    return all;
}

}  // namespace xenfs::real::mount::posix
