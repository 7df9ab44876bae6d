#include "workloads/iozone/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace xenfs::workloads::iozone {

namespace {

constexpr std::uint64_t cross_over_kib = 16 * 1024;  // larger files start at large records
constexpr std::uint64_t large_record_kib = 64;

std::uint64_t parse_number(const std::string& option, const std::string& text,
                           std::uint64_t largest) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > largest)
        throw OptionError(
            fmt::format("option {} takes a number up to {}, not \"{}\"", option, largest, text));
    return value;
}

/// Sizes in KiB, or with k, m or g.
std::uint64_t parse_kib(const std::string& option, const std::string& text) {
    std::string digits = text;
    std::uint64_t factor = 1;
    if (!digits.empty() && std::isalpha(static_cast<unsigned char>(digits.back()))) {
        switch (std::tolower(static_cast<unsigned char>(digits.back()))) {
            case 'k':
                factor = 1;
                break;
            case 'm':
                factor = 1024;
                break;
            case 'g':
                factor = 1024 * 1024;
                break;
            default:
                factor = 0;
        }
        digits.pop_back();
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (factor == 0 || digits.empty() || error != std::errc() ||
        end != digits.data() + digits.size() || value == 0 || value > (1u << 30))
        throw OptionError(fmt::format(
            "option {} takes a size such as 64, 64k, 16m or 4g, not \"{}\"", option, text));
    return value * factor;
}

double parse_percent(const std::string& option, const std::string& text) {
    return static_cast<double>(parse_number(option, text, 100));
}

/// Options one by one, also from clusters ("-Ra") and with values attached ("-i0").
class Reader {
  public:
    explicit Reader(std::span<const std::string> arguments) : arguments_(arguments) {}

    bool next(std::string& option) {
        if (cluster_.empty()) {
            if (at_ == arguments_.size()) return false;
            const std::string& word = arguments_[at_++];
            if (word.size() < 2 || word[0] != '-')
                throw OptionError(fmt::format("\"{}\" is not an option", word));
            cluster_ = word.substr(1);
        }
        const std::size_t length = cluster_[0] == '+' ? 2 : 1;
        if (cluster_.size() < length) throw OptionError("option -+ lacks its letter");
        option = "-" + cluster_.substr(0, length);
        cluster_.erase(0, length);
        return true;
    }

    std::string value(const std::string& option) {
        if (!cluster_.empty()) return std::exchange(cluster_, {});
        if (at_ == arguments_.size())
            throw OptionError(fmt::format("option {} needs a value", option));
        return arguments_[at_++];
    }

    /// The words up to the next option.
    std::vector<std::string> words(const std::string& option) {
        std::vector<std::string> out;
        if (!cluster_.empty()) out.push_back(std::exchange(cluster_, {}));
        while (at_ < arguments_.size() && arguments_[at_][0] != '-')
            out.push_back(arguments_[at_++]);
        if (out.empty()) throw OptionError(fmt::format("option {} needs file names", option));
        return out;
    }

  private:
    std::span<const std::string> arguments_;
    std::size_t at_ = 0;
    std::string cluster_;
};

unsigned parse_processes(const std::string& option, const std::string& text) {
    const auto n = static_cast<unsigned>(parse_number(option, text, 256));
    if (n == 0) throw OptionError(fmt::format("option {} takes at least one process", option));
    return n;
}

void apply_extended(Options& o, const std::string& option, Reader& reader) {
    switch (option[2]) {
        case 'n':
            o.no_retest = true;
            o.banner.emplace_back("No retest option selected");
            break;
        case 'd':
            o.content.all_same = false;
            o.content.verify = true;
            o.banner.emplace_back("I/O Diagnostic mode enabled: pages are unique and verified");
            break;
        case 'w':
            o.content.all_same = false;
            o.content.across_percent = parse_percent(option, reader.value(option));
            o.banner.push_back(
                fmt::format("Dedup activated {} percent.", o.content.across_percent));
            break;
        case 'y':
            o.content.all_same = false;
            o.content.interior_percent = parse_percent(option, reader.value(option));
            o.banner.push_back(
                fmt::format("Dedup within & across {} percent.", o.content.interior_percent));
            break;
        case 'C':
            o.content.all_same = false;
            o.content.within_percent = parse_percent(option, reader.value(option));
            o.banner.push_back(fmt::format("Dedup within {} percent.", o.content.within_percent));
            break;
        default:
            throw OptionError(fmt::format("option {} is not supported", option));
    }
}

void apply_value(Options& o, const std::string& option, const std::string& value) {
    switch (option[1]) {
        case 'g':
            o.max_size_kib = parse_kib(option, value);
            o.banner.push_back(
                fmt::format("Using maximum file size of {} kilobytes.", o.max_size_kib));
            break;
        case 'n':
            o.min_size_kib = parse_kib(option, value);
            o.banner.push_back(
                fmt::format("Using minimum file size of {} kilobytes.", o.min_size_kib));
            break;
        case 'q':
            o.max_record_kib = parse_kib(option, value);
            o.banner.push_back(fmt::format("Using Maximum Record Size {} kB", o.max_record_kib));
            break;
        case 'y':
            o.min_record_kib = parse_kib(option, value);
            o.banner.push_back(fmt::format("Using Minimum Record Size {} kB", o.min_record_kib));
            break;
        case 's':
            o.sizes_kib.push_back(parse_kib(option, value));
            o.banner.push_back(fmt::format("File size set to {} kB", o.sizes_kib.back()));
            break;
        case 'r':
            o.records_kib.push_back(parse_kib(option, value));
            o.banner.push_back(fmt::format("Record Size {} kB", o.records_kib.back()));
            break;
        case 'i': {
            const auto test = parse_number(option, value, 10);
            o.tests.push_back(static_cast<TestNumber>(test));
            break;
        }
        case 't':
            o.min_processes = o.max_processes = parse_processes(option, value);
            break;
        case 'l':
            o.min_processes = parse_processes(option, value);
            break;
        case 'u':
            o.max_processes = parse_processes(option, value);
            break;
        case 'j':
            o.stride = static_cast<unsigned>(parse_number(option, value, 1u << 20));
            if (o.stride == 0) throw OptionError("option -j takes a stride of at least one record");
            break;
        case 'U':
            o.remount = true;
            break;  // the value is the mount point: there is only one
        case 'f':
            o.files = {value};
            break;
        default:
            throw OptionError(fmt::format("option {} is not supported", option));
    }
}

/// False: not an option without a value.
bool apply_flag(Options& o, char letter) {
    switch (letter) {
        case 'a':
            o.automatic = true;
            o.banner.emplace_back("Auto Mode");
            break;
        case 'z':
            o.cross_over = false;
            o.banner.emplace_back("Cross over of record size disabled.");
            break;
        case 'c':
            o.include_close = true;
            o.banner.emplace_back("Include close in write timing");
            break;
        case 'e':
            o.include_fsync = true;
            o.banner.emplace_back("Include fsync in write timing");
            break;
        case 'o':
            o.synchronous = true;
            o.banner.emplace_back("SYNC Mode. ");
            break;
        case 'I':
            o.direct = true;
            o.banner.emplace_back("O_DIRECT feature enabled");
            break;
        case 'O':
            o.unit = Unit::ops_per_s;
            o.banner.emplace_back("OPS Mode. Output is in operations per second.");
            break;
        case 'N':
            o.unit = Unit::us_per_op;
            o.banner.emplace_back("Microseconds/op Mode. Output is in microseconds per operation.");
            break;
        case 'w':
            o.keep = true;
            o.banner.emplace_back("Setting no_unlink");
            break;
        case 'B':
            o.mmap = true;
            o.banner.emplace_back("Using mmap files");
            break;
        case 'E':
            o.positioned = true;
            break;
        case 'R':
            o.excel = true;
            o.banner.emplace_back("Excel chart generation enabled");
            break;
        case 'x':
            o.stonewall = false;
            o.banner.emplace_back("Stonewall disabled");
            break;
        default:
            return false;
    }
    return true;
}

void check(Options& o) {
    if (o.min_processes != 0 && o.max_processes == 0)
        throw OptionError("option -l needs option -u with the largest number of processes");
    if (o.max_processes != 0 && o.min_processes == 0) o.min_processes = 1;
    if (o.min_processes > o.max_processes)
        throw OptionError(fmt::format("option -l asks for {} processes and -u for at most {}",
                                      o.min_processes, o.max_processes));
    if (o.throughput() && o.automatic)
        throw OptionError("options -a and -t exclude each other: a table or throughput mode");
    if (o.min_size_kib > o.max_size_kib)
        throw OptionError(fmt::format("the smallest file size {} kB is above the largest {} kB",
                                      o.min_size_kib, o.max_size_kib));
    if (o.min_record_kib > o.max_record_kib)
        throw OptionError(fmt::format("the smallest record {} kB is above the largest {} kB",
                                      o.min_record_kib, o.max_record_kib));
    if (o.content.across_percent + o.content.within_percent > 100)
        throw OptionError("options -+w and -+C together ask for more than 100 percent");
    for (TestNumber test : o.tests) {
        const auto number = static_cast<int>(test);
        if (test == TestNumber::mixed && !o.throughput())
            throw OptionError("option -i 8, the mixed workload, needs throughput mode (-t)");
        if (number >= 9 && !o.positioned)
            throw OptionError(fmt::format("option -i {} (pwrite, pread) needs option -E", number));
        if (o.mmap && (test == TestNumber::fwrite || test == TestNumber::fread || number >= 9))
            throw OptionError(fmt::format("option -i {} does not go with mmap (-B)", number));
    }
    if (!o.throughput() && o.files.size() > 1)
        throw OptionError("option -F with several files needs throughput mode (-t)");
    if (o.throughput() && !o.files.empty() && o.files.size() != 1 &&
        o.files.size() < o.max_processes)
        throw OptionError(fmt::format("option -F names {} files for {} processes", o.files.size(),
                                      o.max_processes));
    if (!o.automatic) {
        if (o.sizes_kib.empty()) o.sizes_kib = {512};  // iozone's defaults
        if (o.records_kib.empty()) o.records_kib = {4};
    }
    for (auto size : o.sizes_kib)
        for (auto record : o.records_kib)
            if (record > size)
                throw OptionError(fmt::format("a record of {} kB is larger than the file of {} kB",
                                              record, size));
}

}  // namespace

bool Options::runs(TestNumber test) const {
    if (std::find(tests.begin(), tests.end(), test) != tests.end()) return true;
    if (!tests.empty()) return false;
    switch (test) {
        case TestNumber::mixed:
            return throughput();
        case TestNumber::pwrite:
        case TestNumber::pread:
            return positioned && !mmap;
        case TestNumber::fwrite:
        case TestNumber::fread:
            return !mmap;
        default:
            return true;
    }
}

std::string Options::file(std::size_t process) const {
    if (!throughput()) return files.empty() ? "iozone.tmp" : files[0];
    if (files.size() > 1) return files[process];
    const std::string base = files.empty() ? "iozone.DUMMY" : files[0];
    if (!files.empty() && max_processes == 1) return base;
    return fmt::format("{}.{}", base, process);
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> Options::table() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> rows;
    std::vector<std::uint64_t> sizes = sizes_kib;
    if (sizes.empty())
        for (std::uint64_t s = min_size_kib; s <= max_size_kib; s *= 2) sizes.push_back(s);
    for (std::uint64_t size : sizes) {
        if (!records_kib.empty()) {
            for (std::uint64_t record : records_kib)
                if (record <= size) rows.emplace_back(size, record);
            continue;
        }
        std::uint64_t record = min_record_kib;
        if (cross_over && size > cross_over_kib) record = std::max(record, large_record_kib);
        for (; record <= std::min(size, max_record_kib); record *= 2)
            rows.emplace_back(size, record);
    }
    return rows;
}

Options parse(std::span<const std::string> arguments) {
    Options o;
    o.command_line = "iozone";
    for (const std::string& word : arguments) o.command_line += " " + word;
    Reader reader(arguments);
    std::string option;
    while (reader.next(option)) {
        if (option[1] == '+')
            apply_extended(o, option, reader);
        else if (option == "-b")
            throw OptionError(
                "option -b (a binary Excel file) is not supported: use -R, or the rows as CSV");
        else if (option == "-F")
            o.files = reader.words(option);
        else if (!apply_flag(o, option[1])) {
            if (std::string_view("gnqysritlujUf").find(option[1]) == std::string_view::npos)
                throw OptionError(fmt::format("option {} is not supported", option));
            apply_value(o, option, reader.value(option));
        }
    }
    check(o);
    return o;
}

}  // namespace xenfs::workloads::iozone
