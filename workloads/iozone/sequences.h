#pragma once
// The order in which iozone's tests touch the records of a file; n = file size / record size.

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace xenfs::workloads::iozone {

/// The 64-bit Mersenne Twister, seeded from an array of words as its authors define it
/// (init_by_array64; Matsumoto and Nishimura 2004). std::seed_seq gives another state.
std::mt19937_64 mt19937_64_by_array(std::span<const std::uint64_t> key);

/// The permutation of 0 … n-1 that random read and random write share: for i in 0 … n-1,
/// swap(record[i], record[rand % n]), with the key {0x12345, 0x23456, 0x34567, 0x45678}.
std::vector<std::uint64_t> random_records(std::uint64_t n);

/// Stride read: goes on by `stride` records; where that would reach the last record, wraps to the
/// next start 1, 2, …; a file of at most `stride` records is read at record 0 only.
class StrideSequence {
  public:
    StrideSequence(std::uint64_t n, std::uint64_t stride) : n_(n), stride_(stride) {}
    std::uint64_t next() {
        const std::uint64_t record = position_;
        if (n_ <= stride_) return record;
        if (position_ + stride_ >= n_ - 1)
            position_ = ++wraps_ % n_;
        else
            position_ += stride_;
        return record;
    }

  private:
    std::uint64_t n_, stride_, position_ = 0, wraps_ = 0;
};

}  // namespace xenfs::workloads::iozone
