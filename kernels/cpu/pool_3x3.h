// Maximum pooling with windows of 3x3, stride 1 or 2: max_pool_3x3, for AVX2 and AVX-512.
//
// Lanes are neighbouring outputs; a vector of them goes down the plane. Each row's part of the windows (its
// maximum and where it stood) is found once and stays in registers for the next outputs: with stride 1
// an output is two steps along the row and two down. Elements outside the input are -inf by masked loads; they
// never win, as the first place of a window is that of its first element inside the input.
// Split: by planes (pool.cpp).
// Memory: reads each row of the plane once for each vector of outputs, writes y and indices once; no buffer.
// Cost: stride 1, 16 lanes: 3 loads, 4 steps of two comparisons and two blends, 2 stores; stride 2: 8 loads, 6
//   permutations and 6 steps.
#pragma once

#include "maxima.h"
#include "pool.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// The lower half of each lane, as int32.
template <class T>
GS_INLINE void store_indices(int32_t* p, IVec<T> v, int64_t n) {
  if constexpr (sizeof(T) == 4) {
    const Vec<float> bits = bit_cast<Vec<float>>(v);
    if (n == kLanes<T>) {
      store<float>(reinterpret_cast<float*>(p), bits);
    } else {
      store_n<float>(reinterpret_cast<float*>(p), bits, n);
    }
  } else {
    if (n == kLanes<T>) {
      typedef int32_t Half __attribute__((vector_size(GS_VECTOR_BYTES / 2)));
      const Half half = __builtin_convertvector(v, Half);
      __builtin_memcpy(p, &half, sizeof(half));
      return;
    }
#pragma GCC unroll 64
    for (int i = 0; i < kLanes<T>; ++i) {
      if (i < n) p[i] = static_cast<int32_t>(v[i]);
    }
  }
}

template <class T>
GS_INLINE void store_maxima(const Maxima<T>& best, T* y, int32_t* indices, int64_t n) {
  if (n == kLanes<T>) {
    store<T>(y, best.value);
  } else {
    store_n<T>(y, best.value, n);
  }
  store_indices<T>(indices, best.at, n);
}

#if defined(__AVX2__)

// Which lanes of a load lie inside the row.
#if defined(__AVX512F__)
template <class T>
using Inside = uint16_t;
#else
template <class T>
using Inside = IVec<T>;
#endif

// For lanes from column `column` on.
template <class T>
Inside<T> lanes_inside(int64_t column, int64_t width) {
  const IVec<T> c = lane_numbers<T>() + static_cast<IntOf<T>>(column);
  const IVec<T> inside = (c >= 0) & (c < static_cast<IntOf<T>>(width));
#if defined(__AVX512F__)
  uint16_t bits = 0;
  for (int i = 0; i < kLanes<T>; ++i) bits = static_cast<uint16_t>(bits | (inside[i] & 1) << i);
  return bits;
#else
  return inside;
#endif
}

// -inf in the other lanes, whose memory is not touched.
template <class T>
GS_INLINE Vec<T> load_inside(const T* p, Inside<T> inside) {
  const Vec<T> least = splat<T>(-T(__builtin_inf()));
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(_mm512_mask_loadu_ps(bit_cast<__m512>(least), inside, p));
  } else {
    return bit_cast<Vec<T>>(
        _mm512_mask_loadu_pd(bit_cast<__m512d>(least), static_cast<__mmask8>(inside), p));
  }
#else
  Vec<T> v;
  if constexpr (sizeof(T) == 4) {
    v = bit_cast<Vec<T>>(_mm256_maskload_ps(p, bit_cast<__m256i>(inside)));
  } else {
    v = bit_cast<Vec<T>>(_mm256_maskload_pd(p, bit_cast<__m256i>(inside)));
  }
  return inside ? v : least;
#endif
}

constexpr int64_t kRowsAhead = 8;

// What is the same for a vector of outputs in all rows.
template <class T, int stride>
struct Strip {
  Inside<T> inside[4];
  IVec<T> first, second, third;  // the taps' columns; the first one inside the input
  int64_t column;

  Strip(const Window& w, int64_t o) {
    constexpr int kN = kLanes<T>;
    const int64_t width = w.in[2];
    column = o * stride - w.padding[2];
    for (int k = 0; k < 4; ++k) {
      const int64_t from = stride == 1 ? k : k / 2 * 2 + k % 2 * kN;
      inside[k] = lanes_inside<T>(column + from, width);
    }
    const IVec<T> lanes = lane_numbers<T>() * IntOf<T>(stride) + static_cast<IntOf<T>>(column);
    first = lanes >= 0 ? lanes : 0 - IVec<T>{};
    second = lanes + 1;
    third = lanes + 2;
  }

  // The part of the row at p, which is at `place` of the plane.
  GS_INLINE Maxima<T> part(const T* p, int64_t place) const {
    Vec<T> a, b, c;
    p += column;
    if constexpr (stride == 1) {
      a = load_inside<T>(p, inside[0]);
      b = load_inside<T>(p + 1, inside[1]);
      c = load_inside<T>(p + 2, inside[2]);
    } else {
      constexpr int kN = kLanes<T>;
      const IVec<T> evens = lane_numbers<T>() * IntOf<T>(2);
      const Vec<T> low = load_inside<T>(p, inside[0]), high = load_inside<T>(p + kN, inside[1]);
      a = shuffle<T>(low, high, evens);
      b = shuffle<T>(low, high, evens + 1);
      c = shuffle<T>(load_inside<T>(p + 2, inside[2]), load_inside<T>(p + kN + 2, inside[3]),
                     evens);
    }
    Maxima<T> best{a, first};
    best.take(b, second);
    best.take(c, third);
    best.at += static_cast<IntOf<T>>(place);
    return best;
  }
};

inline bool is_3x3(const Window& w) {
  bool yes = w.kernel[0] == 1 && w.stride[0] == 1 && w.padding[0] == 0 && w.in[0] == w.out[0];
  yes = yes && w.stride[1] == w.stride[2] && w.stride[2] <= 2;
  for (int d = 1; d < 3; ++d) {
    yes = yes && w.kernel[d] == 3 && w.dilation[d] == 1 && w.padding[d] <= 1 &&
          (w.out[d] - 1) * w.stride[d] - w.padding[d] < w.in[d];
  }
  return yes;
}

template <class T, int stride>
void max_pool_3x3(const Window& w, const T* x, T* y, int32_t* indices) {
  constexpr int64_t kN = kLanes<T>;
  const int64_t height = w.in[1], width = w.in[2], out = w.out[2], rows = w.out[1];
  const Vec<T> least = splat<T>(-T(__builtin_inf()));
  for (int64_t o = 0; o < out; o += kN) {
    // The last vector starts earlier rather than end later.
    const int64_t from = out - o < kN ? max64(out - kN, 0) : o, n = min64(kN, out);
    const Strip<T, stride> strip(w, from);
    for (int64_t plane = 0; plane < w.in[0]; ++plane) {
      const int64_t start = plane * height * width;
      T* to = y + plane * rows * out + from;
      int32_t* at = indices + plane * rows * out + from;
      // Rows outside the input: above, the place of the first element inside.
      int64_t j = -w.padding[1];
      const auto row = [&](int64_t r) {
        if (o == 0) {  // the rows to come, whole: strips jump from row to row
          const T* const ahead = x + start + (r + kRowsAhead) * width;
          for (int64_t i = 0; i < width; i += 64 / static_cast<int64_t>(sizeof(T))) {
            __builtin_prefetch(ahead + i);
          }
        }
        return r < 0        ? Maxima<T>{least, strip.first + static_cast<IntOf<T>>(start)}
               : r < height ? strip.part(x + start + r * width, start + r * width)
                            : Maxima<T>{least, IVec<T>{}};
      };
      Maxima<T> above = row(j), here{};
      if constexpr (stride == 1) here = row(j + 1);
      for (int64_t oh = 0; oh < rows; ++oh, j += stride, to += out, at += out) {
        if constexpr (stride == 2) here = row(j + 1);
        const Maxima<T> below = row(j + 2);
        Maxima<T> best = above;
        best.take(here.value, here.at);
        best.take(below.value, below.at);
        store_maxima<T>(best, to, at, n);
        above = stride == 1 ? here : below;
        if constexpr (stride == 1) here = below;
      }
    }
  }
}

#else

inline bool is_3x3(const Window&) { return false; }
template <class T, int stride>
void max_pool_3x3(const Window&, const T*, T*, int32_t*) {}

#endif

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
