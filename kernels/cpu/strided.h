// Walking strided arrays: what the elementwise, copy and reduction kernels share. A `StridedLoop<N>`
// is the index space of a result with the byte strides of N operands in it (0 where an operand is
// broadcast), with its dimensions merged as far as all operands allow, so that the innermost loop is
// as long as it can be.
#pragma once

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {

template <class T>
constexpr DType kDTypeOf = sizeof(T) == 4 ? DType::kFloat32 : DType::kFloat64;

// Bytes of an element; 0: no such dtype. What moves elements without computing goes by this.
GS_INLINE int64_t item_size(DType dtype) {
  switch (dtype) {
    case DType::kBool:
    case DType::kUInt8:
    case DType::kInt8: return 1;
    case DType::kInt16:
    case DType::kFloat16:
    case DType::kBFloat16: return 2;
    case DType::kFloat32:
    case DType::kInt32: return 4;
    case DType::kFloat64:
    case DType::kInt64: return 8;
    default: return 0;
  }
}

GS_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
GS_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

template <int N>
struct StridedLoop {
  int ndim = 0;  // at least 1 after merge()
  int64_t shape[kMaxDims];
  int64_t stride[N][kMaxDims];
};

// The strides of `array`, broadcast to (ndim, shape), as operand `k` of the loop.
template <int N>
GS_INLINE void set_operand(StridedLoop<N>& loop, int k, const Array& array, int ndim,
                           const int64_t* shape) {
  const int missing = ndim - array.ndim;
  for (int d = 0; d < ndim; ++d) {
    const bool broadcast = d < missing || (array.shape[d - missing] == 1 && shape[d] != 1);
    loop.stride[k][d] = broadcast ? 0 : array.stride[d - missing];
  }
}

// Drops dimensions of extent 1 and joins neighbours that every operand walks as one.
template <int N>
GS_INLINE void merge(StridedLoop<N>& loop, int ndim, const int64_t* shape) {
  int out = 0;
  for (int d = 0; d < ndim; ++d) {
    if (shape[d] == 1) continue;
    bool joined = out > 0;
    for (int k = 0; k < N; ++k) {
      joined = joined && loop.stride[k][out - 1] == loop.stride[k][d] * shape[d];
    }
    if (joined) {
      loop.shape[out - 1] *= shape[d];
    } else {
      loop.shape[out++] = shape[d];
    }
    for (int k = 0; k < N; ++k) loop.stride[k][out - 1] = loop.stride[k][d];
  }
  if (out == 0) {
    loop.shape[0] = 1;
    for (int k = 0; k < N; ++k) loop.stride[k][0] = 0;
    out = 1;
  }
  loop.ndim = out;
}

// Calls row(position, pointers, n) for the runs along the innermost dimension that make up the
// elements [begin, end) of the loop in C order; `base` are the operands' first elements.
template <int N, class Row>
GS_INLINE void for_rows(const StridedLoop<N>& loop, const char* const (&base)[N], int64_t begin,
                        int64_t end, const Row& row) {
  if (begin >= end) return;
  int64_t index[kMaxDims];
  const char* p[N];
  for (int k = 0; k < N; ++k) p[k] = base[k];
  const int last = loop.ndim - 1;
  int64_t rest = begin;
  for (int d = last; d >= 0; --d) {
    index[d] = d ? rest % loop.shape[d] : rest;
    if (d) rest /= loop.shape[d];
    for (int k = 0; k < N; ++k) p[k] += index[d] * loop.stride[k][d];
  }
  const int64_t inner = loop.shape[last];
  int64_t position = begin;
  for (;;) {
    const int64_t n = min64(inner - index[last], end - position);
    row(position, p, n);
    position += n;
    if (position >= end) return;
    for (int k = 0; k < N; ++k) p[k] -= index[last] * loop.stride[k][last];
    index[last] = 0;
    for (int d = last - 1; d >= 0; --d) {
      for (int k = 0; k < N; ++k) p[k] += loop.stride[k][d];
      if (++index[d] < loop.shape[d]) break;
      index[d] = 0;
      for (int k = 0; k < N; ++k) p[k] -= loop.shape[d] * loop.stride[k][d];
    }
  }
}

// Whether every element of operand k that the loop reaches from `p` is aligned to T.
template <class T, int N>
GS_INLINE bool is_aligned(const StridedLoop<N>& loop, int k, const char* p) {
  bool yes = reinterpret_cast<uintptr_t>(p) % alignof(T) == 0;
  for (int d = 0; d < loop.ndim; ++d) {
    yes = yes && loop.stride[k][d] % static_cast<int64_t>(alignof(T)) == 0;
  }
  return yes;
}

// Whether a row of operand k is a T array: neighbours, aligned.
template <class T, int N>
GS_INLINE bool rows_are_arrays(const StridedLoop<N>& loop, int k, const char* p) {
  return loop.stride[k][loop.ndim - 1] == static_cast<int64_t>(sizeof(T)) &&
         is_aligned<T>(loop, k, p);
}

// One element at any address.
template <class T>
GS_INLINE T load_one(const char* p) {
  T x;
  __builtin_memcpy(&x, p, sizeof(T));
  return x;
}

template <class T>
GS_INLINE void store_one(char* p, T x) {
  __builtin_memcpy(p, &x, sizeof(T));
}

// n lanes, `stride` bytes apart, at any address; the rest are zero.
template <class T>
GS_INLINE Vec<T> load_strided(const char* p, int64_t stride, int64_t n) {
  alignas(GS_VECTOR_BYTES) T lanes[kLanes<T>] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = load_one<T>(p + i * stride);
  return load<T>(lanes);
}

// kLanes bytes as lanes. (The compiler goes through general registers: where of 1.6e6 float32
// 1.03 -> 0.38 ms, masked_fill 0.44 -> 0.17 on one Zen 5 core.)
template <class T>
GS_INLINE Vec<T> widen_bytes(const uint8_t* p) {
#if defined(__AVX512BW__)
  if constexpr (sizeof(T) == 8) {
    return (Vec<T>)_mm512_maskz_cvtepu8_epi64(0xff,
                                              _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  } else if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_maskz_cvtepu8_epi32(0xffff,
                                              _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  } else if constexpr (sizeof(T) == 2) {
    return (Vec<T>)_mm512_maskz_cvtepu8_epi16(
        ~__mmask32{0}, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (Vec<T>)_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
  } else if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  } else if constexpr (sizeof(T) == 2) {
    return (Vec<T>)_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
#endif
  typedef uint8_t Flags __attribute__((vector_size(kLanes<T>)));
  Flags flags;
  __builtin_memcpy(&flags, p, kLanes<T>);
  return __builtin_convertvector(flags, Vec<T>);
}

}  // namespace GS_ISA
}  // namespace gradsmith
