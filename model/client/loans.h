#pragma once
// This part keeps pages in the hands of programs: mapped by processes of this guest, or lent to a
// caller that moves the bytes or maps the shared frame by itself (libxenfs).

#include <span>
#include <vector>

#include "model/client/read.h"

namespace xenfs::client {

/// Invariant: a page that n processes have mapped is pinned n times, or was_taken() counts those
/// from which it was revoked; a lent page stays where it is until it was given back as often as
/// lent (PageStore::lend).
class Loans : Part {
  public:
    Loans(const Shared& shared, TransferChoice& choice, PageExchange& exchange, Flusher& flusher,
          PageFetch& fetch, Attributes& attributes, FileReader& reader)
        : Part(shared),
          choice_(choice),
          exchange_(exchange),
          flusher_(flusher),
          fetch_(fetch),
          attributes_(attributes),
          reader_(reader) {}

    // The members below are those of Client.
    int map_pages(Handle handle, std::uint64_t first_page, std::size_t count, MapKind kind,
                  bool write, std::span<Fingerprint> contents) MAY_YIELD;
    int unmap_pages(Handle handle, std::uint64_t first_page, std::size_t count,
                    MapKind kind) MAY_YIELD;
    Result<std::size_t> borrow(Handle handle, std::uint64_t offset, std::size_t length,
                               std::vector<host::Piece>& pieces, std::size_t most_pieces) MAY_YIELD;
    void give_back(std::span<const host::Piece> pieces);
    Result<host::Page> share_page(Handle handle, std::uint64_t page, std::size_t ahead,
                                  bool write) MAY_YIELD;
    void give_back(host::Page page);
    int publish(Handle handle) MAY_YIELD;
    bool shows(NodeId node, std::uint64_t page, host::Page shared);
    GrantRef reference_of(NodeId node, std::uint64_t page, host::Page shared);

  private:
    Slot kernel_copy(Node& node, std::uint64_t page, int& error) MAY_YIELD;
    Slot shared_page(Node& node, std::uint64_t page, std::size_t ahead, bool write, int& error,
                     bool foreign = false) MAY_YIELD;
    Slot find_shared(NodeId node, std::uint64_t page, host::Page shared);
    bool unpin(Node& node, bool copies, std::uint64_t first_page, std::size_t count,
               std::vector<std::uint64_t>* taken);
    bool copies(MapKind kind) const {
        return config_.mmap == MmapMode::private_copy && kind != MapKind::shared;
    }
    int note_stores(Node& node, std::uint64_t offset) MAY_YIELD;
    TransferChoice& choice_;
    PageExchange& exchange_;
    Flusher& flusher_;
    PageFetch& fetch_;
    Attributes& attributes_;
    FileReader& reader_;
};

}  // namespace xenfs::client
