#pragma once
// What a file system sees of a disk: 4 KiB blocks, requests in batches.

#include <memory>
#include <span>

#include "sim/storage/block_allocator.h"
#include "sim/storage/disk_driver.h"

namespace xenfs::sim {

struct BlockRequest {
    BlockRange range;
    bool write = false;
};

class BlockDevice {
  public:
    virtual ~BlockDevice() = default;
    /// Does all of the batch, then returns. A yield point; called by tasks of the domain that
    /// mounted it. There is no write cache below: what is written is on the disk.
    virtual void transfer(std::span<const BlockRequest> batch) = 0;
    virtual std::uint64_t blocks() const = 0;
};

/// A part of a disk, for tasks of the domain that drives the disk (`caller`'s). Both outlive it.
class Partition : public BlockDevice {
  public:
    Partition(host::Host& caller, DiskDriver& driver, std::uint64_t first_block,
              std::uint64_t blocks);
    void transfer(std::span<const BlockRequest> batch) override;
    std::uint64_t blocks() const override { return blocks_; }

  private:
    host::Host& caller_;
    DiskDriver& driver_;
    std::uint64_t first_block_, blocks_;
};

}  // namespace xenfs::sim
