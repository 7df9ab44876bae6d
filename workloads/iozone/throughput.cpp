// Throughput mode: several processes, each with a file of its own, start a test together. Unless
// -x is given the first to end stops the others, and what each did until then counts.
#include <algorithm>
#include <exception>
#include <memory>

#include "workloads/iozone/passes.h"

namespace xenfs::workloads::iozone {

namespace {

class Crew {
  public:
    Crew(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock, Report& report,
         unsigned processes)
        : tasks_(tasks),
          clock_(clock),
          report_(report),
          options_(report.options),
          size_kib_(options_.sizes_kib.front()),
          record_kib_(options_.records_kib.front()),
          gate_(tasks.make_gate()) {
        for (unsigned i = 0; i < processes; ++i)
            files_.push_back(
                std::make_unique<FileUnderTest>(fs, clock, options_, i, size_kib_, record_kib_));
    }

    void test(Test which) {
        ready_ = ended_ = 0;
        go_ = stop_ = false;
        outcomes_.assign(files_.size(), {});
        for (std::size_t i = 0; i < files_.size(); ++i)
            tasks_.spawn(
                std::string("iozone-").append(std::to_string(i)),
                [this, which, i] { work(which, i); }, false);
        while (ready_ + ended_ < files_.size()) gate_->wait();
        const Nanoseconds start = clock_.now();
        go_ = true;
        gate_->wake_all();
        while (ended_ < files_.size()) gate_->wait();
        if (error_) std::rethrow_exception(error_);
        record(which, std::max<Nanoseconds>(clock_.now() - start, 1));
    }

    void remove() {
        for (auto& file : files_) file->remove();
    }

  private:
    void work(Test which, std::size_t i) {
        bool counted = false;
        try {
            if (which == Test::write) files_[i]->prepare();
            Hooks hooks;
            hooks.ready = [&] {
                ++ready_;
                counted = true;
                gate_->wake_all();
                while (!go_) gate_->wait();
            };
            if (options_.stonewall) hooks.stop = &stop_;
            outcomes_[i] = files_[i]->pass(which, hooks);
            stop_ = true;
        } catch (const std::exception&) {
            if (!error_) error_ = std::current_exception();
            stop_ = true;
        }
        if (counted) --ready_;
        ++ended_;
        gate_->wake_all();
    }

    void record(Test which, Nanoseconds elapsed_ns) {
        Throughput t;
        t.processes = static_cast<unsigned>(files_.size());
        t.size_kib = size_kib_;
        t.record_kib = record_kib_;
        t.test = which;
        double operations = 0, least = 0;
        for (std::size_t i = 0; i < outcomes_.size(); ++i) {
            const auto own = static_cast<double>(outcomes_[i].operations);
            const double r = rate(options_, own, record_kib_, outcomes_[i].elapsed_ns);
            t.children += r;
            t.min = i == 0 ? r : std::min(t.min, r);
            t.max = std::max(t.max, r);
            least = i == 0 ? own : std::min(least, own);
            operations += own;
        }
        t.average = t.children / static_cast<double>(files_.size());
        t.parent = rate(options_, operations, record_kib_, elapsed_ns);
        t.min_transfer =
            options_.unit == Unit::kib_per_s ? least * static_cast<double>(record_kib_) : least;
        report_.throughput.push_back(t);
    }

    host::Tasks& tasks_;
    host::Clock& clock_;
    Report& report_;
    const Options& options_;
    std::uint64_t size_kib_, record_kib_;
    std::unique_ptr<host::Gate> gate_;
    std::vector<std::unique_ptr<FileUnderTest>> files_;
    std::vector<Outcome> outcomes_;
    std::size_t ready_ = 0, ended_ = 0;
    bool go_ = false, stop_ = false;
    std::exception_ptr error_;
};

}  // namespace

void run_throughput(files::FileSystem& fs, host::Tasks& tasks, host::Clock& clock, Report& report) {
    struct Phase {
        TestNumber number;
        Test test;
        bool retest;
    };
    // In the order of iozone's report. It has no record rewrite in this mode.
    constexpr Phase phases[] = {{TestNumber::write, Test::write, false},
                                {TestNumber::write, Test::rewrite, true},
                                {TestNumber::read, Test::read, false},
                                {TestNumber::read, Test::reread, true},
                                {TestNumber::backward, Test::backward_read, false},
                                {TestNumber::stride, Test::stride_read, false},
                                {TestNumber::random, Test::random_read, false},
                                {TestNumber::mixed, Test::mixed, false},
                                {TestNumber::random, Test::random_write, false},
                                {TestNumber::pwrite, Test::pwrite, false},
                                {TestNumber::pread, Test::pread, false},
                                {TestNumber::fwrite, Test::fwrite, false},
                                {TestNumber::fread, Test::fread, false}};
    const Options& options = report.options;
    for (unsigned n = options.min_processes; n <= options.max_processes; ++n) {
        Crew crew(fs, tasks, clock, report, n);
        for (const Phase& phase : phases) {
            if (!options.runs(phase.number) || (phase.retest && options.no_retest)) continue;
            if (options.remount) fs.drop_caches();
            crew.test(phase.test);
        }
        crew.remove();
    }
}

}  // namespace xenfs::workloads::iozone
