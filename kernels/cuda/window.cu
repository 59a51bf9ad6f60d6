// Sliding windows as columns: unfold (im2col) and fold (col2im), its adjoint.
//
// Formula   y[n, (c, i, j), (p, q)] = x[n, c, p * stride - padding + i * dilation, ..]; 0 outside of x.
//           fold adds each column's elements to where unfold takes them from, in gather form.
// Layout    contiguous; x (N, C, H, W), columns (N, C * kh * kw, L).
// Split     grid-stride loops; one thread an element of the result.
// Memory    none shared.
// Cost      unfold reads x kh * kw times, through the caches; fold reads its columns once.
// Accuracy  unfold is exact; fold sums in the dtype, in the order of the taps.
// Limits    two spatial dimensions.
#include "index.cuh"

namespace {

using gs::int64;

struct Windows {
  int64 in[2], out[2], kernel[2], stride[2], padding[2], dilation[2];
};

}  // namespace

template <class T>
__global__ void unfold(const T* x, T* y, Windows w, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 rest = at;
    const int64 q = gs::take_digit(rest, w.out[1]), p = gs::take_digit(rest, w.out[0]);
    const int64 j = gs::take_digit(rest, w.kernel[1]), i = gs::take_digit(rest, w.kernel[0]);
    const int64 h = p * w.stride[0] - w.padding[0] + i * w.dilation[0];
    const int64 v = q * w.stride[1] - w.padding[1] + j * w.dilation[1];
    const bool inside = h >= 0 && h < w.in[0] && v >= 0 && v < w.in[1];
    y[at] = inside ? x[(rest * w.in[0] + h) * w.in[1] + v] : T(0);
  }
}

template <class T>
__global__ void fold(const T* columns, T* y, Windows w, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 rest = at;
    const int64 v = gs::take_digit(rest, w.in[1]), h = gs::take_digit(rest, w.in[0]);
    T sum = T(0);
    for (int64 i = 0; i < w.kernel[0]; ++i) {
      const int64 down = h + w.padding[0] - i * w.dilation[0];
      if (down < 0 || down % w.stride[0] != 0 || down / w.stride[0] >= w.out[0]) continue;
      for (int64 j = 0; j < w.kernel[1]; ++j) {
        const int64 right = v + w.padding[1] - j * w.dilation[1];
        if (right < 0 || right % w.stride[1] != 0 || right / w.stride[1] >= w.out[1]) continue;
        const int64 tap = (rest * w.kernel[0] + i) * w.kernel[1] + j;
        sum += columns[(tap * w.out[0] + down / w.stride[0]) * w.out[1] + right / w.stride[1]];
      }
    }
    y[at] = sum;
  }
}
