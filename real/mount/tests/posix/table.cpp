#include "real/mount/tests/posix/table.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "real/mount/tests/posix/words.h"

namespace xenfs::real::mount::posix {
namespace {

namespace fs = std::filesystem;

/// Waits until files would get a later time than any that has been given, so that each step's is
/// its own. The kernel stamps by the coarse clock, which may be behind by more than a tick; a
/// mount's writes are stamped by the fine one.
void let_time_pass() {
    const auto now = [](clockid_t clock) {
        timespec time{};
        clock_gettime(clock, &time);
        return std::pair(time.tv_sec, time.tv_nsec);
    };
    for (const auto start = now(CLOCK_REALTIME); now(CLOCK_REALTIME_COARSE) <= start;) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

/// One directory in all places, for one case.
class Ground {
  public:
    explicit Ground(const Places& places) : places_(places) {
        static int number = 0;
        name_ = "/case" + std::to_string(number++);
        for (const std::string& each : {places.local, places.mounts[0]}) {
            if (mkdir((each + name_).c_str(), 0755) != 0 ||
                chmod((each + name_).c_str(), 0755) != 0) {
                throw std::runtime_error(each + name_ + ": " + error_word(errno));
            }
        }
    }
    Ground(const Ground&) = delete;
    Ground& operator=(const Ground&) = delete;
    ~Ground() {
        for (const std::string& each : {places_.local, places_.mounts[0]}) {
            std::error_code none;
            fs::remove_all(each + name_, none);
        }
    }
    std::string local() const { return places_.local + name_; }
    std::vector<std::string> mounts() const {
        std::vector<std::string> all;
        for (const std::string& each : places_.mounts) all.push_back(each + name_);
        return all;
    }

  private:
    Places places_;
    std::string name_;
};

bool is_error(const std::string& outcome) {
    return outcome.size() > 1 && outcome[0] == 'E' && outcome[1] >= 'A' && outcome[1] <= 'Z';
}

/// Returns what is wrong with the outcome in the local file system.
std::string unexpected(const Step& step, const std::string& outcome) {
    if (step.expected == "?") return "";
    if (step.expected.empty()) {
        return is_error(outcome) ? "the local file system: " + outcome + "\n" : "";
    }
    return outcome == step.expected ? "" : "the local file system: " + outcome + "\n";
}

std::string difference_of_files(const std::vector<std::string>& wanted,
                                const std::vector<std::string>& found) {
    std::string lines;
    for (std::size_t i = 0; i < wanted.size() || i < found.size(); ++i) {
        const std::string one = i < wanted.size() ? wanted[i] : "none";
        const std::string other = i < found.size() ? found[i] : "none";
        if (one != other)
            lines += "what is open:\n   wanted " + one + "\n    found " + other + "\n";
    }
    return lines;
}

class Play {
  public:
    Play(const Case& one, const Places& places, const Player& player)
        : case_(one),
          player_(player),
          ground_(places),
          here_({ground_.local()}),
          there_(ground_.mounts()),
          here_before_(player.looker.look(ground_.local())),
          there_before_(player.looker.look(ground_.mounts()[0])) {}

    std::string run() {
        umask(022);
        const std::size_t guests = ground_.mounts().size();
        for (std::size_t i = 0; i < case_.steps.size(); ++i) {
            const Step& step = case_.steps[i];
            const std::size_t guest =
                (step.guest >= 0 ? static_cast<std::size_t>(step.guest) : i) % guests;
            const bool looks = !case_.looked_at_last || i + 1 == case_.steps.size();
            const std::string wrong = take(step, guest, looks);
            if (wrong.empty()) continue;
            std::string text = "case " + case_.name + "\n";
            for (std::size_t j = 0; j <= i; ++j) text += "    " + case_.steps[j].line + "\n";
            return text + fmt::format("  step {}, taken in guest {}:\n", i + 1, guest) + wrong;
        }
        return "";
    }

  private:
    std::string take(const Step& step, std::size_t guest, bool looks) {
        let_time_pass();
        const std::string here = here_.take(step, 0), there = there_.take(step, guest);
        std::string wrong = player_.as_stated ? unexpected(step, here) : "";
        const std::string wanted = step.on_mounts.empty() ? here : step.on_mounts;
        if (there != wanted) wrong += fmt::format("   wanted {}\n    found {}\n", wanted, there);
        if (!looks) return wrong;
        const std::string seen = look();
        // What is known to differ leaves something else, too.
        if (!step.on_mounts.empty()) return wrong;
        return wrong + difference_of_files(here_.open_files(), there_.open_files()) + seen;
    }

    std::string look() {
        const Look here = player_.looker.look(ground_.local());
        std::vector<std::size_t> guests =
            player_.who_looks ? player_.who_looks() : std::vector<std::size_t>{0, 1};
        std::string wrong;
        std::optional<Look> first;
        const std::vector<std::string> mounts = ground_.mounts();
        for (const std::size_t guest : guests) {
            if (guest >= mounts.size()) continue;
            Look there = player_.looker.look(mounts[guest]);
            const std::string lines =
                difference(here, here_before_, there, there_before_, !case_.no_times);
            if (!lines.empty()) wrong += fmt::format("  as guest {} sees it:\n{}", guest, lines);
            if (first) {
                wrong += disagreement(*first, there);
            } else {
                first = std::move(there);
            }
        }
        here_before_ = here;
        if (first) there_before_ = *first;
        return wrong;
    }

    const Case& case_;
    const Player& player_;
    Ground ground_;
    World here_, there_;
    Look here_before_, there_before_;
};

/// Cuts off what stands behind the last " = ".
std::string cut_expected(std::string& line) {
    const auto at = line.rfind(" = ");
    if (at == std::string::npos) return "";
    const std::string expected = line.substr(at + 3);
    line.resize(at);
    return expected;
}

/// Makes out what stands behind "case", and cuts its marks off.
Case case_of(std::string name) {
    Case made;
    const auto marked = [&](const char* mark) {
        const auto at = name.find(mark);
        if (at == std::string::npos) return false;
        name.erase(at);
        return true;
    };
    made.looked_at_last = marked(" [look at the end]");  // the marks in their order, the last first
    made.no_times = marked(" [no times]");
    made.maps = marked(" [shared mappings]");
    made.one_guest = marked(" [one guest]");
    made.name = name;
    return made;
}

}  // namespace

Step step_of(const std::string& line) {
    Step step;
    step.line = line;
    std::string rest = line;
    step.expected = cut_expected(rest);
    if (const auto bar = step.expected.find(" / "); bar != std::string::npos) {
        step.on_mounts = step.expected.substr(bar + 3);
        step.expected.resize(bar);
    }
    Words words = words_of(rest);
    while (!words.empty()) {
        if (words[0] == "@0" || words[0] == "@1") {
            step.guest = words[0][1] - '0';
        } else if (words[0] == "child") {
            step.child = true;
        } else if (words[0] == "as" && words.size() > 2) {
            step.uid = static_cast<uid_t>(value_of(words[1]));
            step.groups.clear();
            std::string groups = words[2] + ",";
            for (std::size_t comma = 0; (comma = groups.find(',')) != std::string::npos;) {
                step.groups.push_back(static_cast<gid_t>(value_of(groups.substr(0, comma))));
                groups.erase(0, comma + 1);
            }
            words.erase(words.begin(), words.begin() + 2);
        } else {
            break;
        }
        words.erase(words.begin());
    }
    if (words.empty()) throw std::invalid_argument("no operation: " + line);
    step.words = words;
    return step;
}

std::vector<Case> read_cases(const fs::path& file) {
    std::ifstream in(file);
    if (!in) throw std::invalid_argument("cannot read " + file.string());
    std::vector<Case> cases;
    int number = 0;
    for (std::string line; std::getline(in, line);) {
        ++number;
        const auto start = line.find_first_not_of(' ');
        if (start == std::string::npos || line[start] == '#') continue;
        line.erase(0, start);
        try {
            if (line.starts_with("case ")) {
                cases.push_back(case_of(line.substr(sizeof "case")));
            } else if (cases.empty()) {
                throw std::invalid_argument("a step before the first case");
            } else {
                cases.back().steps.push_back(step_of(line));
            }
        } catch (const std::invalid_argument& error) {
            throw std::invalid_argument(
                fmt::format("{}:{}: {}", file.string(), number, error.what()));
        }
    }
    return cases;
}

std::string play(const Case& one, const Places& places, const Player& player) {
    return Play(one, places, player).run();
}

}  // namespace xenfs::real::mount::posix
