#include "workloads/capture/sections.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "workloads/capture/io.h"

namespace xenfs::workloads {

namespace {

// A line feed, a carriage return and a DOS end-of-file, as PNG has them, show what a text-mode copy
// did to the file.
constexpr std::string_view kMagic = "xfcap\r\n\x1a";
constexpr std::uint64_t kFormatVersion = 1;
constexpr std::size_t kNameBytes = 12;
constexpr std::size_t kHeaderBytes = kNameBytes + 3 * 8;  // name, raw bytes, stored bytes, checksum
constexpr std::string_view kEnd = "end";
// No section of a sane capture comes near; a damaged size must not make us ask for terabytes.
constexpr std::uint64_t kMaxRawBytes = std::uint64_t{1} << 33;
constexpr int kWindowLog = 27;

using Name = std::array<char, kNameBytes>;  // padded with zeros

std::uint64_t checksum(const Name& name, std::uint64_t raw_bytes,
                       std::span<const std::byte> stored) {
    const std::uint64_t seed = XXH3_64bits_withSeed(name.data(), name.size(), raw_bytes);
    return XXH3_64bits_withSeed(stored.data(), stored.size(), seed);
}

std::vector<std::byte> compress(std::span<const std::byte> raw) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    // Small sections do not repay the tables of the highest levels. Long matches, across processes
    // far apart in the stream, are much of what makes a build's capture small.
    const bool large = raw.size() > (1u << 16);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, large ? 22 : 19);
    if (large) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kWindowLog);
    std::vector<std::byte> out(ZSTD_compressBound(raw.size()));
    const std::size_t n = ZSTD_compress2(context, out.data(), out.size(), raw.data(), raw.size());
    ZSTD_freeCCtx(context);
    assert(!ZSTD_isError(n));
    out.resize(n);
    return out;
}

}  // namespace

SectionWriter::SectionWriter() {
    for (char c : kMagic) out_.u8(static_cast<std::uint8_t>(c));
    out_.u64(kFormatVersion);
}

void SectionWriter::append(std::string_view name, std::span<const std::byte> stored,
                           std::uint64_t raw_bytes) {
    assert(!name.empty() && name.size() <= kNameBytes);
    Name padded{};
    std::copy(name.begin(), name.end(), padded.begin());
    for (char c : padded) out_.u8(static_cast<std::uint8_t>(c));
    out_.u64(raw_bytes);
    out_.u64(stored.size());
    const std::uint64_t sum = checksum(padded, raw_bytes, stored);
    out_.u64(sum);
    for (std::byte b : stored) out_.u8(static_cast<std::uint8_t>(b));
    for (int i = 0; i < 8; ++i) checksums_.push_back(static_cast<std::byte>(sum >> (8 * i)));
}

void SectionWriter::add(std::string_view name, const ByteWriter& content) {
    append(name, compress(content.bytes()), content.bytes().size());
}

std::vector<std::byte> SectionWriter::finish() {
    const std::vector<std::byte> all = checksums_;
    append(kEnd, all, all.size());
    return out_.bytes();
}

SectionReader::SectionReader(std::span<const std::byte> bytes, std::string file)
    : file_(std::move(file)) {
    const auto cut_short = [&](std::string_view where) {
        return CaptureError(
            fmt::format("{}: cut short in section {} at byte {}", file_, where, bytes.size()));
    };
    const std::size_t known = std::min(kMagic.size(), bytes.size());
    if (bytes.empty() || std::memcmp(bytes.data(), kMagic.data(), known) != 0)
        throw CaptureError(fmt::format("{}: not a capture (it does not begin as one)", file_));
    if (bytes.size() < kMagic.size() + 8) throw cut_short("header");
    const std::uint64_t version = ByteReader(bytes.subspan(kMagic.size(), 8)).u64();
    if (version != kFormatVersion)
        throw CaptureError(fmt::format("{}: format version {} is unknown (this program reads {})",
                                       file_, version, kFormatVersion));
    std::size_t at = kMagic.size() + 8;
    std::vector<std::byte> sums;
    for (;;) {
        if (bytes.size() == at) throw cut_short("end");
        if (bytes.size() - at < kNameBytes) throw cut_short("header");
        Name padded{};
        std::memcpy(padded.data(), bytes.data() + at, kNameBytes);
        const std::string name(padded.begin(), std::find(padded.begin(), padded.end(), '\0'));
        // A name can be damaged too: show only what prints.
        const bool printable =
            std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127; });
        const std::string shown = printable && !name.empty() ? name : "(damaged name)";
        if (bytes.size() - at < kHeaderBytes) throw cut_short(shown);
        ByteReader header(bytes.subspan(at + kNameBytes, 24));
        const std::uint64_t raw_bytes = header.u64(), stored_bytes = header.u64(),
                            sum = header.u64();
        if (stored_bytes > bytes.size() - at - kHeaderBytes) throw cut_short(shown);
        const auto stored = bytes.subspan(at + kHeaderBytes, stored_bytes);
        const auto damaged = [&](std::string_view how) {
            return CaptureError(fmt::format("{}: section {} at byte {} {}", file_, shown, at, how));
        };
        if (checksum(padded, raw_bytes, stored) != sum)
            throw damaged("is damaged (its checksum does not fit)");
        at += kHeaderBytes + stored_bytes;
        if (name == kEnd) {
            if (!std::equal(stored.begin(), stored.end(), sums.begin(), sums.end()))
                throw damaged("does not fit the sections before it");
            if (at != bytes.size())
                throw CaptureError(fmt::format("{}: has {} bytes after its end at byte {}", file_,
                                               bytes.size() - at, at));
            return;
        }
        for (int i = 0; i < 8; ++i) sums.push_back(static_cast<std::byte>(sum >> (8 * i)));
        if (raw_bytes > kMaxRawBytes) throw damaged("claims to unpack to more than 8 GiB");
        std::vector<std::byte> raw(raw_bytes);
        const std::size_t n = ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size());
        if (ZSTD_isError(n) || n != raw_bytes) throw damaged("does not unpack");
        if (!sections_.emplace(name, std::move(raw)).second) throw damaged("occurs twice");
    }
}

ByteReader SectionReader::get(const std::string& name) const {
    const auto it = sections_.find(name);
    if (it == sections_.end())
        throw CaptureError(fmt::format("{}: has no section {}", file_, name));
    return ByteReader(it->second);
}

}  // namespace xenfs::workloads
