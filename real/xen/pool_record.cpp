#include "real/xen/pool_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstring>
#include <filesystem>

namespace xenfs::real::xen {
namespace {

constexpr std::uint64_t present = 4;  ///< tells machine frame 0 from an empty place

}  // namespace

PoolRecord::PoolRecord(const std::string& file) : file_(file) {
    const std::size_t size = page_size + most_frames * sizeof(std::uint64_t);
    int flags = MAP_SHARED | MAP_NORESERVE;
    if (file.empty()) {
        flags |= MAP_ANONYMOUS;
    } else {
        std::error_code ignored;
        std::filesystem::create_directories(std::filesystem::path(file).parent_path(), ignored);
        descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (descriptor_ < 0) {
            throw XenError("cannot make " + file + ": " + std::strerror(errno));
        }
        if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
            ::close(descriptor_);
            throw XenError(file + " is in use: another server has this pool; stop it first");
        }
        if (ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
            ::close(descriptor_);
            throw XenError("cannot use " + file + ": " + std::strerror(errno));
        }
    }
    mapped_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, descriptor_, 0);
    if (mapped_ == MAP_FAILED) {
        if (descriptor_ >= 0) ::close(descriptor_);
        throw XenError("cannot map the pool's record: " + std::string(std::strerror(errno)));
    }
    header_ = static_cast<Header*>(mapped_);
    words_ =
        reinterpret_cast<volatile std::uint64_t*>(static_cast<std::byte*>(mapped_) + page_size);
    if (header_->magic != magic) {
        std::memset(mapped_, 0, page_size);
        header_->magic = magic;
    }
}

PoolRecord::~PoolRecord() {
    munmap(mapped_, page_size + most_frames * sizeof(std::uint64_t));
    if (descriptor_ >= 0) ::close(descriptor_);
}

void PoolRecord::begin(const Domain& domain) {
    header_->domain = {};
    for (Frame frame = 0; frame < frames(); ++frame) clear(frame);
    header_->frames = 0;
    header_->domain = domain;
}

void PoolRecord::end() {
    header_->domain = {};
    if (!file_.empty()) unlink(file_.c_str());
}

std::uint32_t PoolRecord::frames() const {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(header_->frames, most_frames));
}

void PoolRecord::set(Frame frame, xen_pfn_t machine_frame, std::uint64_t flags) {
    assert(frame < most_frames);
    if (frame >= header_->frames) header_->frames = frame + 1;
    words_[frame] = machine_frame << 8 | present | flags;
}

}  // namespace xenfs::real::xen
