#pragma once
// A file's attributes as this guest knows them, and its exclusive lease.

#include <algorithm>
#include <cassert>
#include <memory>
#include <string>
#include <utility>

#include "model/client/vocabulary.h"

namespace xenfs::client {

/// Under the lease the size and the time of the last write are newer here than at the server; a
/// size that is not known yet is the end of what was written under it.
/// Invariant: valid() implies size_known(); recalled() and changed() imply leased().
class FileState {
  public:
    const Attr& attr() const { return attr_; }  ///< what getattr answers while valid()
    std::uint64_t size() const { return attr_.size; }
    std::uint64_t pages() const { return (attr_.size + page_size - 1) / page_size; }
    bool valid() const { return valid_; }
    /// The size alone may be known when the times are not.
    bool size_known() const { return size_known_; }
    bool leased() const { return leased_; }
    bool recalled() const { return recalled_; }  ///< the lease is being given up
    bool changed() const { return changed_; }    ///< the time of the last write is our own stamp
    /// Whether pages may become dirty here.
    bool may_dirty() const { return leased_ && !recalled_; }

    /// Takes in what a reply says. `outdated`: a notice overtook it, so that it is used once.
    void learn(Attr attr, bool outdated) {
        if (leased_) {
            attr.size = std::max(attr.size, attr_.size);
            if (changed_) attr.mtime = attr_.mtime;
        }
        attr_ = attr;
        valid_ = size_known_ = !outdated || leased_;
    }
    /// The server may have other attributes now. Under the lease the size stays ours.
    void forget() {
        valid_ = false;
        if (!leased_) size_known_ = false;
        target_.reset();
    }
    /// One of the file's names went by our own hand.
    void lost_name() {
        if (attr_.links > 0) --attr_.links;
    }
    void lost_last_name() { attr_.links = 0; }

    void wrote(std::uint64_t end, Nanoseconds now) {
        assert(leased_);
        attr_.size = std::max(attr_.size, end);
        attr_.mtime = attr_.ctime = now;
        changed_ = true;
    }
    void truncated(std::uint64_t size, Nanoseconds now) {
        assert(leased_);
        attr_.size = size;
        size_known_ = true;
        attr_.mtime = attr_.ctime = now;
    }
    /// Data was committed without the lease: the times are the server's. The size that it answered
    /// stays known if it was known before and no notice overtook the answer (`outdated`).
    void committed(std::uint64_t size, bool outdated) {
        const bool told = size_known_ && !outdated;
        forget();
        attr_.size = size;
        size_known_ = told;
    }
    void mtime_was_set() { changed_ = false; }

    /// A size that was forgotten must not be taken for what is written under the lease.
    void take_lease() {
        leased_ = true;
        changed_ = false;
        if (!size_known_) attr_.size = 0;
    }
    void begin_recall() { recalled_ = leased_; }
    void end_lease() { leased_ = recalled_ = changed_ = false; }

    /// The target of a symbolic link; null where it is not known.
    const std::string* target() const { return valid_ ? target_.get() : nullptr; }
    void learn_target(std::string target) {
        target_ = std::make_unique<std::string>(std::move(target));
    }

  private:
    Attr attr_;
    std::unique_ptr<std::string> target_;
    bool valid_ = false, size_known_ = false;
    bool leased_ = false, recalled_ = false, changed_ = false;
};

/// The one open at the server that all handles on a file share.
/// Invariant: what is not valid() is not for writing and has the number 0.
class ServerOpen {
  public:
    bool valid() const { return valid_; }
    bool writes() const { return writes_; }
    std::uint64_t fh() const { return fh_; }  ///< as requests carry it
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
