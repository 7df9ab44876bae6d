#include "workloads/iozone/passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "workloads/iozone/sequences.h"

namespace xenfs::workloads::iozone {

namespace {

constexpr std::uint64_t stdio_block = 4096;  // bytes; glibc's buffer for a regular file

/// A test's traits, by Test.
struct Traits {
    bool writes;
    bool leading_fsync;
    bool probe;  // an untimed read of one page first
};

Traits traits_of(Test test, std::size_t number) {
    switch (test) {
        case Test::write:
        case Test::rewrite:
        case Test::record_rewrite:
        case Test::pwrite:
        case Test::repwrite:
            return {true, true, false};
        case Test::random_write:
        case Test::fwrite:
        case Test::frewrite:
            return {true, false, false};
        case Test::read:
        case Test::reread:
            return {false, true, true};
        case Test::random_read:
            return {false, false, false};
        case Test::mixed:
            return {number % 2 == 1, false, false};
        default:
            return {false, true, false};
    }
}

bool through_stdio(Test test) {
    return test == Test::fwrite || test == Test::frewrite || test == Test::fread ||
           test == Test::freread;
}

}  // namespace

class FileUnderTest::Records {
  public:
    Records(Test test, std::uint64_t n, unsigned stride) : test_(test), n_(n), stride_(n, stride) {
        if (test == Test::random_read || test == Test::random_write || test == Test::mixed)
            permutation_ = random_records(n);
    }
    std::uint64_t at(std::uint64_t i) {
        switch (test_) {
            case Test::random_read:
            case Test::random_write:
            case Test::mixed:
                return permutation_[i];
            case Test::backward_read:
                return n_ - 1 - i;
            case Test::record_rewrite:
                return 0;
            case Test::stride_read:
                return stride_.next();
            default:
                return i;
        }
    }

  private:
    Test test_;
    std::uint64_t n_;
    StrideSequence stride_;
    std::vector<std::uint64_t> permutation_;
};

FileUnderTest::FileUnderTest(files::FileSystem& fs, host::Clock& clock, const Options& options,
                             std::size_t number, std::uint64_t size_kib, std::uint64_t record_kib)
    : process_(fs),
      fs_(fs),
      clock_(clock),
      options_(options),
      path_(options.file(number)),
      number_(number),
      record_(record_kib * 1024),
      records_(size_kib / record_kib),
      content_(options.content, number, std::max(record_, stdio_block)) {
    if (options.content.verify) got_.resize(std::max(record_, stdio_block) / page_size + 2);
}

void FileUnderTest::fail(const char* doing, std::uint64_t offset, int error) const {
    throw RunError(fmt::format("iozone: {} {} at byte {} failed: {}", doing, path_, offset,
                               std::strerror(error)));
}

void FileUnderTest::prepare() {
    const auto fd = process_.open(path_, O_RDWR | O_CREAT | O_TRUNC, 0640);
    if (!fd) fail("creating", 0, fd.error());
    if (const int error = process_.ftruncate(*fd, 0)) fail("truncating", 0, error);
    if (const int error = process_.close(*fd)) fail("closing", 0, error);
    if (const int error = process_.unlink(path_)) fail("unlinking", 0, error);
}

void FileUnderTest::remove() {
    if (options_.keep) return;
    const int error = process_.unlink(path_);
    if (error != 0 && error != ENOENT) fail("unlinking", 0, error);
}

void FileUnderTest::synchronise(int fd) {
    if (const int error = process_.fsync(fd)) fail("fsync of", 0, error);
}

void FileUnderTest::check_contents(std::uint64_t offset, std::uint64_t length) {
    // A page that the range covers in part may hold a mix: only whole pages are checked.
    const std::uint64_t first = offset / page_size;
    for (std::uint64_t page = (offset + page_size - 1) / page_size;
         (page + 1) * page_size <= offset + length; ++page)
        if (got_[page - first] != content_.page(page))
            throw RunError(fmt::format("iozone: {} holds another content than was written, page {}",
                                       path_, page));
}

void FileUnderTest::touch_mapped(int fd, Direction direction, std::uint64_t offset,
                                 std::uint64_t length) {
    const std::uint64_t first = offset / page_size, last = (offset + length - 1) / page_size;
    for (std::uint64_t page = first; page <= last; ++page) {
        if (touched_[page]) continue;
        std::uint64_t end = page;  // a run of pages not touched yet is one call
        for (; end <= last && !touched_[end]; ++end) touched_[end] = true;
        if (const int error = process_.map(fd, page, end - page, files::MapKind::shared,
                                           direction == Direction::write))
            fail("mapping", page * page_size, error);
        mapped_.emplace_back(page, end - page);
        page = end - 1;
    }
    clock_.charge(static_cast<Nanoseconds>(last - first + 1) * options_.copy_page_ns);
}

void FileUnderTest::unmap_all(int fd) {
    for (const auto& [first, count] : mapped_)
        if (const int error = process_.unmap(fd, first, count, files::MapKind::shared))
            fail("unmapping", first * page_size, error);
    mapped_.clear();
    touched_.clear();
}

void FileUnderTest::operate(int fd, Direction direction, std::uint64_t offset,
                            std::uint64_t length) {
    if (options_.mmap) {
        touch_mapped(fd, direction, offset, length);
        return;
    }
    const auto count =
        direction == Direction::write
            ? process_.pwrite(fd, offset, length, content_.pages(offset, length))
            : process_.pread(fd, offset, length, got_.empty() ? nullptr : got_.data());
    const char* doing = direction == Direction::write ? "writing" : "reading";
    if (!count) fail(doing, offset, count.error());
    if (*count != length) fail(doing, offset, direction == Direction::write ? ENOSPC : EIO);
    if (direction == Direction::read && !got_.empty()) check_contents(offset, length);
}

Outcome FileUnderTest::pass(Test test, const Hooks& hooks) {
    const Traits traits = traits_of(test, number_);
    const Direction direction = traits.writes ? Direction::write : Direction::read;
    int flags = traits.writes ? O_RDWR | O_CREAT : O_RDONLY;
    if (options_.synchronous) flags |= O_SYNC;
    if (options_.direct) flags |= O_DIRECT;
    const auto opened = process_.open(path_, flags, 0640);
    if (!opened) fail("opening", 0, opened.error());
    const int fd = *opened;

    std::uint64_t step = record_, n = records_;
    if (through_stdio(test) && record_ < stdio_block) {
        n = (records_ * record_ + stdio_block - 1) / stdio_block;
        step = stdio_block;
    }
    const std::uint64_t size = records_ * record_;
    if (options_.mmap) {
        if (traits.writes && test == Test::write)
            if (const int error = process_.ftruncate(fd, size)) fail("truncating", size, error);
        touched_.assign((size + page_size - 1) / page_size, false);
    }
    if (traits.leading_fsync) synchronise(fd);
    if (traits.probe) operate(fd, direction, 0, std::min<std::uint64_t>(page_size, size));
    if (test == Test::record_rewrite) operate(fd, direction, 0, record_);
    Records sequence(test, n, options_.stride);

    if (hooks.ready) hooks.ready();
    Outcome outcome;
    const Nanoseconds start = clock_.now();
    for (; outcome.operations < n; ++outcome.operations) {
        if (hooks.stop != nullptr && *hooks.stop) {
            outcome.stopped = true;
            break;
        }
        const std::uint64_t offset = sequence.at(outcome.operations) * step;
        operate(fd, direction, offset, std::min(step, size - offset));
    }
    Nanoseconds end = clock_.now();
    if (outcome.stopped && test == Test::write)  // later tests need the whole file
        for (std::uint64_t i = outcome.operations; i < n; ++i)
            operate(fd, direction, sequence.at(i) * step, step);

    // -e moves the fsync into the timed part and -c the close, which leaves no room for an untimed
    // fsync.
    if (options_.include_fsync || !options_.include_close) {
        synchronise(fd);
        if (options_.include_fsync && !outcome.stopped) end = clock_.now();
    }
    unmap_all(fd);
    if (const int error = process_.close(fd)) fail("closing", 0, error);
    if (options_.include_close && !outcome.stopped) end = clock_.now();
    if (through_stdio(test) && !outcome.stopped) outcome.operations = records_;
    outcome.elapsed_ns = std::max<Nanoseconds>(end - start, 1);
    return outcome;
}

double rate(const Options& options, double operations, std::uint64_t record_kib,
            Nanoseconds elapsed_ns) {
    const auto elapsed = static_cast<double>(elapsed_ns);
    switch (options.unit) {
        case Unit::ops_per_s:
            return operations * 1e9 / elapsed;
        case Unit::us_per_op:
            return operations == 0 ? 0 : elapsed / 1e3 / operations;
        case Unit::kib_per_s:
            break;
    }
    return operations * static_cast<double>(record_kib) * 1e9 / elapsed;
}

}  // namespace xenfs::workloads::iozone
