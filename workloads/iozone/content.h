#pragma once
// Which content each page of an iozone file has (Content in options.h says in which shares).

#include <vector>

#include "workloads/iozone/options.h"
#include "workloads/process/content.h"

namespace xenfs::workloads::iozone {

/// The contents of one file's pages, the same at each writing.
class FileContent {
  public:
    /// `file`: which process's file.
    FileContent(const Content& content, std::uint64_t file, std::uint64_t record_bytes)
        : content_(content),
          file_(mix64(content.salt, file)),
          buffer_(record_bytes / page_size + 2, common_page) {}

    Fingerprint page(std::uint64_t number) const {
        if (content_.all_same) return common_page;
        // What a page is depends on its number alone, so that files agree on which they share.
        const double percent = share(number, 1);
        if (percent < content_.across_percent)
            return share(number, 2) < content_.interior_percent ? common_page
                                                                : made_content(number, 3);
        if (percent < content_.across_percent + content_.within_percent)
            return made_content(file_, 4);
        return made_content(file_, number, 5);
    }

    /// The pages that [offset, offset + length) touches, length at most the record's; valid until
    /// the next call.
    Fingerprint* pages(std::uint64_t offset, std::uint64_t length) {
        if (!content_.all_same) {
            const std::uint64_t first = offset / page_size;
            const std::uint64_t last = (offset + length - 1) / page_size;
            for (std::uint64_t i = first; i <= last; ++i) buffer_[i - first] = page(i);
        }
        return buffer_.data();
    }

  private:
    static constexpr Fingerprint common_page = made_content(0x10203, 0);

    static double share(std::uint64_t number, std::uint64_t purpose) {
        return static_cast<double>(mix64(number, purpose) >> 11) * 0x1p-53 * 100.0;
    }

    Content content_;
    std::uint64_t file_;
    std::vector<Fingerprint> buffer_;
};

}  // namespace xenfs::workloads::iozone
