#include "workloads/capture/tracer/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>

namespace xenfs::workloads {

namespace {
constexpr Fingerprint kMask = (Fingerprint{1} << 48) - 1;
}

Fingerprint fingerprint_of_page(const void* page) {
    static constexpr std::array<unsigned char, kPageBytes> zeros{};
    if (std::memcmp(page, zeros.data(), kPageBytes) == 0) return kZeroPage;
    const Fingerprint hash = XXH3_64bits(page, kPageBytes) & kMask;
    return hash == kZeroPage ? 1 : hash;
}

Content read_content(int fd, const std::string& name) {
    Content content;
    struct stat st {};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return content;
    content.size_bytes = static_cast<std::uint64_t>(st.st_size);
    const std::uint64_t pages = (content.size_bytes + kPageBytes - 1) / kPageBytes;
    content.pages.reserve(pages);
    if (content.size_bytes > kMaxHashedBytes) {
        const std::uint64_t seed =
            XXH3_64bits_withSeed(name.data(), name.size(), content.size_bytes);
        for (std::uint64_t i = 0; i < pages; ++i)
            content.pages.push_back((XXH3_64bits_withSeed(&i, sizeof i, seed) & kMask) | 1);
        return content;
    }
    static std::vector<unsigned char> block(256 * kPageBytes);
    std::uint64_t at = 0;
    while (content.pages.size() < pages) {
        std::size_t have = 0;
        while (have < block.size()) {
            const ssize_t n =
                pread(fd, block.data() + have, block.size() - have, static_cast<off_t>(at + have));
            if (n <= 0) break;
            have += static_cast<std::size_t>(n);
        }
        if (have < block.size()) std::memset(block.data() + have, 0, block.size() - have);
        for (std::size_t i = 0; i < block.size() && content.pages.size() < pages; i += kPageBytes)
            content.pages.push_back(fingerprint_of_page(block.data() + i));
        at += block.size();
    }
    return content;
}

Content read_content(const std::string& file) {
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return {};
    Content content = read_content(fd, file);
    close(fd);
    return content;
}

}  // namespace xenfs::workloads
