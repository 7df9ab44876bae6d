#ifndef XENFS_HPP
#define XENFS_HPP
// xenfs.h for C++17: handles that end themselves, failures as std::system_error with libxenfs's
// sentence. Movable, not copyable.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "xenfs.h"

namespace xenfs {

[[noreturn]] inline void fail() {
    const int error = errno;
    throw std::system_error(error, std::generic_category(), xenfs_error());
}

/// Pages of a file in memory; unmapped with it.
class Mapping {
  public:
    Mapping() = default;
    Mapping(void* address, std::size_t size) : address_(address), size_(size) {}
    Mapping(Mapping&& other) noexcept
        : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(address_, other.address_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Mapping() {
        if (address_ != nullptr) xenfs_unmap(address_, size_);
    }
    void* data() const { return address_; }
    std::size_t size() const { return size_; }
    template <class Type>
    Type* as(std::size_t offset = 0) const {
        return reinterpret_cast<Type*>(static_cast<std::byte*>(address_) + offset);
    }
    void sync(int flags = MS_SYNC) const {
        if (xenfs_msync(address_, size_, flags) != 0) fail();
    }

  private:
    void* address_ = nullptr;
    std::size_t size_ = 0;
};

class File {
  public:
    explicit File(xenfs_file* file) : file_(file) {
        if (file == nullptr) fail();
    }
    File(File&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
    File& operator=(File&& other) noexcept {
        std::swap(file_, other.file_);
        return *this;
    }
    ~File() {
        if (file_ != nullptr) xenfs_close(file_);
    }
    std::size_t read(void* into, std::size_t length, off_t offset) const {
        return checked(xenfs_pread(file_, into, length, offset));
    }
    std::size_t write(const void* from, std::size_t length, off_t offset) const {
        return checked(xenfs_pwrite(file_, from, length, offset));
    }
    struct stat status() const {
        struct stat out {};
        if (xenfs_fstat(file_, &out) != 0) fail();
        return out;
    }
    void resize(off_t length) const {
        if (xenfs_ftruncate(file_, length) != 0) fail();
    }
    void sync() const {
        if (xenfs_fsync(file_) != 0) fail();
    }
    Mapping map(std::size_t length, int prot = PROT_READ, off_t offset = 0) const {
        void* const address = xenfs_map(file_, length, prot, offset);
        if (address == MAP_FAILED) fail();
        return {address, length};
    }
    xenfs_file* get() const { return file_; }

  private:
    static std::size_t checked(ssize_t done) {
        if (done < 0) fail();
        return static_cast<std::size_t>(done);
    }
    xenfs_file* file_;
};

class Mount {
  public:
    explicit Mount(const std::string& path) : fs_(xenfs_connect(path.c_str())) {
        if (fs_ == nullptr) fail();
    }
    Mount(Mount&& other) noexcept : fs_(std::exchange(other.fs_, nullptr)) {}
    Mount& operator=(Mount&& other) noexcept {
        std::swap(fs_, other.fs_);
        return *this;
    }
    ~Mount() { xenfs_disconnect(fs_); }
    File open(const std::string& path, int flags, mode_t mode = 0666) const {
        return File(xenfs_open(fs_, path.c_str(), flags, mode));
    }

  private:
    xenfs_mount* fs_;
};

}  // namespace xenfs
#endif
