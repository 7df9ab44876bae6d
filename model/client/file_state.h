#pragma once
// A file's attributes as this guest knows them, and whether it has the file's exclusive lease.

#include <algorithm>
#include <cassert>
#include <memory>
#include <string>
#include <utility>

#include "model/client/vocabulary.h"

namespace xenfs::client {

/// Under the lease the size and the time of the last write are newer here than at the server; where
/// the size is not known yet, it counts only what was written under the lease. Invariant: valid()
/// implies size_known(); recalled() and changed() imply leased().
class FileState {
  public:
    const Attr& attr() const { return attr_; }  ///< getattr's answer while valid()
    std::uint64_t size() const { return attr_.size; }
    std::uint64_t pages() const { return (attr_.size + page_size - 1) / page_size; }
    bool valid() const { return valid_; }
    /// The size may be known when the other attributes are not.
    bool size_known() const { return size_known_; }
    bool leased() const { return leased_; }
    bool recalled() const { return recalled_; }  ///< the lease is being given up
    bool changed() const { return changed_; }    ///< the time of the last write is known here first
    /// Returns whether pages may become dirty here.
    bool may_dirty() const { return leased_ && !recalled_; }

    /// Takes over what a reply says. Where a notice overtook it (`outdated`), the reply is used
    /// once.
    void learn(Attr attr, bool outdated) {
        if (leased_) {
            attr.size = std::max(attr.size, attr_.size);
            if (changed_) {
                attr.mtime = attr_.mtime;
                attr.ctime = std::max(attr.ctime, attr_.ctime);
            }
        }
        attr_ = attr;
        blocks_guessed_ = false;
        valid_ = size_known_ = !outdated || leased_;
    }
    /// Forgets attributes that may have changed at the server. Under the lease the size stays ours.
    void forget() {
        valid_ = false;
        if (!leased_) size_known_ = false;
        target_.reset();
    }
    /// This guest removed one of the file's names.
    void lost_name() {
        if (attr_.links > 0) --attr_.links;
    }
    void lost_last_name() { attr_.links = 0; }

    void wrote(std::uint64_t end, WorldTime now) {
        assert(leased_);
        attr_.size = std::max(attr_.size, end);
        attr_.mtime = attr_.ctime = now;
        changed_ = true;
    }
    /// So many pages have become dirty, after wrote().
    void dirtied(std::uint64_t pages) {
        attr_.add_pages(pages, attr_.size);
        blocks_guessed_ = blocks_guessed_ || pages != 0;
    }
    /// Whether the blocks count pages that may have had blocks before. Only the server knows, once
    /// they are stored.
    bool blocks_guessed() const { return blocks_guessed_; }
    void truncated(std::uint64_t size, WorldTime now) {
        assert(leased_);
        attr_.size = size;
        attr_.blocks = std::min(attr_.blocks, Attr::most_blocks(size));
        size_known_ = true;
        attr_.mtime = attr_.ctime = now;
    }
    /// Data was committed without the lease, so that the server sets the times. The size in its
    /// reply stays known if it was known before and no notice overtook the reply (`outdated`).
    void committed(std::uint64_t size, bool outdated) {
        const bool told = size_known_ && !outdated;
        forget();
        attr_.size = size;
        size_known_ = told;
    }
    /// This guest sets the time of the last write. Under the lease it is the one of writes that
    /// were made before and are sent later.
    void set_mtime(WorldTime mtime) {
        attr_.mtime = mtime;
        changed_ = leased_;
    }

    /// Begins the lease. A size that was forgotten must not count as written under it.
    void take_lease() {
        leased_ = true;
        changed_ = false;
        if (!size_known_) attr_.size = 0;
    }
    void begin_recall() { recalled_ = leased_; }
    void end_lease() { leased_ = recalled_ = changed_ = false; }

    /// Returns the target of a symbolic link, or null where it is not known.
    const std::string* target() const { return valid_ ? target_.get() : nullptr; }
    void learn_target(std::string target) {
        target_ = std::make_unique<std::string>(std::move(target));
    }

  private:
    Attr attr_;
    std::unique_ptr<std::string> target_;
    bool valid_ = false, size_known_ = false;
    bool leased_ = false, recalled_ = false, changed_ = false;
    bool blocks_guessed_ = false;
};

/// The one open at the server that all handles on a file share. Invariant: one that is not valid()
/// is not for writing and has the number 0.
class ServerOpen {
  public:
    bool valid() const { return valid_; }
    bool writes() const { return writes_; }
    std::uint64_t fh() const { return fh_; }  ///< the number that requests carry
    void set(std::uint64_t fh, bool writes) {
        fh_ = fh;
        valid_ = true;
        writes_ = writes;
    }
    void reset() { *this = {}; }

  private:
    std::uint64_t fh_ = 0;
    bool valid_ = false, writes_ = false;
};

}  // namespace xenfs::client
