// xenfs-mount mounts a FUSE file system over the XenFS client. See xenfs-mount(8).
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "real/mount/mount.h"
#include "real/mount/remount.h"

namespace {

using namespace xenfs::real::mount;

int fail(const std::string& sentence, int code) {
    std::fprintf(stderr, "xenfs-mount: %s\n", sentence.c_str());
    return code;
}

/// Daemon forks at once, so that threads are made in the process that stays. The caller's process
/// waits until it is told that the mount stands, and exits with the code that it is told.
class Background {
  public:
    /// Does not return in the caller's process.
    Background() {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) throw MountError(std::strerror(errno));
        const pid_t child = fork();
        if (child < 0) throw MountError(std::strerror(errno));
        if (child > 0) {
            close(ends[1]);
            unsigned char code = 1;  // the code where the child dies before it reports
            while (read(ends[0], &code, 1) < 0 && errno == EINTR) {
            }
            _exit(code);
        }
        close(ends[0]);
        word_ = ends[1];
        setsid();
    }
    void stands() {
        const int null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; ++i) dup2(null, i);
        if (null > 2) close(null);
        (void)!chdir("/");
        say(0);
    }
    int failed(int code) {
        say(static_cast<unsigned char>(code));
        return code;
    }

  private:
    void say(unsigned char code) {
        (void)!write(word_, &code, 1);
        close(word_);
    }
    int word_ = -1;
};

/// Blocks the signals that end the mount in every thread but the main one.
sigset_t ending_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
    return set;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    try {
        bool help = false, version = false;
        options = parse_options(std::vector<std::string>(argv + 1, argv + argc), help, version);
        if (help) {
            std::fputs(usage().c_str(), stdout);
            return 0;
        }
        if (version) {
            std::printf("xenfs-mount %s\n", XENFS_VERSION);
            return 0;
        }
    } catch (const MountError& error) {
        return fail(error.what(), 2);
    }
    if (options.remount) {
        try {
            remount(options);
            return 0;
        } catch (const MountError& error) {
            return fail(error.what(), 1);
        }
    }
    // This is systemd's convention for a program of the initrd on which the root file system
    // depends: it is not killed with the others at the end.
    if (access("/etc/initrd-release", F_OK) == 0) argv[0][0] = '@';
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    std::unique_ptr<Background> background;
    try {
        if (!options.foreground) background = std::make_unique<Background>();
    } catch (const MountError& error) {
        return fail(error.what(), 1);
    }
    const sigset_t ending = ending_signals();
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    std::unique_ptr<Mount> mount;
    try {
        mount = std::make_unique<Mount>(options);
    } catch (const std::exception& error) {
        const int code = fail(error.what(), 1);
        return background ? background->failed(code) : code;
    }
    if (background) background->stands();
    pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
    return mount->run();
}
