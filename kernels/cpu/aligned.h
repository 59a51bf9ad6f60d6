// Strided arrays whose elements may lie across their natural borders.
#pragma once

#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

inline bool aligned(const Array& x) {
  const int64_t size = item_size(x.dtype);
  if (reinterpret_cast<uintptr_t>(x.data) % static_cast<size_t>(size)) return false;
  for (int d = 0; d < x.ndim; ++d) {
    if (x.stride[d] % size) return false;
  }
  return true;
}

// An array as it is or, where elements lie across their natural borders (a field of a record, say),
// as a copy.
struct Aligned {
  Array array;
  int64_t stride[kMaxDims];
  void* memory = nullptr;
  size_t bytes = 0;

  explicit Aligned(const Array& x) : array(x) {
    if (aligned(x)) return;
    const int64_t size = item_size(x.dtype);
    bytes = static_cast<size_t>(x.size * size);
    memory = allocate(bytes);
    array.data = static_cast<char*>(memory);
    array.stride = stride;
    int64_t step = size;
    for (int d = x.ndim - 1; d >= 0; --d) {
      stride[d] = step;
      step *= x.shape[d];
    }
    if (!memory) return;
    for (int64_t i = 0; i < x.size; ++i) {
      int64_t rest = i, offset = 0;
      for (int d = x.ndim - 1; d >= 0; --d) {
        offset += rest % x.shape[d] * x.stride[d];
        rest /= x.shape[d];
      }
      __builtin_memcpy(array.data + i * size, x.data + offset, static_cast<size_t>(size));
    }
  }
  ~Aligned() {
    if (memory) release(memory, bytes);
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
};

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
