// What max and average pooling share: the arithmetic of windows.
#pragma once

#include "lists/pool.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;

// The window arithmetic of three spatial dimensions.
struct Window {
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  int64_t kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0};
  int64_t dilation[3] = {1, 1, 1};
  int64_t planes = 0, in_plane = 1, out_plane = 1;
};

// false: the shapes and options do not fit together.
inline bool make_window(int ndim, const int64_t* in, const int64_t* out, const Ints& kernel,
                        const Ints& stride, const Ints& padding, const Ints* dilation, Window& w) {
  const int spatial = ndim - 2;
  if (spatial < 1 || spatial > 3 || kernel.n != spatial || stride.n != spatial ||
      padding.n != spatial || (dilation && dilation->n != spatial)) {
    return false;
  }
  if (in[0] != out[0] || in[1] != out[1]) return false;
  w.planes = in[0] * in[1];
  for (int i = 0; i < spatial; ++i) {
    const int d = 3 - spatial + i;
    w.in[d] = in[2 + i];
    w.out[d] = out[2 + i];
    w.kernel[d] = kernel.v[i];
    w.stride[d] = stride.v[i];
    w.padding[d] = padding.v[i];
    if (dilation) w.dilation[d] = dilation->v[i];
    if (w.kernel[d] < 1 || w.stride[d] < 1 || w.padding[d] < 0 || w.dilation[d] < 1) return false;
    w.in_plane *= w.in[d];
    w.out_plane *= w.out[d];
  }
  return true;
}

// Where the window of output o meets the input along one dimension: first, first + dilation, ... < end.
struct Reach {
  int64_t first, end;
};
GS_INLINE Reach reach(const Window& w, int d, int64_t o) {
  int64_t first = o * w.stride[d] - w.padding[d];
  const int64_t end = min64(first + (w.kernel[d] - 1) * w.dilation[d] + 1, w.in[d]);
  if (first < 0) first += (-first + w.dilation[d] - 1) / w.dilation[d] * w.dilation[d];
  return {first, end};
}

// The outputs along the last dimension whose window lies wholly inside the input: [begin, end).
struct Interior {
  int64_t begin, end;
};
inline Interior interior(const Window& w) {
  const int64_t span = (w.kernel[2] - 1) * w.dilation[2];
  const int64_t last = w.in[2] - 1 - span + w.padding[2];  // o * stride must not exceed it
  const int64_t begin = min64((w.padding[2] + w.stride[2] - 1) / w.stride[2], w.out[2]);
  const int64_t end = last < 0 ? 0 : min64(last / w.stride[2] + 1, w.out[2]);
  return {begin, max64(begin, end)};
}

inline int64_t planes_per_block(const Window& w) {
  return max64(kBlock / max64(w.in_plane, w.out_plane), 1);
}

// As load_lanes; with stride 3 of whole vectors three loads, the last of which ends at the last element.
template <class T, int stride>
GS_INLINE Vec<T> load_outputs(const T* p, int64_t step, int64_t n) {
  constexpr int kN = kLanes<T>;
  if constexpr (stride == 3 && kN >= 8) {
    if (n == kN) {
      const IVec<T> lanes = lane_numbers<T>(), places = lanes * 3;
      const IVec<T> late = places >= 2 * kN;
      const Vec<T> early = shuffle<T>(load<T>(p), load<T>(p + kN), places & (2 * kN - 1));
      return shuffle<T>(early, load<T>(p + 2 * kN - 2), late ? places - (kN - 2) : lanes);
    }
  }
  return load_lanes<T>(p, stride ? stride : step, n);
}

// n pairs of neighbours from p on: the first ones and the second ones, in lanes.
template <class T>
GS_INLINE void load_pairs(const T* p, int64_t n, Vec<T>& even, Vec<T>& odd) {
  constexpr int64_t kN = kLanes<T>;
  Vec<T> low, high;
  if (n == kN) {
    low = load<T>(p);
    high = load<T>(p + kN);
  } else if constexpr (kN == 2) {  // n is 1
    low = load<T>(p);
    high = Vec<T>{};
  } else {
    low = 2 * n < kN ? load_n<T>(p, 2 * n) : load<T>(p);
    high = 2 * n > kN ? load_n<T>(p + kN, 2 * n - kN) : Vec<T>{};
  }
  even = shuffle<T>(low, high, lane_numbers<T>() * IntOf<T>(2));
  odd = shuffle<T>(low, high, lane_numbers<T>() * IntOf<T>(2) + IntOf<T>(1));
}

// The first n lanes of two vectors.
template <class T>
GS_INLINE void store_pair(T* p, Vec<T> first, Vec<T> second, int64_t n) {
  if (n < kLanes<T>) {
    store_n<T>(p, first, n);
    return;
  }
  store<T>(p, first);
  if (n == 2 * kLanes<T>) {
    store<T>(p + kLanes<T>, second);
  } else {
    store_n<T>(p + kLanes<T>, second, n - kLanes<T>);
  }
}

inline bool is_2x2(const Window& w) {
  return w.kernel[0] == 1 && w.stride[0] == 1 && w.padding[0] == 0 && w.in[0] == w.out[0] &&
         w.kernel[1] == 2 && w.stride[1] == 2 && w.padding[1] == 0 && w.dilation[1] == 1 &&
         w.kernel[2] == 2 && w.stride[2] == 2 && w.padding[2] == 0 && w.dilation[2] == 1 &&
         w.out[1] == w.in[1] / 2 && w.out[2] == w.in[2] / 2;
}

inline bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
