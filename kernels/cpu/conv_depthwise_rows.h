// Planes that are read where they lie (conv_depthwise_rows.cpp, conv_depthwise_rows_weight.cpp): which
// convolutions these are, masked loads, and narrow planes as one row.
#pragma once

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {

#if defined(__AVX2__)
namespace {

constexpr int kRows = 7;  // of outputs in a block: images are 7, 14, 28, 56, 112 high
constexpr int64_t kMostSize = 1 << 20, kMostColumns = 32;
constexpr int64_t kMostFlat = 8, kMostFlatTaps = 25;

// What lies so many bytes further on is prefetched, by each block as much as it reads and writes: blocks
// jump from row to row, which the hardware's prefetcher takes for no stream. N8 C128 56x56: 2.5 -> 0.5 ms;
// all of a row of blocks at once, N32: 3.5 ms and more instead of 2.9.
constexpr int64_t kAhead = 4096, kAheadOfStores = 2048;

template <class T>
GS_INLINE void prefetch_ahead(const T* from, int64_t n) {
  prefetch(from + kAhead / static_cast<int64_t>(sizeof(T)), n);
}

template <class T>
GS_INLINE void prefetch_for_stores(T* to, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T))) {
    __builtin_prefetch(to + kAheadOfStores / static_cast<int64_t>(sizeof(T)) + i, 1);
  }
}

// ---- masked loads ----

#if defined(__AVX512F__)
template <class T>
using Mask = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;

// Lanes [low, high), where that is within the vector.
template <class T>
GS_INLINE Mask<T> lanes_between(int64_t low, int64_t high) {
  constexpr int64_t L = kLanes<T>;
  const auto below = [](int64_t n) { return (1u << clamp(n, 0, L)) - 1; };
  return static_cast<Mask<T>>(below(high) & ~below(low));
}

template <class T>
GS_INLINE Vec<T> load_lanes_of(const T* p, Mask<T> mask) {
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(_mm512_maskz_loadu_ps(mask, p));
  } else {
    return bit_cast<Vec<T>>(_mm512_maskz_loadu_pd(mask, p));
  }
}

template <class T>
GS_INLINE void store_lanes_of(T* p, Vec<T> v, Mask<T> mask) {
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, mask, bit_cast<__m512>(v));
  } else {
    _mm512_mask_storeu_pd(p, mask, bit_cast<__m512d>(v));
  }
}
#else
template <class T>
using Mask = IVec<T>;

template <class T>
GS_INLINE Mask<T> lanes_between(int64_t low, int64_t high) {
  constexpr int64_t L = kLanes<T>;
  const auto all = [](int64_t n) { return static_cast<IntOf<T>>(clamp(n, 0, L)) - IVec<T>{}; };
  return (lane_numbers<T>() < all(high)) & (lane_numbers<T>() >= all(low));
}

template <class T>
GS_INLINE Vec<T> load_lanes_of(const T* p, Mask<T> mask) {
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(
        _mm256_maskload_epi32(reinterpret_cast<const int*>(p), bit_cast<__m256i>(mask)));
  } else {
    return bit_cast<Vec<T>>(
        _mm256_maskload_epi64(reinterpret_cast<const long long*>(p), bit_cast<__m256i>(mask)));
  }
}

template <class T>
GS_INLINE void store_lanes_of(T* p, Vec<T> v, Mask<T> mask) {
  if constexpr (sizeof(T) == 4) {
    _mm256_maskstore_epi32(reinterpret_cast<int*>(p), bit_cast<__m256i>(mask),
                           bit_cast<__m256i>(v));
  } else {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), bit_cast<__m256i>(mask),
                           bit_cast<__m256i>(v));
  }
}
#endif

// Every S-th element from column `column` of a row on, as many as a vector has; zero outside of columns
// [0, size) and from lane `lanes` on. kNarrow: at most half of the lanes are wanted, one load has them.
template <class T, int S, bool kNarrow = false>
struct Columns {
  Mask<T> mask[S];

  GS_INLINE Columns(int64_t column, int64_t size, int64_t lanes) {
    constexpr int64_t L = kLanes<T>;
    const int64_t low = -column, high = min(size - column, (lanes - 1) * S + 1);
#pragma GCC unroll 2
    for (int i = 0; i < S; ++i) mask[i] = lanes_between<T>(low - i * L, high - i * L);
  }
  GS_INLINE Vec<T> load(const T* p) const {
    constexpr int L = kLanes<T>;
    if constexpr (S == 1) {
      return load_lanes_of<T>(p, mask[0]);
    } else {
      const Vec<T> second = kNarrow ? Vec<T>{} : load_lanes_of<T>(p + L, mask[1]);
      return even_lanes<T>(load_lanes_of<T>(p, mask[0]), second,
                           std::make_integer_sequence<int, L>{});
    }
  }
};

// ---- the planes ----

// y from x, or (turned) the input gradient from grad_y.
template <class T>
struct Shape {
  int64_t planes, channels, multiplier;  // N * C; output channels of each input channel
  int64_t in[2], out[2], kernel[2], padding[2], stride, dilation;  // dilation: of a row's taps
  bool turned;                                                     // the kernel

  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t in_size() const { return in[0] * in[1]; }
  int64_t out_size() const { return out[0] * out[1]; }
};

// The rows of inputs that a block of rows of outputs reads: [low, high) of them are in the plane.
struct BlockRows {
  int64_t first, low, high;

  template <class T>
  GS_INLINE BlockRows(const Shape<T>& s, int64_t row) : first(row * s.stride - s.padding[0]) {
    low = -first;
    high = s.in[0] - first;
  }
  GS_INLINE bool all_inside(int64_t rows) const { return low <= 0 && rows <= high; }
};

#if defined(__AVX512F__)
// A plane as one row, for planes much narrower than a vector: the inputs that a tap reads lie `offset`
// from the outputs, and those that belong to another row are masked.
template <class T>
struct Flat {
  static constexpr int64_t kMostVectors = kMostFlat * kMostFlat / kLanes<T>;
  int64_t vectors, tail, taps;
  int64_t offset[kMostFlatTaps];
  Mask<T> mask[kMostFlatTaps][kMostVectors];

  // Whether a plane is narrow enough, and its outputs are where its inputs are.
  static bool takes(const Shape<T>& s) {
    return s.stride == 1 && s.in[0] == s.out[0] && s.in[1] == s.out[1] && s.in[0] <= kMostFlat &&
           2 * s.in[1] <= kLanes<T> && s.taps() <= kMostFlatTaps;
  }

  explicit Flat(const Shape<T>& s) {
    constexpr int64_t L = kLanes<T>;
    const int64_t size = s.out_size();
    vectors = ceil_div(size, L);
    tail = size - (vectors - 1) * L;
    taps = s.taps();
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t y = t / s.kernel[1] - s.padding[0];
      const int64_t x = t % s.kernel[1] * s.dilation - s.padding[1];
      offset[t] = y * s.in[1] + x;
      for (int64_t v = 0; v < vectors; ++v) {
        unsigned bits = 0;
        for (int64_t i = 0; i < L && v * L + i < size; ++i) {
          const int64_t row = (v * L + i) / s.in[1] + y, column = (v * L + i) % s.in[1] + x;
          if (row >= 0 && row < s.in[0] && column >= 0 && column < s.in[1]) bits |= 1u << i;
        }
        mask[t][v] = static_cast<Mask<T>>(bits);
      }
    }
  }

  // Vectors [first, first + kCount) of a plane.
  template <int kCount>
  GS_INLINE void outputs(const T* x, const T* weight, int64_t step, Vec<T> start, int64_t first,
                         T* y) const {
    constexpr int64_t L = kLanes<T>;
    Vec<T> sum[kCount];
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) sum[v] = start;
    for (int64_t t = 0; t < taps; ++t) {
      const Vec<T> w = splat<T>(weight[t * step]);
      const T* const from = x + first * L + offset[t];
#pragma GCC unroll 4
      for (int v = 0; v < kCount; ++v) {
        sum[v] += w * load_lanes_of<T>(from + v * L, mask[t][first + v]);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v, ++first) {
      if (first + 1 < vectors) {
        store<T>(y + first * L, sum[v]);
      } else {
        store_n<T>(y + first * L, sum[v], tail);
      }
    }
  }

  void plane(const T* x, const T* weight, int64_t step, Vec<T> start, T* y) const {
    int64_t v = 0;
    for (; v + 4 <= vectors; v += 4) outputs<4>(x, weight, step, start, v, y);
    for (; v < vectors; ++v) outputs<1>(x, weight, step, start, v, y);
  }

  // sums[t] += the products of a plane of grad_y with what tap t reads of the plane x.
  template <int kCount>
  GS_INLINE void some_products(const T* x, const T* grad_y, int64_t first, Vec<T>* sums) const {
    constexpr int64_t L = kLanes<T>;
    Vec<T> g[kCount];
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      const T* const from = grad_y + (first + v) * L;
      g[v] = first + v + 1 < vectors ? load<T>(from) : load_n<T>(from, tail);
    }
    for (int64_t t = 0; t < taps; ++t) {
      const T* const from = x + first * L + offset[t];
      Vec<T> sum = sums[t];
#pragma GCC unroll 4
      for (int v = 0; v < kCount; ++v) {
        sum += g[v] * load_lanes_of<T>(from + v * L, mask[t][first + v]);
      }
      sums[t] = sum;
    }
  }

  void products(const T* x, const T* grad_y, Vec<T>* sums) const {
    int64_t v = 0;
    for (; v + 4 <= vectors; v += 4) some_products<4>(x, grad_y, v, sums);
    for (; v < vectors; ++v) some_products<1>(x, grad_y, v, sums);
  }
};
#endif

// ---- which cases ----

// The planes of a convolution; false where there is no kernel for them here.
template <class T>
bool shape_of(const Geometry& g, Shape<T>* s) {
  if (g.groups != g.C || g.C <= 1 || g.N == 0 || g.K == 0) return false;
  if (g.in[0] != 1 || g.out[0] != 1 || g.kernel[0] != 1 || g.padding[0] != 0) return false;
  if (g.kernel[1] != 3 && g.kernel[1] != 5 && g.kernel[1] != 7) return false;
  if (g.stride[1] != g.stride[2] || g.stride[1] > 2 || g.dilation[1] != 1) return false;
  if (g.kernel[2] < 1 || g.kernel[2] > kMostColumns || g.dilation[2] > kMostSize) return false;
  for (int d = 0; d < 2; ++d) {
    s->in[d] = g.in[d + 1];
    s->out[d] = g.out[d + 1];
    s->kernel[d] = g.kernel[d + 1];
    s->padding[d] = g.padding[d + 1];
    if (s->in[d] < 1 || s->out[d] < 1 || s->in[d] > kMostSize || s->out[d] > kMostSize ||
        s->padding[d] > kMostSize || s->padding[d] < -kMostSize) {
      return false;
    }
  }
  s->planes = g.N * g.C;
  s->channels = g.C;
  s->multiplier = g.K / g.C;
  s->stride = g.stride[1];
  s->dilation = g.dilation[2];
  s->turned = false;
  return true;
}

}  // namespace
#endif

}  // namespace GS_ISA
}  // namespace gradsmith
