// Softmax and its logarithm along one dimension of a contiguous array, and their gradients: what
// softmax.cpp and loss.cpp share.
//
// The array is (outer, extent, inner). With inner 1 a row is contiguous and lanes run along it; else
// strips of up to kStrip vectors of neighbouring rows are taken together, so that memory is read in
// long pieces (one vector at a time ran at 21 GB/s).
#pragma once

#include "rows.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace along_dim {
namespace {  // each file has its own: the builds share no symbol

constexpr int64_t kBlock = 16384;
constexpr int64_t kStrip = 16;
template <class T>
constexpr int64_t kAhead = 512 / sizeof(T);  // elements of a row from which the next is asked for
constexpr int64_t kKept = 2048;              // elements of a row that is stored past the caches

// stream: past the caches; y is aligned to the vector, n <= kKept a number of whole ones.
template <class T, bool kLog>
void rows_forward(const T* x, T* y, int64_t rows, int64_t n, bool stream) {
  alignas(64) T kept[kKept];  // a row's exponentials, which must not lie in y's lines then
  // The logarithms of kLanes rows' sums are taken at once.
  for (int64_t r = 0; r < rows; r += kLanes<T>) {
    const int64_t group = min64(kLanes<T>, rows - r);
    T maximum[kLanes<T>];
    Vec<T> sums{};
    for (int64_t k = 0; k < group; ++k) {
      const T* const row = x + (r + k) * n;
      T* const out = y + (r + k) * n;
      const T m = maximum[k] = row_maximum<T>(row, n);
      T* const powers = stream ? kept : out;
      const auto total = static_cast<T>(row_sum<T>(n, [&](int64_t i, int64_t left) {
        if (n >= kAhead<T>)
          __builtin_prefetch(row + n + i);  // the next row, while this is computed
        const Vec<T> e = vexp<T>(load_up_to<T>(row + i, left) - m);
        if (!kLog) store_up_to<T>(powers + i, e, left);
        return e;
      }));
      sums[k] = total;
      if (!kLog) {
        const Vec<T> factor = splat<T>(T(1) / total);
        for (int64_t i = 0; i < n; i += kLanes<T>) {
          put_up_to<T>(out + i, load_up_to<T>(powers + i, n - i) * factor, n - i, stream);
        }
      }
    }
    if (!kLog) continue;
    const Vec<T> logs = vlog<T>(sums);
    for (int64_t k = 0; k < group; ++k) {
      const T* const row = x + (r + k) * n;
      T* const out = y + (r + k) * n;
      const Vec<T> m = splat<T>(maximum[k]), log_sum = splat<T>(T(logs[k]));
      for (int64_t i = 0; i < n; i += kLanes<T>) {
        put_up_to<T>(out + i, load_up_to<T>(row + i, n - i) - m - log_sum, n - i, stream);
      }
    }
  }
  if (stream) stream_fence();
}

// n <= kStrip * kLanes rows side by side, each with its elements `stride` apart.
template <class T, bool kLog>
void strip_forward(const T* x, T* y, int64_t extent, int64_t stride, int64_t n) {
  alignas(64) T best[kStrip * kLanes<T>], sum[kStrip * kLanes<T>];
  for (int64_t v = 0; v < n; v += kLanes<T>) {
    store<T>(best + v, load_up_to<T>(x + v, n - v));
    store<T>(sum + v, Vec<T>{});
  }
  for (int64_t i = 1; i < extent; ++i) {
    for (int64_t v = 0; v < n; v += kLanes<T>) {
      const Vec<T> a = load_up_to<T>(x + i * stride + v, n - v), b = load<T>(best + v);
      store<T>(best + v, a > b ? a : b);
    }
  }
  for (int64_t i = 0; i < extent; ++i) {
    for (int64_t v = 0; v < n; v += kLanes<T>) {
      const Vec<T> e = vexp<T>(load_up_to<T>(x + i * stride + v, n - v) - load<T>(best + v));
      store<T>(sum + v, load<T>(sum + v) + e);
      if (!kLog) store_up_to<T>(y + i * stride + v, e, n - v);
    }
  }
  for (int64_t v = 0; v < n; v += kLanes<T>) {
    const Vec<T> s = load<T>(sum + v);
    store<T>(sum + v, kLog ? vlog<T>(s) : T(1) / s);
  }
  for (int64_t i = 0; i < extent; ++i) {
    for (int64_t v = 0; v < n; v += kLanes<T>) {
      const int64_t at = i * stride + v;
      const Vec<T> s = load<T>(sum + v);
      const Vec<T> out = kLog ? load_up_to<T>(x + at, n - v) - load<T>(best + v) - s
                              : load_up_to<T>(y + at, n - v) * s;
      store_up_to<T>(y + at, out, n - v);
    }
  }
}

// What is summed for the gradient, and the gradient with the sum.
template <class T, bool kLog>
GS_INLINE Vec<T> term(Vec<T> g, Vec<T> y) {
  return kLog ? g : g * y;
}
template <class T, bool kLog>
GS_INLINE Vec<T> gradient(Vec<T> g, Vec<T> y, Vec<T> sum) {
  if constexpr (kLog) {
    return g - vexp<T>(y) * sum;
  } else {
    return y * (g - sum);
  }
}

template <class T, bool kLog>
void rows_backward(const T* grad_y, const T* y, T* grad_x, int64_t rows, int64_t n, bool stream) {
  for (int64_t r = 0; r < rows; ++r, grad_y += n, y += n, grad_x += n) {
    const auto total = static_cast<T>(row_sum<T>(n, [&](int64_t i, int64_t left) {
      return term<T, kLog>(load_up_to<T>(grad_y + i, left), load_up_to<T>(y + i, left));
    }));
    const Vec<T> sum = splat<T>(total);
    const bool ahead = n >= kAhead<T>;
    for (int64_t i = 0; i < n; i += kLanes<T>) {
      if (ahead) {
        __builtin_prefetch(grad_y + n + i);
        __builtin_prefetch(y + n + i);
      }
      const Vec<T> g = load_up_to<T>(grad_y + i, n - i);
      put_up_to<T>(grad_x + i, gradient<T, kLog>(g, load_up_to<T>(y + i, n - i), sum), n - i,
                   stream);
    }
  }
  if (stream) stream_fence();
}

// Whether rows of n are to be stored past the caches: beyond them, and whole vectors that `kept` holds.
template <class T>
bool streams(const Array& y, int64_t dim) {
  if (!beyond_cache(y.size * int64_t{sizeof(T)})) return false;  // a scalar has no dimension to ask
  return y.shape[dim] % kLanes<T> == 0 && y.shape[dim] <= kKept && on_a_vector(y.data);
}

template <class T, bool kLog>
void strip_backward(const T* grad_y, const T* y, T* grad_x, int64_t extent, int64_t stride,
                    int64_t n) {
  alignas(64) T sum[kStrip * kLanes<T>];
  for (int64_t v = 0; v < n; v += kLanes<T>) store<T>(sum + v, Vec<T>{});
  for (int64_t i = 0; i < extent; ++i) {
    for (int64_t v = 0; v < n; v += kLanes<T>) {
      const int64_t at = i * stride + v;
      const Vec<T> g = load_up_to<T>(grad_y + at, n - v);
      const Vec<T> t = term<T, kLog>(g, kLog ? g : load_up_to<T>(y + at, n - v));
      store<T>(sum + v, load<T>(sum + v) + t);
    }
  }
  for (int64_t i = 0; i < extent; ++i) {
    for (int64_t v = 0; v < n; v += kLanes<T>) {
      const int64_t at = i * stride + v;
      const Vec<T> g = load_up_to<T>(grad_y + at, n - v), p = load_up_to<T>(y + at, n - v);
      store_up_to<T>(grad_x + at, gradient<T, kLog>(g, p, load<T>(sum + v)), n - v);
    }
  }
}

// Calls rows(offset, n) for n contiguous rows, or strip(offset, extent, stride, n) for n rows side by
// side, over the whole array.
template <class T, class Rows, class Strip>
void for_all(const Array& x, int64_t dim, const Rows& rows, const Strip& strip) {
  int64_t outer = 1, extent = 1, inner = 1;
  for (int d = 0; d < x.ndim; ++d) {
    (d < dim ? outer : d == dim ? extent : inner) *= x.shape[d];
  }
  if (inner == 1) {
    parallel_for(outer, max64(kBlock / extent, 1),
                 [&](int64_t begin, int64_t end) { rows(begin * extent, extent, end - begin); });
    return;
  }
  int64_t width = kStrip * kLanes<T>;
  while (width > kLanes<T> && outer * ((inner + width - 1) / width) < 16) width /= 2;
  const int64_t strips = (inner + width - 1) / width;
  parallel_for(outer * strips, max64(kBlock / (extent * width), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t at = i % strips * width;
                   strip(i / strips * extent * inner + at, extent, inner, min64(width, inner - at));
                 }
               });
}

template <class T, bool kLog>
void forward_of(const Array& x, int64_t dim, const Array& y) {
  const T* const from = reinterpret_cast<const T*>(x.data);
  T* const to = reinterpret_cast<T*>(y.data);
  const bool stream = streams<T>(y, dim);
  for_all<T>(
      x, dim,
      [&](int64_t at, int64_t n, int64_t rows) {
        rows_forward<T, kLog>(from + at, to + at, rows, n, stream);
      },
      [&](int64_t at, int64_t extent, int64_t stride, int64_t n) {
        strip_forward<T, kLog>(from + at, to + at, extent, stride, n);
      });
}

template <class T, bool kLog>
void backward_of(const Array& grad_y, const Array& y, int64_t dim, const Array& grad_x) {
  const T* const g = reinterpret_cast<const T*>(grad_y.data);
  const T* const from = reinterpret_cast<const T*>(y.data);
  T* const to = reinterpret_cast<T*>(grad_x.data);
  const bool stream = streams<T>(grad_x, dim);
  for_all<T>(
      y, dim,
      [&](int64_t at, int64_t n, int64_t rows) {
        rows_backward<T, kLog>(g + at, from + at, to + at, rows, n, stream);
      },
      [&](int64_t at, int64_t extent, int64_t stride, int64_t n) {
        strip_backward<T, kLog>(g + at, from + at, to + at, extent, stride, n);
      });
}

template <bool kLog>
Status forward(const Array& x, int64_t dim, const Array& y) {
  const bool narrow = x.dtype == DType::kFloat32;
  if (!narrow && x.dtype != DType::kFloat64) return kNoDType;
  if (x.size == 0) return kDone;
  if (narrow) {
    forward_of<float, kLog>(x, dim, y);
  } else {
    forward_of<double, kLog>(x, dim, y);
  }
  return kDone;
}

template <bool kLog>
Status backward(const Array& grad_y, const Array& y, int64_t dim, const Array& grad_x) {
  const bool narrow = y.dtype == DType::kFloat32;
  if ((!narrow && y.dtype != DType::kFloat64) || grad_y.dtype != y.dtype) return kNoDType;
  if (grad_y.size != y.size) return {Code::kShape, {0, 0}};
  if (y.size == 0) return kDone;
  if (narrow) {
    backward_of<float, kLog>(grad_y, y, dim, grad_x);
  } else {
    backward_of<double, kLog>(grad_y, y, dim, grad_x);
  }
  return kDone;
}

}  // namespace
}  // namespace along_dim
}  // namespace GS_ISA
}  // namespace gradsmith
