// Width-agnostic vectors over the compiler's vector extensions. Each kernel file is compiled once
// per ISA (GS_ISA = v2, v3, v4 or neon) into namespace gradsmith::GS_ISA, with the vector width of
// that ISA. Everything here lives in that namespace, so that no symbol is shared between the builds.
//
// Rules that keep the register loops in registers (measured, see kernels/README.md): `#pragma GCC
// unroll` at or above every trip count of a loop over an array of vectors; vectors only through
// load/store below (alignment is lost when a vector type is a template argument).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "args.h"
#include "runtime.h"

#if defined(__AVX512F__)
#define GS_VECTOR_BYTES 64
#elif defined(__AVX__)
#define GS_VECTOR_BYTES 32
#else
#define GS_VECTOR_BYTES 16
#endif

#define GS_INLINE inline __attribute__((always_inline))

namespace gradsmith {
namespace GS_ISA {

template <class T>
struct VectorOf {
  static constexpr int kLanes = GS_VECTOR_BYTES / sizeof(T);
  typedef T type __attribute__((vector_size(GS_VECTOR_BYTES)));
};

// Vec<T>: a full vector. IVec<T>: the signed integers of the same width (what a comparison gives).
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
using IntOf = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
template <class T>
using IVec = typename VectorOf<IntOf<T>>::type;
template <class T>
constexpr int kLanes = VectorOf<T>::kLanes;

template <class T>
GS_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}

template <class T>
GS_INLINE Vec<T> load(const T* p) {
  typedef T Unaligned __attribute__((vector_size(GS_VECTOR_BYTES), aligned(alignof(T)), may_alias));
  return *reinterpret_cast<const Unaligned*>(p);
}

template <class T>
GS_INLINE void store(T* p, Vec<T> v) {
  typedef T Unaligned __attribute__((vector_size(GS_VECTOR_BYTES), aligned(alignof(T)), may_alias));
  *reinterpret_cast<Unaligned*>(p) = v;
}

// Stores past the caches, for results that will not fit in them; p is aligned to the vector. End a
// block of such stores with stream_fence().
template <class T>
GS_INLINE void store_stream(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#elif defined(__AVX__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
#elif defined(__x86_64__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
#else
  store<T>(p, v);
#endif
}

GS_INLINE void stream_fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Reinterprets bits (same size).
template <class To, class From>
GS_INLINE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast changes the size");
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

// 0, 1, 2, ... and the mask of the first n lanes.
template <class T>
GS_INLINE IVec<T> lane_numbers() {
  IVec<T> v;
#pragma GCC unroll 64
  for (int i = 0; i < kLanes<T>; ++i) v[i] = i;
  return v;
}

template <class T>
GS_INLINE IVec<T> lane_mask(int64_t n) {
  return lane_numbers<T>() < static_cast<IntOf<T>>(n) - IVec<T>{};
}

// The first n lanes (0 <= n < kLanes); the rest are zero / untouched. No byte beyond them is touched.
// Masked instructions where there are any: a memcpy of a variable size is a call into libc.
template <class T>
GS_INLINE Vec<T> load_n(const T* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p));
  } else if constexpr (sizeof(T) == 8) {
    return bit_cast<Vec<T>>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(
        _mm256_maskload_epi32(reinterpret_cast<const int*>(p), bit_cast<__m256i>(lane_mask<T>(n))));
  } else if constexpr (sizeof(T) == 8) {
    return bit_cast<Vec<T>>(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p),
                                                  bit_cast<__m256i>(lane_mask<T>(n))));
  }
#endif
  Vec<T> v{};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
  return v;
}

template <class T>
GS_INLINE void store_n(T* p, Vec<T> v, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), bit_cast<__m512i>(v));
  } else if constexpr (sizeof(T) == 8) {
    return _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), bit_cast<__m512i>(v));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return _mm256_maskstore_epi32(reinterpret_cast<int*>(p), bit_cast<__m256i>(lane_mask<T>(n)),
                                  bit_cast<__m256i>(v));
  } else if constexpr (sizeof(T) == 8) {
    return _mm256_maskstore_epi64(reinterpret_cast<long long*>(p),
                                  bit_cast<__m256i>(lane_mask<T>(n)), bit_cast<__m256i>(v));
  }
#endif
  __builtin_memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
}

// Half a vector's worth of floats as doubles. GCC 12 makes three instructions of __builtin_convertvector
// here, the conversion of either half and an insertion: sums of floats ran at half their speed.
typedef float HalfFloats __attribute__((vector_size(GS_VECTOR_BYTES / 2)));
GS_INLINE Vec<double> widen(HalfFloats x) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_cvtps_pd(0xff, (__m256)x);  // without a mask GCC 12 warns
#elif defined(__AVX__)
  return (Vec<double>)_mm256_cvtps_pd((__m128)x);
#else
  return __builtin_convertvector(x, Vec<double>);
#endif
}

// mask ? a : b, lane by lane.
template <class T>
GS_INLINE Vec<T> select(IVec<T> mask, Vec<T> a, Vec<T> b) {
  return mask ? a : b;
}

template <class T>
GS_INLINE Vec<T> vmax(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}

// Whether a comparison holds in any lane.
template <class T>
GS_INLINE bool any_lane(IVec<T> mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX__)
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#elif defined(__SSE4_1__)
  return !_mm_testz_si128((__m128i)mask, (__m128i)mask);
#else
  IntOf<T> any = 0;
  for (int i = 0; i < kLanes<T>; ++i) any |= mask[i];
  return any != 0;
#endif
}

// Lane i is element pick[i] of a and b behind one another. Clang has no shuffle by a vector; with
// constant picks it makes one of the loop.
template <class T>
GS_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b, IVec<T> pick) {
#if defined(__clang__)
  constexpr int kN = kLanes<T>;
  Vec<T> v{};
#pragma GCC unroll 64
  for (int i = 0; i < kN; ++i) v[i] = pick[i] < kN ? a[pick[i]] : b[pick[i] - kN];
  return v;
#else
  return __builtin_shuffle(a, b, pick);
#endif
}

// n lanes of the elements `stride` apart from p on (1 <= n <= kLanes; the rest are zero). No byte beyond
// the nth is touched.
template <class T>
GS_INLINE Vec<T> load_lanes(const T* p, int64_t stride, int64_t n) {
  constexpr int kN = kLanes<T>;
  if (stride == 1) return n == kN ? load<T>(p) : load_n<T>(p, n);
  if (stride == 2 && n == kN) {
    // Two loads that end at the last element: 0, 2, .. of the first and 1, 3, .. of the second.
    IVec<T> pick;
#pragma GCC unroll 64
    for (int i = 0; i < kN; ++i) pick[i] = 2 * i < kN ? 2 * i : 2 * i + 1;
    return shuffle<T>(load<T>(p), load<T>(p + kN - 1), pick);
  }
  if (stride == 2 && sizeof(T) * kN > 16) {  // SSE has no masked loads
    const int64_t count = 2 * n - 1;
    IVec<T> pick;
#pragma GCC unroll 64
    for (int i = 0; i < kN; ++i) pick[i] = 2 * i;
    const Vec<T> low = count < kN ? load_n<T>(p, count) : load<T>(p);
    const Vec<T> high = count > kN ? load_n<T>(p + kN, count - kN) : Vec<T>{};
    return shuffle<T>(low, high, pick);
  }
  Vec<T> v{};
#pragma GCC unroll 64
  for (int i = 0; i < kN; ++i) {
    if (i < n) v[i] = p[i * stride];
  }
  return v;
}

// a0 b0 a1 b1 ..: the first and the second vector of it.
template <class T>
GS_INLINE void interleave(Vec<T> a, Vec<T> b, Vec<T>& first, Vec<T>& second) {
  constexpr int kN = kLanes<T>;
  IVec<T> low, high;
#pragma GCC unroll 64
  for (int i = 0; i < kN; ++i) {
    low[i] = i / 2 + (i % 2) * kN;
    high[i] = kN / 2 + i / 2 + (i % 2) * kN;
  }
  first = shuffle<T>(a, b, low);
  second = shuffle<T>(a, b, high);
}

// Splits [0, n) into blocks of `grain` and runs body(begin, end) for each, on the pool. The borders
// depend on n and grain alone.
template <class Body>
static inline void parallel_for(int64_t n, int64_t grain, const Body& body) {
  struct Context {
    const Body* body;
    int64_t n, grain;
  };
  Context context{&body, n, grain};
  const int64_t blocks = (n + grain - 1) / grain;
  if (blocks <= 1) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
  run_blocks(
      blocks,
      [](void* p, int64_t block) {
        const auto& c = *static_cast<const Context*>(p);
        const int64_t begin = block * c.grain;
        const int64_t end = begin + c.grain < c.n ? begin + c.grain : c.n;
        (*c.body)(begin, end);
      },
      &context);
}

constexpr Status kDone{Code::kOk, {0, 0}};
constexpr Status kNoDType{Code::kDType, {0, 0}};

}  // namespace GS_ISA
}  // namespace gradsmith
