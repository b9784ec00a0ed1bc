// Aligned memory for weights and scratch.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace embed_onnx {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector
constexpr size_t kHugePage = 2 << 20;

constexpr size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// `size` numbers, all zero at first, aligned to a cache line; from half a huge page on, in huge pages if the system has them.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size), data_(allocate(size)) {
    for (size_t i = 0; i < size; i++) data_[i] = T();
  }
  Buffer(Buffer&& other) noexcept : size_(other.size_), data_(other.data_) {
    other.size_ = 0;
    other.data_ = nullptr;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  // Whether both have the same bytes.
  bool operator==(const Buffer& other) const {
    return size_ == other.size_ && (!size_ || !std::memcmp(data_, other.data_, size_ * sizeof(T)));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  static T* allocate(size_t size) {
    const size_t alignment = size * sizeof(T) < kHugePage / 2 ? kAlignment : kHugePage;
    const size_t bytes = round_up(size * sizeof(T) + 1, alignment);
    void* memory = std::aligned_alloc(alignment, bytes);
    if (!memory) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // without effect where they are switched off
#endif
    return static_cast<T*>(memory);
  }

  size_t size_ = 0;
  T* data_ = nullptr;
};

}  // namespace embed_onnx
