// The cache's big arrays come from here. The core knows the standard library only, so a program
// that wants huge pages (a simulator, a tool) installs a pair of functions before it makes caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace xenfs::cache {

/// A source of zeroed memory, aligned to 64 bytes. `allocate_zeroed` returns nullptr when there is
/// none. Untouched parts need not be backed: arrays are reserved whole and touched as slots come
/// into use.
struct ArrayMemory {
    void* (*allocate_zeroed)(std::size_t bytes);
    void (*release)(void* memory, std::size_t bytes);
};

/// Replaces the source (initially calloc and free) for arrays made from now on; returns the old
/// one. Arrays remember their own source. Not thread-safe: call it at a program's start.
ArrayMemory set_array_memory(ArrayMemory memory);
ArrayMemory array_memory();

/// A fixed-length zeroed array of plain values, movable. Throws std::bad_alloc.
template <class T>
class ZeroedArray {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    ZeroedArray() = default;
    explicit ZeroedArray(std::size_t length) : memory_(array_memory()), length_(length) {
        if (length == 0) return;
        data_ = static_cast<T*>(memory_.allocate_zeroed(length * sizeof(T)));
        if (data_ == nullptr) throw std::bad_alloc();
    }
    ZeroedArray(ZeroedArray&& other) noexcept { swap(other); }
    ZeroedArray& operator=(ZeroedArray&& other) noexcept {
        ZeroedArray taken(std::move(other));
        swap(taken);
        return *this;
    }
    ZeroedArray(const ZeroedArray&) = delete;
    ZeroedArray& operator=(const ZeroedArray&) = delete;
    ~ZeroedArray() {
        if (data_ != nullptr) memory_.release(data_, bytes());
    }

    T& operator[](std::size_t i) { return data_[i]; }
    const T& operator[](std::size_t i) const { return data_[i]; }
    T* data() { return data_; }
    const T* data() const { return data_; }
    std::size_t size() const { return length_; }
    std::size_t bytes() const { return length_ * sizeof(T); }

  private:
    void swap(ZeroedArray& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(data_, other.data_);
        std::swap(length_, other.length_);
    }

    ArrayMemory memory_{};
    T* data_ = nullptr;
    std::size_t length_ = 0;
};

}  // namespace xenfs::cache
