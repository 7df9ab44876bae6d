#include "real/local/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace xenfs::real::local {

Mapped::Mapped(int descriptor, std::size_t length, int protection) : length_(length) {
    void* const at = mmap(nullptr, length, protection, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    if (at == MAP_FAILED) {
        length_ = 0;
        throw LocalError("cannot map " + std::to_string(length >> 20) +
                         " MiB of a domain's memory: " + std::strerror(errno));
    }
    data_ = static_cast<std::byte*>(at);
}

Mapped::~Mapped() {
    if (data_ != nullptr) munmap(data_, length_);
}

Segment::Segment(const std::string& name, std::size_t pages)
    : writable_(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (!writable_ || ftruncate(writable_.get(), static_cast<off_t>(pages * page_size)) != 0 ||
        // Nobody can shorten it while a peer reads it, and only the broker's own user can open it
        // again with other rights.
        fcntl(writable_.get(), F_ADD_SEALS, seals) != 0 || fchmod(writable_.get(), 0600) != 0) {
        throw LocalError("cannot make a memfd for a domain's frames: " +
                         std::string(std::strerror(errno)));
    }
    const std::string self = "/proc/self/fd/" + std::to_string(writable_.get());
    readable_ = Descriptor(open(self.c_str(), O_RDONLY | O_CLOEXEC));
    if (!readable_) {
        throw LocalError("cannot open a memfd read-only through /proc (is it mounted?): " +
                         std::string(std::strerror(errno)));
    }
    mapped_ = Mapped(writable_.get(), pages * page_size, PROT_READ | PROT_WRITE);
}

void Segment::discard(Frame frame) {
    const off_t at = static_cast<off_t>(frame) << page_shift;
    if (fallocate(writable_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, page_size) !=
        0) {
        std::memset(page(frame), 0,
                    page_size);  // the kernel refuses, so the memory stays and is zeroed
    }
}

}  // namespace xenfs::real::local
