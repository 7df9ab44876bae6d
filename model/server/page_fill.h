#pragma once
// Making pages of a file resident in the shared cache, and letting them go.
//
// Who holds slots across a yield has pinned them and counts in FileIo. A request for a page that is
// loading is parked without a pin, and looks everything up anew afterwards.

#include "model/server/file_io.h"
#include "model/server/sharing.h"

namespace xenfs::server {

/// Keeps no state of its own. A request that fill() has parked has pinned nothing.
class PageFill : public Part {
  public:
    PageFill(const Shared& shared, FileIo& io, RoomQueue& room, Sharing& sharing)
        : Part(shared), io_(io), room_(room), sharing_(sharing) {}

    struct Wish {
        std::uint32_t first = 0, count = 0;
        bool overwrite = false;  ///< pages wholly overwritten (see head, tail) need no reading
        bool head_kept = false, tail_kept = false;
    };
    /// Pins q.worker->slots[0 … result); `error` is an errno of the storage, or `parked`; none and
    /// no error: no frame.
    std::uint32_t fill(Request& q, Inode& inode, Inodes::Index index, const Wish& wish,
                       int& error) MAY_YIELD;
    /// Called inside of FileIo. 0: none of the pages is loading. `parked`: one is being read, or is
    /// about to be overwritten by a client; nothing has been done for the request. Pages that
    /// clients have had for too long are taken away from them, all at once.
    int settle_loading(Request& q, Inode& inode, Inodes::Index index, std::uint32_t file,
                       std::uint32_t first, std::uint32_t count) MAY_YIELD;
    /// The file's number in the cache: one for all, or one for each client (dedup "none").
    std::uint32_t file_number(Inode& inode, Inodes::Index index, const Connection& c);
    /// The file's cached pages in [first_page, end_page) go, whoever has entries on them.
    void drop_pages(Inode& inode, std::uint64_t first_page,
                    std::uint64_t end_page = ~std::uint64_t{0});
    /// Drops the pages that agreed with the storage's file before somebody else changed it. What
    /// clients have written or are about to write stays.
    void drop_clean(Inode& inode);
    /// A page that was pinned for a request and is not handed out after all.
    void release_unused(cache::Slot slot);

    /// A page is no longer loading, or nobody holds slots of a file any more: whoever waits for
    /// that is looked at.
    void settled();
    /// The age (page_age) of a page that is handed out now to be overwritten.
    std::uint8_t flux_age() const;
    /// By how much the ages of pages that are about to be overwritten tell times apart.
    Nanoseconds age_unit() const { return std::max<Nanoseconds>(config_.ack_timeout / 4, 1); }

  private:
    template <class Which>
    void drop_if(Inode& inode, Which which);
    cache::Slot insert_page(Worker& w, Inode& inode, cache::PageKey key, bool overwrite,
                            bool& to_read);
    bool copy_variant(Inode& inode, cache::PageKey key, cache::Slot slot);
    bool load_run(Connection& c, Inode& inode, std::span<const cache::Slot> slots,
                  int& error) MAY_YIELD;
    bool page_settled(const Request& q) const;
    /// Whether the request may have the page that another client is to overwrite.
    bool may_detach(const Request& q, cache::Slot slot) const;

    FileIo& io_;
    RoomQueue& room_;
    Sharing& sharing_;
};

}  // namespace xenfs::server
