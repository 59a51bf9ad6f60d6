// relu with a bit an element for its gradient, and that gradient: relu_signs relu_signs_bwd.
//
// y = max(x, 0), NaN kept, the bits of relu. Bit i % 32 of signs[i / 32] is set where the gradient of
//   element i passes: not (y <= 0), a NaN lets it pass. grad_x = grad_y where it is set, else 0: the bits
//   of relu_bwd(grad_y, y), which has to read all of y again. Bits behind the last element are 0.
// Layout: C order, any alignment of elements.
// Split: a block is kBlock elements, a multiple of 512: whole cache lines of y and of signs.
// Memory: no buffers. Results beyond the caches are stored past them, and operands fetched kAhead bytes
//   ahead; signs are stored plainly, they are read back.
// Cost: reads x once, writes y and 1/32 (float64: 1/64) of it; the same backwards, where relu_bwd reads y
//   whole: 3.8 to 1.9 ms for 51 MB of float32 whose gradient the third level holds, 4.0 to 2.8 where it
//   does not (Emerald Rapids, two threads). Fetching 1 to 16 KB ahead: the same within 5 %;
//   with prefetchnta, which would leave the third level to others, 4.5 to 6.8 ms for both passes.
// Accuracy: exact.
#include "elementwise.h"
#include "lists/elementwise.h"
#include "pass.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
constexpr int64_t kWordBits = 32;
constexpr int64_t kAtOnce = 4;  // words

// max(v, 0); the lanes where the gradient passes are the low bits of `bits`.
template <class T>
GS_INLINE Vec<T> keep_positive(Vec<T> v, uint32_t& bits) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __mmask16 passes = _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_NLE_UQ);
    bits = passes;
    return (Vec<T>)_mm512_maskz_mov_ps(passes, (__m512)v);
  } else {
    const __mmask8 passes = _mm512_cmp_pd_mask((__m512d)v, _mm512_setzero_pd(), _CMP_NLE_UQ);
    bits = passes;
    return (Vec<T>)_mm512_maskz_mov_pd(passes, (__m512d)v);
  }
#else
  const IVec<T> passes = ~(v <= T(0));
#if defined(__AVX__)
  bits = static_cast<uint32_t>(sizeof(T) == 4 ? _mm256_movemask_ps((__m256)passes)
                                              : _mm256_movemask_pd((__m256d)passes));
#elif defined(__x86_64__)
  bits = static_cast<uint32_t>(sizeof(T) == 4 ? _mm_movemask_ps((__m128)passes)
                                              : _mm_movemask_pd((__m128d)passes));
#else
  IntOf<T> lane[kLanes<T>];
  __builtin_memcpy(lane, &passes, sizeof(lane));
  bits = 0;
  for (int i = 0; i < kLanes<T>; ++i) bits |= (lane[i] ? 1u : 0u) << i;
#endif
  return (Vec<T>)(passes & (IVec<T>)v);
#endif
}

// v in the lanes of the low bits of `bits`, 0 in the others.
template <class T>
GS_INLINE Vec<T> keep_marked(Vec<T> v, uint32_t bits) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_maskz_mov_ps(static_cast<__mmask16>(bits), (__m512)v);
  } else {
    return (Vec<T>)_mm512_maskz_mov_pd(static_cast<__mmask8>(bits), (__m512d)v);
  }
#else
  IVec<T> lane;
#pragma GCC unroll 64
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = IntOf<T>(1) << i;
  const IVec<T> marked = ((static_cast<IntOf<T>>(bits) - IVec<T>{}) & lane) == lane;
  return (Vec<T>)(marked & (IVec<T>)v);
#endif
}

template <class T>
GS_INLINE T keep_positive_one(T v, uint32_t& bit) {
  bit = v <= T(0) ? 0 : 1;
  return bit ? v : T(0);
}

// One word and its 32 elements.
template <class T, bool kStream>
GS_INLINE uint32_t forward_word(const T* x, T* y) {
  uint32_t word = 0;
#pragma GCC unroll 16
  for (int64_t i = 0; i < kWordBits; i += kLanes<T>) {
    uint32_t bits;
    const Vec<T> v = keep_positive<T>(load<T>(x + i), bits);
    word |= bits << i;
    if constexpr (kStream) {
      __builtin_prefetch(x + i + kAhead / sizeof(T));
      store_stream<T>(y + i, v);
    } else {
      store<T>(y + i, v);
    }
  }
  return word;
}

template <class T, bool kStream>
GS_INLINE void backward_word(const T* grad_y, uint32_t word, T* grad_x) {
#pragma GCC unroll 16
  for (int64_t i = 0; i < kWordBits; i += kLanes<T>) {
    const Vec<T> v = keep_marked<T>(load<T>(grad_y + i), word >> i);
    if constexpr (kStream) {
      __builtin_prefetch(grad_y + i + kAhead / sizeof(T));
      store_stream<T>(grad_x + i, v);
    } else {
      store<T>(grad_x + i, v);
    }
  }
}

template <class T, bool kStream>
void forward_block(const T* x, T* y, uint32_t* signs, int64_t n) {
  int64_t i = 0;
  for (; i + kAtOnce * kWordBits <= n; i += kAtOnce * kWordBits) {
    uint32_t words[kAtOnce];
#pragma GCC unroll 4
    for (int64_t u = 0; u < kAtOnce; ++u) {
      words[u] = forward_word<T, kStream>(x + i + u * kWordBits, y + i + u * kWordBits);
    }
    __builtin_memcpy(signs + i / kWordBits, words, sizeof(words));
  }
  for (; i + kWordBits <= n; i += kWordBits) {
    signs[i / kWordBits] = forward_word<T, kStream>(x + i, y + i);
  }
  if (i == n) return;
  uint32_t word = 0;
  for (int64_t j = 0; j < n - i; ++j) {
    uint32_t bit;
    y[i + j] = keep_positive_one<T>(x[i + j], bit);
    word |= bit << j;
  }
  signs[i / kWordBits] = word;
}

template <class T, bool kStream>
void backward_block(const T* grad_y, const uint32_t* signs, T* grad_x, int64_t n) {
  int64_t i = 0;
  for (; i + kAtOnce * kWordBits <= n; i += kAtOnce * kWordBits) {
    uint32_t words[kAtOnce];
    __builtin_memcpy(words, signs + i / kWordBits, sizeof(words));
#pragma GCC unroll 4
    for (int64_t u = 0; u < kAtOnce; ++u) {
      backward_word<T, kStream>(grad_y + i + u * kWordBits, words[u], grad_x + i + u * kWordBits);
    }
  }
  for (; i < n; i += kWordBits) {
    const uint32_t word = signs[i / kWordBits];
    if (i + kWordBits <= n) {
      backward_word<T, kStream>(grad_y + i, word, grad_x + i);
      continue;
    }
    for (int64_t j = 0; j < n - i; ++j) grad_x[i + j] = word >> j & 1 ? grad_y[i + j] : T(0);
  }
}

// run(begin, n, stream) for blocks of n elements of `result`; the operand is as long.
template <class Run>
void for_blocks(const Array& result, const Run& run) {
  const int64_t bytes = result.size * item_size(result.dtype);
  const bool stream =
      beyond_cache(bytes) && reinterpret_cast<uintptr_t>(result.data) % GS_VECTOR_BYTES == 0;
  parallel_pass(result.size, kBlock, 2 * bytes + bytes / kWordBits,
                [&](int64_t begin, int64_t end) {
                  run(begin, end - begin, stream);
                  if (stream) stream_fence();
                });
}

template <class T>
void forward(const ReluSignsArgs& args) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  uint32_t* const signs = reinterpret_cast<uint32_t*>(args.signs.data);
  for_blocks(args.y, [&](int64_t begin, int64_t n, bool stream) {
    const auto f = stream ? forward_block<T, true> : forward_block<T, false>;
    f(x + begin, y + begin, signs + begin / kWordBits, n);
  });
}

template <class T>
void backward(const ReluSignsBwdArgs& args) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const uint32_t* const signs = reinterpret_cast<const uint32_t*>(args.signs.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  for_blocks(args.grad_x, [&](int64_t begin, int64_t n, bool stream) {
    const auto f = stream ? backward_block<T, true> : backward_block<T, false>;
    f(grad_y + begin, signs + begin / kWordBits, grad_x + begin, n);
  });
}

int64_t words_of(int64_t n) { return (n + kWordBits - 1) / kWordBits; }

}  // namespace

Status relu_signs(const ReluSignsArgs& args) {
  if (args.x.dtype != DType::kFloat32 && args.x.dtype != DType::kFloat64) return kNoDType;
  if (args.signs.size != words_of(args.x.size)) return {Code::kShape, {1, 0}};
  args.x.dtype == DType::kFloat32 ? forward<float>(args) : forward<double>(args);
  return kDone;
}

Status relu_signs_bwd(const ReluSignsBwdArgs& args) {
  const Array& grad_y = args.grad_y;
  if (grad_y.dtype != DType::kFloat32 && grad_y.dtype != DType::kFloat64) return kNoDType;
  if (args.signs.dtype != DType::kInt32) return kNoDType;
  if (args.signs.size != words_of(grad_y.size)) return {Code::kShape, {1, 0}};
  grad_y.dtype == DType::kFloat32 ? backward<float>(args) : backward<double>(args);
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
