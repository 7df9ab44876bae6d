#include "sim/storage/block_device.h"

#include <cassert>
#include <vector>

namespace xenfs::sim {

Partition::Partition(host::Host& caller, DiskDriver& driver, std::uint64_t first_block,
                     std::uint64_t blocks)
    : caller_(caller), driver_(driver), first_block_(first_block), blocks_(blocks) {
    assert((first_block + blocks) * sectors_per_page <= driver.disk().parameters().sectors);
}

void Partition::transfer(std::span<const BlockRequest> batch) {
    std::vector<DiskRequest> requests;
    requests.reserve(batch.size());
    for (const BlockRequest& request : batch) {
        assert(request.range.first + request.range.count <= blocks_);
        requests.push_back({(first_block_ + request.range.first) * sectors_per_page,
                            request.range.count * sectors_per_page, request.write});
    }
    driver_.transfer(caller_, requests);
}

}  // namespace xenfs::sim
