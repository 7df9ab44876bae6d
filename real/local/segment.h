#pragma once
#include <cstddef>
#include <stdexcept>
#include <string>

#include "real/local/wire.h"

namespace xenfs::real::local {

/// Thrown where the local host cannot be made or joined: one sentence with what to do about it.
class LocalError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A range of this process's address space, which the destructor unmaps.
class Mapped {
  public:
    Mapped() = default;
    /// Throws LocalError where the kernel refuses.
    Mapped(int descriptor, std::size_t length, int protection);
    Mapped(Mapped&& other) noexcept { swap(other); }
    Mapped& operator=(Mapped&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Mapped();
    std::byte* data() const { return data_; }
    std::size_t length() const { return length_; }

  private:
    void swap(Mapped& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(length_, other.length_);
    }
    std::byte* data_ = nullptr;
    std::size_t length_ = 0;
};

/// The frames of one domain: a memfd of fixed length whose pages exist once touched, and a second,
/// read-only opening of it, of which no writable mapping can ever be made.
class Segment {
  public:
    Segment(const std::string& name, std::size_t pages);
    int writable() const { return writable_.get(); }
    int readable() const { return readable_.get(); }
    std::size_t pages() const { return mapped_.length() / page_size; }
    std::byte* page(Frame frame) const { return mapped_.data() + std::size_t{frame} * page_size; }
    void discard(Frame frame);  ///< gives its memory back to the kernel; it reads as zeros again

  private:
    Descriptor writable_, readable_;
    Mapped mapped_;  ///< the broker's own mapping
};

}  // namespace xenfs::real::local
