// Interpolation along one dimension: resample resample_bwd.
//
// Formula   y[o] = the sum of weight * x[index] over the taps of output o; kernels/cpu/interpolate.cpp
//           has the modes. resample_bwd is the adjoint, as a gather: an input goes through the outputs
//           that may have it among their taps, in their order.
// Layout    contiguous (outer, size, inner).
// Split     one thread an element of the result, grid-stride.
// Memory    no shared memory.
// Cost      one read a tap, mostly from cache; the backward looks at a few outputs more than it needs.
// Accuracy  coordinates in float64 (nearest: in T, as PyTorch); sums in T.
// Limits    none.
#include "common.cuh"
#include "index.cuh"

using gs::int64;

enum Mode { kNearest, kNearestExact, kLinear, kCubic, kArea };

struct Map {
  int64 in, out;
  int mode, align;
  double scale;  // inputs an output
};

__device__ __forceinline__ int64 clamp_index(int64 i, int64 n) {
  return i < 0 ? 0 : i >= n ? n - 1 : i;
}

// Calls tap(index, weight) for each tap of output o.
template <class T, class F>
__device__ __forceinline__ void for_taps(const Map& m, int64 o, const F& tap) {
  if (m.mode == kNearest || m.mode == kNearestExact) {
    const T at = static_cast<T>(m.scale) * (static_cast<T>(o) + T(m.mode == kNearest ? 0 : 0.5));
    tap(clamp_index(static_cast<int64>(floorf(static_cast<float>(at))), m.in), T(1));
    return;
  }
  if (m.mode == kArea) {
    const int64 begin = o * m.in / m.out, end = ((o + 1) * m.in + m.out - 1) / m.out;
    const T weight = static_cast<T>(1.0 / static_cast<double>(end - begin));
    for (int64 i = begin; i < end; ++i) tap(i, weight);
    return;
  }
  const double place = static_cast<double>(o);
  double u = m.align ? m.scale * place : m.scale * (place + 0.5) - 0.5;
  if (m.mode == kLinear && u < 0) u = 0;
  const double first = floor(u), t = u - first;
  const int64 i = static_cast<int64>(first);
  if (m.mode == kLinear) {
    tap(clamp_index(i, m.in), static_cast<T>(1 - t));
    tap(clamp_index(i + 1, m.in), static_cast<T>(t));
    return;
  }
  const double a = -0.75;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const double d = fabs(t + 1 - k);
    const double w = k == 1 || k == 2 ? ((a + 2) * d - (a + 3)) * d * d + 1
                                      : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    tap(clamp_index(i - 1 + k, m.in), static_cast<T>(w));
  }
}

template <class T>
__global__ void resample(const T* __restrict__ x, T* __restrict__ y, Map m, int64 inner, int64 n) {
  for (int64 e = gs::grid_thread(); e < n; e += gs::grid_threads()) {
    int64 rest = e;
    const int64 column = gs::take_digit(rest, inner), o = gs::take_digit(rest, m.out);
    const T* const line = x + rest * m.in * inner + column;
    T sum = 0;
    for_taps<T>(m, o, [&](int64 i, T w) { sum += line[i * inner] * w; });
    y[e] = sum;
  }
}

template <class T>
__global__ void resample_bwd(const T* __restrict__ grad_y, T* __restrict__ grad_x, Map m,
                             int64 inner, int64 n) {
  for (int64 e = gs::grid_thread(); e < n; e += gs::grid_threads()) {
    int64 rest = e;
    const int64 column = gs::take_digit(rest, inner), i = gs::take_digit(rest, m.in);
    const T* const line = grad_y + rest * m.out * inner + column;
    // No tap lies 3 or more away from its output's place; the ends take what lies beyond them.
    int64 begin = 0, end = m.out;
    if (m.scale > 0) {
      const double place = static_cast<double>(i);
      if (i > 0) begin = clamp_index(static_cast<int64>(floor((place - 3) / m.scale)) - 1, m.out);
      if (i < m.in - 1) {
        end = clamp_index(static_cast<int64>(ceil((place + 3) / m.scale)) + 1, m.out) + 1;
      }
    }
    T sum = 0;
    for (int64 o = begin; o < end; ++o) {
      for_taps<T>(m, o, [&](int64 at, T w) {
        if (at == i) sum += line[o * inner] * w;
      });
    }
    grad_x[e] = sum;
  }
}
