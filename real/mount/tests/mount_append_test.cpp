// Programs of two guests append records to one file (O_APPEND), as logs are written. Each record
// stands whole in the file, none is lost, and each writer's are in the order of its writes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>

#include "model/conformance/seed.h"
#include "real/mount/tests/cached_mounts.h"

namespace xenfs::real::mount {
namespace {

class MountAppend : public CachedMounts {
  protected:
    std::string at(std::size_t guest) { return rig_->at(guest, "log"); }
};

INSTANTIATE_TEST_SUITE_P(Caching, MountAppend,
                         testing::Values("cache=text", "cache=none", "cache=all"), cache_mode);

struct Head {
    std::uint32_t writer = 0, number = 0, length = 0;
};

std::string record(std::uint32_t writer, std::uint32_t number, std::uint32_t length) {
    const Head head{writer, number, length};
    std::string text(length, static_cast<char>('a' + (writer * 7 + number) % 26));
    std::memcpy(text.data(), &head, sizeof head);
    return text;
}

std::string content_of(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY);
    std::string all, part(1 << 16, '\0');
    ssize_t got = 0;
    while ((got = read(file, part.data(), part.size())) > 0) {
        all.append(part, 0, static_cast<std::size_t>(got));
    }
    EXPECT_EQ(got, 0) << path << ": " << std::strerror(errno);
    close(file);
    return all;
}

/// Checks that the file consists of whole records, `each` of each writer, in order.
void check(const std::string& path, std::uint32_t writers, std::uint32_t each) {
    const std::string all = content_of(path);
    std::vector<std::uint32_t> next(writers);
    for (std::size_t offset = 0; offset < all.size();) {
        Head head;
        ASSERT_LE(offset + sizeof head, all.size()) << path << ": a torn record at the end";
        std::memcpy(&head, all.data() + offset, sizeof head);
        ASSERT_GE(head.length, sizeof head) << path << ": no record begins at " << offset;
        ASSERT_LT(head.writer, writers) << path << ": no record begins at " << offset;
        ASSERT_EQ(head.number, next[head.writer])
            << path << ": writer " << head.writer << " at " << offset;
        ASSERT_TRUE(
            all.compare(offset, head.length, record(head.writer, head.number, head.length)) == 0)
            << path << ": the record at " << offset << " of " << head.length << " bytes is torn";
        ++next[head.writer];
        offset += head.length;
    }
    for (std::uint32_t i = 0; i < writers; ++i) EXPECT_EQ(next[i], each) << "writer " << i;
}

class Appenders {
  public:
    static constexpr std::uint32_t writers = 4, each = 300;

    /// `opened` makes a writer's descriptor of a path.
    template <class Open>
    void run(const std::array<std::string, 2>& paths, Open opened) {
        const std::uint64_t seed = test_seed();
        std::vector<std::thread> threads;
        for (std::uint32_t i = 0; i < writers; ++i) {
            threads.emplace_back([&, i] {
                const int file = opened(paths[i % 2]);
                EXPECT_GE(file, 0) << std::strerror(errno);
                std::mt19937_64 random(seed + i);
                for (std::uint32_t n = 0; n < each && !failed_; ++n) {
                    const std::uint32_t most = random() % 4 == 0 ? 20000 : 300;
                    const std::string text = record(
                        i, n, static_cast<std::uint32_t>(sizeof(Head) + (random() % most | 1)));
                    const ssize_t written = write(file, text.data(), text.size());
                    if (written == static_cast<ssize_t>(text.size())) continue;
                    failed_ = true;
                    ADD_FAILURE() << "writer " << i << " wrote " << written << " of " << text.size()
                                  << ": " << std::strerror(errno);
                }
                close(file);
            });
        }
        for (std::thread& thread : threads) thread.join();
    }

  private:
    std::atomic<bool> failed_ = false;
};

TEST_P(MountAppend, RecordsOfTwoGuestsStandWholeInTheFile) {
    Appenders appenders;
    appenders.run({at(0), at(1)}, [](const std::string& path) {
        return open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0644);
    });
    for (const std::size_t guest : {0, 1}) {
        check(at(guest), Appenders::writers, Appenders::each);
    }
    EXPECT_EQ(rig_->end_guest(0, SIGTERM), 0);
    EXPECT_EQ(rig_->end_guest(1, SIGTERM), 0);
    rig_->stop_server();
    check(rig_->tree() / "log", Appenders::writers, Appenders::each);
}

/// While the file grows, a reader of either guest sees a prefix of what it will be.
TEST_P(MountAppend, ReadersSeeWholeRecordsWhileOthersAppend) {
    std::atomic<bool> over = false;
    std::vector<std::thread> readers;
    std::array<std::string, 2> longest;
    for (const std::size_t guest : {0, 1}) {
        readers.emplace_back([&, guest] {
            while (!over) {
                if (access(at(guest).c_str(), F_OK) != 0) continue;
                std::string now = content_of(at(guest));
                if (now.size() > longest[guest].size()) longest[guest] = std::move(now);
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
        });
    }
    Appenders appenders;
    appenders.run({at(0), at(1)}, [](const std::string& path) {
        return open(path.c_str(), O_RDWR | O_APPEND | O_CREAT, 0644);
    });
    over = true;
    for (std::thread& reader : readers) reader.join();
    check(at(0), Appenders::writers, Appenders::each);
    const std::string all = content_of(at(1));
    for (const std::string& seen : longest) {
        EXPECT_TRUE(all.compare(0, seen.size(), seen) == 0) << "after " << seen.size() << " bytes";
    }
}

/// A descriptor may become an appending one when it is open (fcntl(2), and so fdopen(3)), and cease
/// to be one.
TEST_P(MountAppend, ADescriptorThatIsMadeToAppendAppends) {
    const int here = open(at(0).c_str(), O_RDWR | O_CREAT, 0644);
    const int there = open(at(1).c_str(), O_RDWR);
    ASSERT_GE(here, 0);
    ASSERT_GE(there, 0);
    ASSERT_EQ(fcntl(here, F_SETFL, O_APPEND), 0);
    std::string wanted;
    for (int i = 0; i < 40; ++i) {
        const std::string mine = record(0, static_cast<std::uint32_t>(i), 1001);
        const std::string others = record(1, static_cast<std::uint32_t>(i), 777);
        ASSERT_EQ(write(here, mine.data(), mine.size()), 1001);
        wanted += mine;
        ASSERT_EQ(pwrite(there, others.data(), others.size(), static_cast<off_t>(wanted.size())),
                  777);
        wanted += others;
    }
    EXPECT_TRUE(content_of(at(0)) == wanted);
    EXPECT_TRUE(content_of(at(1)) == wanted);
    ASSERT_EQ(fcntl(here, F_SETFL, 0), 0);
    ASSERT_EQ(pwrite(here, "plain", 5, 10), 5);
    wanted.replace(10, 5, "plain");
    EXPECT_TRUE(content_of(at(0)) == wanted);
    EXPECT_TRUE(content_of(at(1)) == wanted);
    close(here);
    close(there);
}

/// The kernel writes pages that were stored into through a mapping back to where they lie, whatever
/// the descriptor was opened for.
TEST_P(MountAppend, StoresThroughAMappingOfAnAppendingDescriptorStayInPlace) {
    const int file = open(at(0).c_str(), O_RDWR | O_APPEND | O_CREAT, 0644);
    ASSERT_GE(file, 0);
    const std::string first(2 * page_size, 'f');
    ASSERT_EQ(write(file, first.data(), first.size()), static_cast<ssize_t>(first.size()));
    void* const map = mmap(nullptr, first.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED && errno == ENODEV) GTEST_SKIP() << "needs Linux 6.6";
    ASSERT_NE(map, MAP_FAILED) << std::strerror(errno);
    std::memcpy(static_cast<char*>(map) + 100, "stored", 6);
    ASSERT_EQ(msync(map, first.size(), MS_SYNC), 0);
    munmap(map, first.size());
    close(file);
    std::string wanted = first;
    wanted.replace(100, 6, "stored");
    EXPECT_TRUE(content_of(at(0)) == wanted);
    EXPECT_TRUE(content_of(at(1)) == wanted);
}

}  // namespace
}  // namespace xenfs::real::mount
