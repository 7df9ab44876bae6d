#include "real/mount/tests/stress/stress.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <new>
#include <stdexcept>
#include <thread>

#include "real/mount/tests/mount_rig.h"
#include "real/mount/tests/posix/look.h"
#include "real/mount/tests/stress/worker.h"

namespace xenfs::real::mount::stress {
namespace {

/// What parent and processes share: the order to stop, and what each process tells.
class Board {
  public:
    explicit Board(std::size_t processes)
        : bytes_(sizeof(std::atomic<bool>) + sizeof(Told) * (processes + 1)),
          memory_(
              mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) throw std::runtime_error("no memory to share");
        told_ = static_cast<Told*>(memory_);
        for (std::size_t i = 0; i < processes; ++i) new (told_ + i) Told;
        stop_ = new (told_ + processes) std::atomic<bool>(false);
    }
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;
    ~Board() { munmap(memory_, bytes_); }
    std::atomic<bool>& stop() const { return *stop_; }
    Told& told(std::size_t process) const { return told_[process]; }

  private:
    std::size_t bytes_;
    void* memory_;
    Told* told_ = nullptr;
    std::atomic<bool>* stop_ = nullptr;
};

void collect(const Told& told, Report& report) {
    report.operations += told.operations;
    report.stale += told.stale;
    report.longer_than_1s += told.longer_than_1s;
    report.longer_than_100ms += told.longer_than_100ms;
    if (told.slowest_s > report.slowest_s) {
        report.slowest_s = told.slowest_s;
        report.slowest = told.slowest.data();
    }
    const auto shown = std::min<std::size_t>(told.faults, told.fault.size());
    for (std::size_t i = 0; i < shown; ++i) report.faults.emplace_back(told.fault[i].data());
    if (told.faults > shown) {
        report.faults.push_back(fmt::format("... and {} more", told.faults - shown));
    }
}

/// Says where a tree is not the first guest's. Times and the root itself are left out.
void compare(const char* what, const posix::Look& first, const posix::Look& other, Report& report) {
    constexpr std::size_t most = 20;
    const auto add = [&](const std::string& line) {
        if (report.faults.size() < most) report.faults.push_back(fmt::format("{}: {}", what, line));
    };
    for (const auto& [name, entry] : first) {
        if (name == ".") continue;
        const auto found = other.find(name);
        if (found == other.end()) {
            add(name + " is not there");
        } else if (found->second.words != entry.words) {
            add(name + ": " + found->second.words + ", in the first guest " + entry.words);
        }
    }
    for (const auto& [name, entry] : other) {
        // The server keeps files without a name there.
        if (!first.contains(name) && !name.starts_with(".xenfs"))
            add(name + " should not be there");
    }
}

}  // namespace

Report run(const Options& options) {
    const posix::Looker looker;  // first, since it forks
    RigOptions rig_options;
    rig_options.mount_options = options.mount_options;
    rig_options.tree = options.tree;
    rig_options.server.ack_timeout = static_cast<Nanoseconds>(options.ack_timeout_s * 1e9);
    rig_options.patience_s = static_cast<int>(options.seconds) + 600;
    MountRig rig(rig_options);
    if (mkdir(rig.at(0, "shared").c_str(), 0755) != 0) throw std::runtime_error("no directory");
    const auto count = static_cast<std::size_t>(options.processes);
    const Board board(count);
    std::vector<pid_t> processes;
    for (std::size_t i = 0; i < count; ++i) {
        processes.push_back(fork());
        if (processes.back() != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        Worker(rig.at(i % 2), rig.at(1 - i % 2), static_cast<int>(i), options.seed, board.told(i))
            .run(board.stop());
        _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
    board.stop() = true;
    Report report;
    for (std::size_t i = 0; i < count; ++i) {
        if (const int code = finish_program(processes[i]); code != 0) {
            report.faults.push_back(fmt::format("process {} ended with {}", i, code));
        }
        collect(board.told(i), report);
    }
    report.unanswered = rig.server_stats().ack_timeouts;
    const posix::Look first = looker.look(rig.at(0)), second = looker.look(rig.at(1));
    report.names = first.size();
    compare("the second guest", first, second, report);
    for (std::size_t guest = 0; guest < 2; ++guest) {
        if (rig.end_guest(guest, SIGTERM) != 0) report.faults.emplace_back("a mount ended badly");
    }
    rig.stop_server();
    compare("the tree", first, looker.look(rig.tree()), report);
    return report;
}

std::string text_of(const Report& report) {
    std::string text = fmt::format(
        "{} operations; the longest took {:.3f} s ({}), {} more than 1 s, {} more than 0.1 s\n"
        "{} opens of what others replaced at the time answered ESTALE\n"
        "{} notices that a guest did not answer in time\n"
        "{} names compared in both guests and the tree\n",
        report.operations, report.slowest_s, report.slowest, report.longer_than_1s,
        report.longer_than_100ms, report.stale, report.unanswered, report.names);
    for (const std::string& fault : report.faults) text += "FAULT " + fault + "\n";
    return text;
}

}  // namespace xenfs::real::mount::stress
