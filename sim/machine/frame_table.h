#pragma once
#include <cassert>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "sim/machine/content_count.h"
#include "sim/machine/frame_observer.h"
#include "sim/machine/machine.h"

namespace xenfs::sim {

/// What is known of one machine page, in 16 bytes. The content is a fingerprint; for control memory
/// (rings, messages) it is the address of real bytes.
struct FrameRecord {
    /// A file frame holds data of files, a control frame rings and messages, a memory frame
    /// whatever else a guest holds (its kernel, programs, zeros; see Domain::take_memory).
    enum Use : std::uint32_t { free, file, control, memory };
    std::uint64_t content;
    std::uint32_t owner : 16;
    std::uint32_t use : 2;
    std::uint32_t filled : 1;     ///< since it was allocated
    std::uint32_t empty : 1;      ///< discarded; it counts as file data again when it is written to
    std::uint32_t epoch : 12;     ///< when it was last touched, see FrameTable::touch
    std::uint32_t entries : 12;   ///< how many grant entries name it
    std::uint32_t mappings : 20;  ///< how many mappings by grant it has
    static constexpr std::uint32_t max_entries = (1u << 12) - 1, max_mappings = (1u << 20) - 1;

    std::byte* bytes() const { return reinterpret_cast<std::byte*>(content); }
};
static_assert(sizeof(FrameRecord) == 16);

/// All machine pages. Contents survive release and are seen by the next owner, since Xen does not
/// scrub.
class FrameTable {
  public:
    FrameTable(std::size_t pages, std::size_t llc_pages, bool count_unique);
    ~FrameTable();

    std::size_t pages() const { return pages_; }
    std::size_t used_pages() const { return next_; }  ///< all frames that were ever allocated
    FrameRecord& operator[](Frame frame) { return records_[frame]; }
    const FrameRecord& operator[](Frame frame) const { return records_[frame]; }
    bool exists(Frame frame) const { return frame < next_; }

    /// The caller keeps the accounts; a free frame exists as long as they add up.
    Frame take(DomainId owner, FrameRecord::Use use, Nanoseconds when);
    void give(Frame frame);
    void move(Frame frame, DomainId to);
    void discard(Frame frame);

    Fingerprint content(const FrameRecord& record) const { return record.content; }
    void set_content(FrameRecord& record, Fingerprint content, Writer writer = Writer::program) {
        if (record.empty) count_again(record);
        if (count_unique_) recount(record, content);
        const bool filled = record.filled != 0;
        const Fingerprint before = std::exchange(record.content, content);
        record.filled = 1;
        if (observer != nullptr) observer->changed(index_of(record), filled, before, writer);
    }

    /// Returns whether a page is warm, and makes it so. A page is warm while it is among those
    /// touched last, about as many as the machine's last-level cache holds, told apart in steps of
    /// 1/32 of it.
    bool touch(FrameRecord& record) {
        const std::uint32_t age = (epoch_ - record.epoch) & epoch_mask;
        if (age != 0) {
            record.epoch = epoch_ & epoch_mask;
            if (++touched_ >= touches_per_epoch_) {
                touched_ = 0;
                epoch_ = (epoch_ + 1) & epoch_mask;
            }
        }
        return age < epochs_warm;
    }

    void mapped(FrameRecord& record) {
        changed = true;
        ++counts.mappings;
        if (record.mappings == 0) ++counts.mapped_frames;
        if (record.mappings == 1) ++counts.shared_frames;
        record.mappings = (record.mappings + 1) & FrameRecord::max_mappings;
    }
    void unmapped(FrameRecord& record) {
        assert(record.mappings > 0);
        changed = true;
        --counts.mappings;
        if (record.mappings == 1) --counts.mapped_frames;
        if (record.mappings == 2) --counts.shared_frames;
        record.mappings = (record.mappings - 1) & FrameRecord::max_mappings;
    }

    MemoryCounts counts;
    bool changed = false;  ///< whether they changed since the last sample
    FrameObserver* observer = nullptr;
    std::function<Nanoseconds()> now;  ///< gives the time of the counts' peak

    Frame index_of(const FrameRecord& record) const {
        return static_cast<Frame>(&record - records_.get());
    }

  private:
    static constexpr std::uint32_t epoch_mask = (1u << 12) - 1, epochs_warm = 32;
    void recount(FrameRecord& record, Fingerprint content);
    void count_file(int change, Nanoseconds when);
    void count_again(FrameRecord& record);

    struct Free {
        void operator()(FrameRecord* records) const { std::free(records); }
    };
    std::size_t pages_;
    std::unique_ptr<FrameRecord[], Free> records_;  ///< zeroed memory, which exists once touched
    std::size_t next_ = 0;
    std::vector<Frame> free_;
    ContentCount contents_;
    bool count_unique_;
    std::uint32_t epoch_ = 2 * epochs_warm, touched_ = 0, touches_per_epoch_;
};

}  // namespace xenfs::sim
