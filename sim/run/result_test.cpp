#include "sim/run/result.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "sim/run/files.h"
#include "sim/run/timeline.h"
#include "sim/scenario/error.h"

namespace xenfs::sim {
namespace {

namespace fs = std::filesystem;

class Directory {
  public:
    Directory() {
        char name[] = "/tmp/xenfs-result-XXXXXX";
        path_ = mkdtemp(name);
    }
    ~Directory() { fs::remove_all(path_); }
    [[nodiscard]] std::string operator/(const char* name) const { return path_ / name; }
    [[nodiscard]] std::size_t files() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path_), fs::directory_iterator{}));
    }

  private:
    fs::path path_;
};

std::string content(const std::string& file) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

RunResult sample() {
    RunResult result;
    result.origin.scenario_name = "x";
    result.origin.seed = 3;
    result.settings.set("name", "x");
    result.settings.set("arm.name", "nfs");
    result.metrics.set("completion_s", 1.5);
    result.metrics.set("pages_peak", std::int64_t{42});
    result.guests.resize(1);
    result.guests[0].set("cpu_ns", std::int64_t{9'007'199'254'740'993});
    Table series{"series", {"time_ns", "note"}, {}};
    series.add({std::int64_t{0}, std::string("a,b \"c\"")});
    series.add({std::int64_t{5}, std::string("")});
    result.tables.push_back(series);
    return result;
}

TEST(Result, SurvivesJsonWithoutLoss) {
    const RunResult before = sample();
    const auto bytes = nlohmann::ordered_json::to_cbor(to_json(before));
    const RunResult after = result_from_json(nlohmann::ordered_json::from_cbor(bytes));
    EXPECT_EQ(json_text(before), json_text(after));
    EXPECT_EQ(std::get<std::int64_t>(*after.guests[0].find("cpu_ns")), 9'007'199'254'740'993);
    EXPECT_EQ(after.table("series")->rows.size(), 2u);
    EXPECT_EQ(after.table("nothing"), nullptr);
}

TEST(Result, IsOneTidyRow) {
    EXPECT_EQ(to_csv(as_row(sample())),
              "scenario,seed,arm.name,completion_s,pages_peak\nx,3,nfs,1.5,42\n");
}

TEST(Table, QuotesAndRefusesRaggedRows) {
    EXPECT_EQ(to_csv(sample().tables[0]), "time_ns,note\n0,\"a,b \"\"c\"\"\"\n5,\n");
    Table table{"t", {"a", "b"}, {}};
    EXPECT_THROW(table.add({std::int64_t{1}}), std::logic_error);
    table.add({std::string("x"), std::int64_t{10}});
    EXPECT_EQ(to_aligned_text(table), "a   b\nx  10\n");
}

TEST(Files, AreReplacedWholeOrNotAtAll) {
    const Directory directory;
    const std::string file = directory / "out.json";
    write_whole(file, "old");
    write_whole(file, "new");
    EXPECT_EQ(content(file), "new");
    // No room: a limit on file size gives EFBIG as a full disk gives ENOSPC.
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit tight{1000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
    std::string message;
    try {
        write_whole(file, std::string(5000, 'x'));
    } catch (const InputError& error) {
        message = error.what();
    }
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_EQ(message, file + ": cannot be written: File too large");
    EXPECT_EQ(content(file), "new");
    EXPECT_EQ(directory.files(), 1u);
    EXPECT_THROW(write_whole("/dev/full", "x"), InputError);
    EXPECT_THROW(write_whole("/nowhere/at/all", "x"), InputError);
}

TEST(Timeline, IsChromesFormatAndBounded) {
    Timeline timeline(3);
    const auto row = timeline.row("guest1", "client");
    EXPECT_EQ(timeline.row("guest1", "client"), row);
    timeline.span(row, "read", 2000, 3500, "3 pages");
    timeline.instant(timeline.row("dom0", "server"), "evict", 1001);
    timeline.counter("pages", 1, 7);
    timeline.span(row, "too much", 1, 2);
    const auto json = nlohmann::json::parse(timeline.text());
    EXPECT_EQ(json["otherData"]["events_dropped"], 1);
    std::vector<std::string> phases;
    for (const auto& event : json["traceEvents"]) phases.push_back(event["ph"]);
    EXPECT_EQ(phases, (std::vector<std::string>{"M", "M", "M", "M", "M", "C", "i", "X"}));
    const auto& span = json["traceEvents"].back();
    EXPECT_EQ(span["ts"], 2.0);
    EXPECT_EQ(span["dur"], 1.5);
    EXPECT_EQ(span["args"]["detail"], "3 pages");
}

}  // namespace
}  // namespace xenfs::sim
