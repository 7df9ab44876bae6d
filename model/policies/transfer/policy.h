// A transfer policy decides for each request how pages travel between the shared cache and a
// client.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "model/host/host.h"
#include "model/policies/registry.h"

namespace xenfs::policies {

enum class Mechanism : std::uint8_t { copy, map, flip };
std::string_view name_of(Mechanism mechanism);

/// The client knows this when it is about to ask for pages or to write them.
struct TransferRequest {
    enum class Use : std::uint8_t {
        read,       ///< into a program's buffer
        write,      ///< new data for the cache, one way
        mmap_read,  ///< the program will look at the page itself
        mmap_write  ///< the program will store into the page itself
    };
    Use use = Use::read;
    std::uint32_t pages = 1;  ///< the pages of this batch
    /// How often each page will be used while the client could keep it, this time included. What
    /// is copied to be dropped after one use is copied again each time.
    double expected_uses = 1;
    /// Under Keep::around the request may have this many pages; 0 where the client has no room for
    /// the file's mappings, or has not missed its pages often enough to expect more misses.
    std::uint32_t around_pages = 0;
    /// the grant table or the guest's credit is full, so that mappings do not last
    bool entries_short = false;
    bool copy_is_kept = false;  ///< a copy would stay in a frame of the guest, which doubles it
    std::uint32_t unmap_batch = 256;  ///< pages that are unmapped together later
};

/// The reason of a decision, for timelines and counters. `only` says that the policy has no choice.
enum class TransferReason : std::uint8_t {
    only,
    cheaper_once,    ///< few uses: a copy costs less than map and unmap
    cheaper_reused,  ///< map and unmap are shared by enough uses
    cheaper_batch,   ///< a flip costs less than a copy for this batch
    cheaper_around,  ///< pages that will be missed next come with this request
    must_share,      ///< a program works on the page itself
    entries_short,   ///< a kept copy needs its entry for a moment only
    not_supported    ///< the host has no transfer, so copy
};
std::string_view name_of(TransferReason reason);

/// The client does this with pages after the use for which they were fetched.
enum class Keep : std::uint8_t {
    kept,    ///< kept until room is wanted; the least recently used go first
    once,    ///< given back when read to their end (mmap: when the last process unmaps them)
    around,  ///< kept, and the pages behind it come along as far as the server has them cached
    range  ///< mappings only: an aligned range is mapped at once and taken away whole, oldest first
};

struct TransferDecision {
    Mechanism mechanism = Mechanism::copy;
    TransferReason reason = TransferReason::only;
    /// The policy compared these costs of the whole request; zeros where it compared nothing.
    double copy_ns = 0, map_ns = 0, flip_ns = 0;
    Keep keep = Keep::kept;
};

/// A policy has no state and calls no host: the same request gives the same answer.
class TransferPolicy {
  public:
    virtual ~TransferPolicy() = default;
    virtual std::string_view name() const = 0;
    virtual TransferDecision decide(const TransferRequest& request) const = 0;
};

using TransferRegistry =
    Registry<TransferPolicy, std::function<std::unique_ptr<TransferPolicy>(
                                 const host::MechanismCosts&, const host::Capabilities&)>>;

/// There is one policy for each file NAME.cpp here that defines make_transfer_NAME(), and those
/// added later.
TransferRegistry& transfer_policies();

}  // namespace xenfs::policies
