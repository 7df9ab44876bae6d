// Bytes of one section while it is put together or taken apart: little-endian integers, LEB128
// varints, strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace xenfs::workloads {

class ByteWriter {
  public:
    void u8(std::uint8_t v) { bytes_.push_back(static_cast<std::byte>(v)); }
    void u64(std::uint64_t v) {
        for (int i = 0; i < 8; ++i) u8(static_cast<std::uint8_t>(v >> (8 * i)));
    }
    void varint(std::uint64_t v) {
        for (; v >= 0x80; v >>= 7) u8(static_cast<std::uint8_t>(v | 0x80));
        u8(static_cast<std::uint8_t>(v));
    }
    // Signed values near 0 take one byte: 0, -1, 1, -2, … are 0, 1, 2, 3, …
    void zigzag(std::int64_t v) {
        varint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
    }
    void text(std::string_view s) {
        varint(s.size());
        const auto* p = reinterpret_cast<const std::byte*>(s.data());
        bytes_.insert(bytes_.end(), p, p + s.size());
    }
    [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

// Reading past the end throws std::out_of_range; the caller names the file and the section.
class ByteReader {
  public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::uint8_t u8() {
        if (at_ == bytes_.size()) throw std::out_of_range("has too little data");
        return static_cast<std::uint8_t>(bytes_[at_++]);
    }
    std::uint64_t u64() {
        std::uint64_t v = 0;
        for (int i = 0; i < 8; ++i) v |= static_cast<std::uint64_t>(u8()) << (8 * i);
        return v;
    }
    std::uint64_t varint() {
        std::uint64_t v = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const std::uint8_t b = u8();
            v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
            if (b < 0x80) return v;
        }
        throw std::out_of_range("has a number of more than 64 bits");
    }
    std::uint32_t varint32() { return static_cast<std::uint32_t>(varint()); }
    std::int64_t zigzag() {
        const std::uint64_t v = varint();
        return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
    }
    std::string text() {
        const std::uint64_t size = varint();
        if (size > bytes_.size() - at_) throw std::out_of_range("has too little data");
        std::string s(reinterpret_cast<const char*>(bytes_.data()) + at_, size);
        at_ += size;
        return s;
    }
    // A count of things that take at least one byte each: bounds what a damaged count can make us
    // allocate.
    std::size_t count() {
        const std::uint64_t n = varint();
        if (n > (std::uint64_t{1} << 32)) throw std::out_of_range("has an absurd count");
        return n;
    }
    [[nodiscard]] bool done() const { return at_ == bytes_.size(); }
    [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

  private:
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
};

}  // namespace xenfs::workloads
