// What iozone's tests do to a file, operation by operation, against the behaviour observed.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "workloads/iozone/iozone.h"
#include "workloads/iozone/sequences.h"
#include "workloads/process/memory_file_system.h"
#include "workloads/process/virtual_tasks.h"

namespace xenfs::workloads::iozone {
namespace {

/// Remembers what it was asked, and takes 1 us for each call so that order shows in times.
class Recorder : public MemoryFileSystem {
  public:
    struct Call {
        std::string what;
        std::uint64_t offset = 0, length = 0;
        bool operator==(const Call&) const = default;
    };
    explicit Recorder(host::Clock& clock) : clock_(clock) {}

    Result<files::Opened> create(NodeId parent, const files::Name& name, std::uint32_t mode,
                                 host::Owner who, files::OpenFlags flags) override {
        note("create");
        return MemoryFileSystem::create(parent, name, mode, who, flags);
    }
    Result<files::Handle> open(NodeId node, files::OpenFlags flags) override {
        if (calls.empty() || calls.back().what != "create") note("open");
        last_flags = flags;
        return MemoryFileSystem::open(node, flags);
    }
    int close(files::Handle handle) override {
        note("close");
        return MemoryFileSystem::close(handle);
    }
    Result<host::Attr> setattr(NodeId node, const host::SetAttr& change) override {
        note("setattr");
        return MemoryFileSystem::setattr(node, change);
    }
    int unlink(NodeId parent, const files::Name& name) override {
        note("unlink");
        return MemoryFileSystem::unlink(parent, name);
    }
    Result<std::size_t> read(files::Handle handle, std::uint64_t offset,
                             host::Buffer into) override {
        note("read", offset, into.length);
        return MemoryFileSystem::read(handle, offset, into);
    }
    Result<std::size_t> write(files::Handle handle, std::uint64_t offset,
                              host::Buffer from) override {
        note("write", offset, from.length);
        for (std::uint64_t i = 0; i < from.length / page_size; ++i) contents.insert(from.pages[i]);
        return MemoryFileSystem::write(handle, offset, from);
    }
    int fsync(files::Handle handle, bool data_only) override {
        note("fsync");
        return MemoryFileSystem::fsync(handle, data_only);
    }
    int sync() override {
        note("sync");
        return 0;
    }
    int map_pages(files::Handle handle, std::uint64_t first, std::size_t count, files::MapKind kind,
                  bool write, std::span<Fingerprint> into) override {
        note(write ? "map_write" : "map_read", first, count);
        return MemoryFileSystem::map_pages(handle, first, count, kind, write, into);
    }
    void drop_caches() override { note("drop"); }

    std::size_t count(std::string_view what) const {
        return static_cast<std::size_t>(std::count_if(
            calls.begin(), calls.end(), [&](const Call& call) { return call.what == what; }));
    }

    std::vector<Call> calls;
    std::set<Fingerprint> contents;
    files::OpenFlags last_flags;

  private:
    void note(std::string what, std::uint64_t offset = 0, std::uint64_t length = 0) {
        clock_.charge(1000);
        calls.push_back({std::move(what), offset, length});
    }
    host::Clock& clock_;
};

Options options(std::vector<std::string> words) {
    return parse(words);
}

/// Runs the options; each test passes the calls on.
class IozoneRun : public testing::Test {
  protected:
    void run(std::vector<std::string> words) {
        tasks_.run([&] { report_ = iozone::run(fs_, tasks_, tasks_, options(std::move(words))); });
    }
    /// The calls of the k-th open to its close, without both.
    std::vector<Recorder::Call> pass(std::size_t k) const {
        auto at = fs_.calls.begin();
        for (std::size_t seen = 0;; ++at) {
            if (at->what == "open" || at->what == "create") {
                if (seen++ == k) break;
            }
        }
        return {at + 1, std::find_if(at, fs_.calls.end(),
                                     [](const auto& call) { return call.what == "close"; })};
    }
    static std::vector<std::uint64_t> records(const std::vector<Recorder::Call>& calls,
                                              std::string_view what, std::uint64_t record) {
        std::vector<std::uint64_t> out;
        for (const auto& call : calls)
            if (call.what == what) out.push_back(call.offset / record);
        return out;
    }
    VirtualTasks tasks_;
    Recorder fs_{tasks_};
    Report report_;
};

TEST(Sequences, TheTwisterSeededByArray) {
    // The first outputs that its authors publish for the key 0x12345, 0x23456, 0x34567, 0x45678.
    const std::uint64_t key[] = {0x12345, 0x23456, 0x34567, 0x45678};
    std::mt19937_64 random = mt19937_64_by_array(key);
    for (std::uint64_t expected :
         {7266447313870364031u, 4946485549665804864u, 16945909448695747420u, 16394063075524226720u})
        EXPECT_EQ(random(), expected);
}

TEST(Sequences, RandomIsAPermutationAndAlwaysTheSame) {
    for (std::uint64_t n : {1u, 2u, 16u, 1000u}) {
        auto records = random_records(n);
        EXPECT_EQ(records, random_records(n));
        std::sort(records.begin(), records.end());
        for (std::uint64_t i = 0; i < n; ++i) EXPECT_EQ(records[i], i);
    }
    EXPECT_NE(random_records(16)[0], random_records(17)[0]);
}

TEST(Sequences, Stride) {
    const auto take = [](std::uint64_t n, std::uint64_t stride, std::size_t count) {
        StrideSequence sequence(n, stride);
        std::vector<std::uint64_t> out(count);
        for (auto& record : out) record = sequence.next();
        return out;
    };
    EXPECT_EQ(take(64, 17, 10), (std::vector<std::uint64_t>{0, 17, 34, 51, 1, 18, 35, 52, 2, 19}));
    EXPECT_EQ(take(16, 17, 4), (std::vector<std::uint64_t>{0, 0, 0, 0}));
    EXPECT_EQ(take(17, 17, 4), (std::vector<std::uint64_t>{0, 0, 0, 0}));
    EXPECT_EQ(take(18, 17, 4), (std::vector<std::uint64_t>{0, 1, 2, 3}));
    EXPECT_EQ(take(8, 3, 9), (std::vector<std::uint64_t>{0, 3, 6, 1, 4, 2, 5, 3, 6}));
    for (std::uint64_t record : take(1000, 17, 100000)) EXPECT_LT(record, 1000u);
}

TEST_F(IozoneRun, ARowHasTwoSyncsAndTwentyFourFsyncs) {
    run({"-s", "256", "-r", "4"});
    EXPECT_EQ(fs_.count("sync"), 2u);
    EXPECT_EQ(fs_.count("fsync"), 24u);
    std::vector<std::string> begin;
    for (std::size_t i = 0; i < 8; ++i) begin.push_back(fs_.calls[i].what);
    EXPECT_EQ(begin, (std::vector<std::string>{"sync", "sync", "create", "setattr", "close",
                                               "unlink", "create", "fsync"}));
    EXPECT_EQ(fs_.calls.back().what, "unlink");
    EXPECT_EQ(fs_.count("unlink"), 2u);
    EXPECT_EQ(report_.rows.size(), 13u);
    EXPECT_EQ(fs_.nodes(), 1u);
    EXPECT_EQ(fs_.open_handles(), 0u);
}

TEST_F(IozoneRun, EachPassTouchesItsRecordsInOrder) {
    run({"-s", "256", "-r", "4"});
    constexpr std::uint64_t n = 64, record = 4096;
    std::vector<std::uint64_t> forward(n);
    std::iota(forward.begin(), forward.end(), 0);
    std::vector<std::uint64_t> backward(forward.rbegin(), forward.rend());

    // Opens: 0 the first create, then one a pass.
    for (std::size_t k : {1u, 2u}) {
        EXPECT_EQ(records(pass(k), "write", record), forward);
        EXPECT_EQ(pass(k).front().what, "fsync");
        EXPECT_EQ(pass(k).back().what, "fsync");
    }
    for (std::size_t k : {3u, 4u}) {
        auto reads = records(pass(k), "read", record);
        EXPECT_EQ(reads.front(), 0u);  // the untimed probe
        reads.erase(reads.begin());
        EXPECT_EQ(reads, forward);
    }
    const auto random = random_records(n);
    EXPECT_EQ(records(pass(5), "read", record), random);
    EXPECT_EQ(pass(5).front().what, "read");  // no leading fsync
    EXPECT_EQ(records(pass(6), "write", record), random);
    EXPECT_EQ(records(pass(7), "read", record), backward);
    EXPECT_EQ(records(pass(8), "read", record), backward);
    EXPECT_EQ(records(pass(9), "write", record), std::vector<std::uint64_t>(n + 1, 0));
    const auto stride = records(pass(10), "read", record);
    EXPECT_EQ(std::vector<std::uint64_t>(stride.begin(), stride.begin() + 9),
              (std::vector<std::uint64_t>{0, 17, 34, 51, 1, 18, 35, 52, 2}));
    EXPECT_EQ(stride.size(), n);
    for (std::size_t k : {11u, 12u}) {
        EXPECT_EQ(records(pass(k), "write", record), forward);
        EXPECT_EQ(pass(k).front().what, "write");
    }
    for (std::size_t k : {13u, 14u}) EXPECT_EQ(records(pass(k), "read", record), forward);
}

TEST_F(IozoneRun, OnlyTheOperationsAreTimedUnlessAsked) {
    run({"-s", "64", "-r", "4", "-i", "0", "-+n"});
    ASSERT_EQ(report_.rows.size(), 2u);
    EXPECT_EQ(report_.rows[0].elapsed_ns, 16 * 1000);
    EXPECT_EQ(report_.rows[0].kib_per_s, 4'000'000);
    EXPECT_FALSE(report_.rows[1].measured);
    run({"-s", "64", "-r", "4", "-i", "0", "-e"});
    EXPECT_EQ(report_.rows[0].elapsed_ns, 17 * 1000);
    run({"-s", "64", "-r", "4", "-i", "0", "-e", "-c"});
    EXPECT_EQ(report_.rows[0].elapsed_ns, 18 * 1000);
    run({"-s", "64", "-r", "4", "-i", "0", "-c"});
    EXPECT_EQ(report_.rows[0].elapsed_ns, 17 * 1000);
    run({"-s", "64", "-r", "4", "-i", "0", "-O"});
    EXPECT_EQ(report_.rows[0].value, 1'000'000);
    run({"-s", "64", "-r", "4", "-i", "0", "-N"});
    EXPECT_EQ(report_.rows[0].value, 1);
}

TEST_F(IozoneRun, OpensAsAskedAndDropsCachesBetweenTests) {
    run({"-s", "64", "-r", "16", "-i0", "-i1", "-o", "-I", "-U", "/mnt", "-w", "-f", "/x"});
    EXPECT_TRUE(fs_.last_flags.synchronous);
    EXPECT_TRUE(fs_.last_flags.direct);
    EXPECT_EQ(fs_.count("drop"), 2u);
    EXPECT_TRUE(fs_.lookup(root_node, std::string_view("x")));  // -w keeps it
    run({"-s", "64", "-r", "16", "-i1", "-f", "/x"});           // a file that is there will do
    EXPECT_EQ(report_.rows.size(), 2u);
    EXPECT_THROW(run({"-s", "64", "-i1", "-f", "/none"}), RunError);
}

TEST_F(IozoneRun, MappedFilesFaultEachPageOnceAPass) {
    run({"-s", "64", "-r", "16", "-B"});
    EXPECT_EQ(fs_.count("write"), 0u);
    EXPECT_EQ(fs_.count("read"), 0u);
    EXPECT_EQ(report_.rows.size(), 9u);
    std::uint64_t pages = 0;
    for (const auto& call : pass(1)) pages += call.what == "map_write" ? call.length : 0;
    EXPECT_EQ(pages, 16u);
    EXPECT_EQ(fs_.mapped_pages(), 0u);
}

TEST_F(IozoneRun, ContentByDefaultIsOnePageForAll) {
    run({"-s", "1m", "-r", "64", "-i", "0"});
    EXPECT_EQ(fs_.contents.size(), 1u);
}

TEST_F(IozoneRun, ContentUniqueAndVerified) {
    run({"-s", "1m", "-r", "64", "-+d"});
    EXPECT_EQ(fs_.contents.size(), 256u);
}

TEST_F(IozoneRun, ContentSharesAcrossAndWithinFiles) {
    const auto written = [&](std::vector<std::string> more) {
        fs_.contents.clear();
        std::vector<std::string> words = {"-t", "1", "-s", "4m", "-r", "64", "-i", "0", "-F"};
        const std::string file = more.back();
        more.pop_back();
        words.push_back(file);
        words.insert(words.end(), more.begin(), more.end());
        run(words);
        return fs_.contents;
    };
    // 1024 pages; half of them the same in each guest (salt) at the same place.
    Options a = options({"-t", "2", "-s", "4m", "-r", "64", "-i", "0", "-+w", "50"});
    const auto distinct = [&](const Options& o) {
        fs_.contents.clear();
        tasks_.run([&] { iozone::run(fs_, tasks_, tasks_, o); });
        return static_cast<double>(fs_.contents.size());
    };
    EXPECT_NEAR(distinct(a), 1024 + 512, 100);  // two files: 512 shared, 512 own each
    Options b = options({"-t", "2", "-s", "4m", "-r", "64", "-i", "0", "-+w", "50", "-+y", "100"});
    EXPECT_NEAR(distinct(b), 1024 + 1, 100);  // what is shared is one page
    Options c = options({"-t", "2", "-s", "4m", "-r", "64", "-i", "0", "-+C", "100"});
    EXPECT_EQ(distinct(c), 2);  // one page a file
    EXPECT_EQ(written({"-+w", "100", "/one"}).size(), 1024u);
}

TEST_F(IozoneRun, ThroughputStartsTogetherAndTheFirstToEndStopsAll) {
    run({"-t", "3", "-s", "256", "-r", "4", "-R"});
    EXPECT_EQ(report_.throughput.size(), 11u);
    for (const Throughput& t : report_.throughput) {
        EXPECT_EQ(t.processes, 3u);
        EXPECT_GT(t.children, 0);
        EXPECT_LE(t.min, t.average);
        EXPECT_LE(t.average, t.max);
        EXPECT_NEAR(t.children, 3 * t.average, 1e-6 * t.children);
    }
    EXPECT_EQ(fs_.nodes(), 1u);
    run({"-l", "1", "-u", "2", "-s", "64", "-r", "4", "-i0", "-+n", "-x"});
    ASSERT_EQ(report_.throughput.size(), 2u);
    EXPECT_EQ(report_.throughput[1].min_transfer, 64);
    EXPECT_THROW(run({"-t", "2", "-i", "1"}), RunError);  // no files to read
}

}  // namespace
}  // namespace xenfs::workloads::iozone
