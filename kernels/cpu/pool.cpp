// Pooling kernels, 1 to 3 spatial dimensions: max_pool max_pool_bwd max_pool_gather avg_pool
// avg_pool_bwd.
//
// max: y[o] = max over the window's elements inside the input; indices[o] is the place of the first
//   maximum (the first NaN: NaN wins) within the input plane. avg: their sum over the divisor: the
//   window clipped to the padded input (count_include_pad), clipped to the input (otherwise), or the
//   given one. A window wholly outside the input gives -inf (avg: 0).
// Layout: contiguous (N, C, *in); fewer than 3 spatial dimensions gain leading ones of extent 1.
// Split: a block is a number of whole planes. The backward adds in the order of the outputs within a
//   plane, so the bits do not depend on threads.
// Working set: one input and one output plane.
// Cost: reads x once (window rows from L1), writes y and indices once.
// Accuracy: max is exact; avg sums in the element's type, in window order.
// Limits: a plane has at most 2^31 - 1 elements (int32 indices).
#include "kernels.h"
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
bool make_window(int ndim, const int64_t* in, const int64_t* out, const Ints& kernel,
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

template <class T>
void max_pool_plane(const Window& w, const T* x, T* y, int32_t* indices) {
  int64_t o = 0;
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh) {
      const Reach h = reach(w, 1, oh);
      for (int64_t ow = 0; ow < w.out[2]; ++ow, ++o) {
        const Reach v = reach(w, 2, ow);
        T best = -T(__builtin_inf());
        int64_t at = -1;
        for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
          for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
            const int64_t row = (i * w.in[1] + j) * w.in[2];
            for (int64_t k = v.first; k < v.end; k += w.dilation[2]) {
              const T value = x[row + k];
              if (at < 0 || value > best || (value != value && best == best)) {
                best = value;
                at = row + k;
              }
            }
          }
        }
        y[o] = best;
        indices[o] = static_cast<int32_t>(at < 0 ? 0 : at);
      }
    }
  }
}

template <class T>
void max_pool_typed(const MaxPoolArgs& args, const Window& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  int32_t* const indices = reinterpret_cast<int32_t*>(args.indices.data);
  parallel_for(w.planes, max64(kBlock / max64(w.in_plane, w.out_plane), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   max_pool_plane<T>(w, x + p * w.in_plane, y + p * w.out_plane,
                                     indices + p * w.out_plane);
                 }
               });
}

Status check_indices(const int32_t* indices, int64_t n, int64_t limit) {
  for (int64_t i = 0; i < n; ++i) {
    if (indices[i] < 0 || indices[i] >= limit) return {Code::kIndex, {indices[i], limit}};
  }
  return kDone;
}

template <class T>
void max_pool_bwd_typed(const MaxPoolBwdArgs& args, const Window& w) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const int32_t* const indices = reinterpret_cast<const int32_t*>(args.indices.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  parallel_for(w.planes, max64(kBlock / max64(w.in_plane, w.out_plane), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   T* const g = grad_x + p * w.in_plane;
                   __builtin_memset(g, 0, static_cast<size_t>(w.in_plane) * sizeof(T));
                   for (int64_t o = p * w.out_plane; o < (p + 1) * w.out_plane; ++o) {
                     g[indices[o]] += grad_y[o];
                   }
                 }
               });
}

template <class T>
void gather_typed(const MaxPoolGatherArgs& args, int64_t planes, int64_t in_plane,
                  int64_t out_plane) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const int32_t* const indices = reinterpret_cast<const int32_t*>(args.indices.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  parallel_for(planes, max64(kBlock / out_plane, 1), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t o = p * out_plane; o < (p + 1) * out_plane; ++o) {
        y[o] = x[p * in_plane + indices[o]];
      }
    }
  });
}

// One over how much an average divides by, for the window of one output.
GS_INLINE int64_t extent_for_average(const Window& w, int d, int64_t o, bool include_pad) {
  const Reach r = reach(w, d, o);
  if (!include_pad) return max64(r.end - r.first, 0);
  const int64_t start = o * w.stride[d] - w.padding[d];
  return min64(start + w.kernel[d], w.in[d] + w.padding[d]) - start;
}

template <class T>
void avg_pool_plane(const Window& w, bool include_pad, int64_t divisor, const T* x, T* y) {
  int64_t o = 0;
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh) {
      const Reach h = reach(w, 1, oh);
      const int64_t depth = extent_for_average(w, 0, od, include_pad) *
                            extent_for_average(w, 1, oh, include_pad);
      for (int64_t ow = 0; ow < w.out[2]; ++ow, ++o) {
        const Reach v = reach(w, 2, ow);
        T sum = 0;
        for (int64_t i = d.first; i < d.end; ++i) {
          for (int64_t j = h.first; j < h.end; ++j) {
            const T* const row = x + (i * w.in[1] + j) * w.in[2];
            for (int64_t k = v.first; k < v.end; ++k) sum += row[k];
          }
        }
        const int64_t count =
            divisor ? divisor : depth * extent_for_average(w, 2, ow, include_pad);
        const bool empty = d.first >= d.end || h.first >= h.end || v.first >= v.end;
        y[o] = empty ? T(0) : sum / static_cast<T>(count);
      }
    }
  }
}

template <class T>
void avg_pool_bwd_plane(const Window& w, bool include_pad, int64_t divisor, const T* grad_y,
                        T* grad_x) {
  __builtin_memset(grad_x, 0, static_cast<size_t>(w.in_plane) * sizeof(T));
  int64_t o = 0;
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh) {
      const Reach h = reach(w, 1, oh);
      const int64_t depth = extent_for_average(w, 0, od, include_pad) *
                            extent_for_average(w, 1, oh, include_pad);
      for (int64_t ow = 0; ow < w.out[2]; ++ow, ++o) {
        const Reach v = reach(w, 2, ow);
        const int64_t count =
            divisor ? divisor : depth * extent_for_average(w, 2, ow, include_pad);
        const T share = grad_y[o] / static_cast<T>(count);
        for (int64_t i = d.first; i < d.end; ++i) {
          for (int64_t j = h.first; j < h.end; ++j) {
            T* const row = grad_x + (i * w.in[1] + j) * w.in[2];
            for (int64_t k = v.first; k < v.end; ++k) row[k] += share;
          }
        }
      }
    }
  }
}

template <class T>
void avg_pool_typed(const AvgPoolArgs& args, const Window& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  parallel_for(w.planes, max64(kBlock / max64(w.in_plane, w.out_plane), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   avg_pool_plane<T>(w, args.count_include_pad, args.divisor, x + p * w.in_plane,
                                     y + p * w.out_plane);
                 }
               });
}

template <class T>
void avg_pool_bwd_typed(const AvgPoolBwdArgs& args, const Window& w) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  parallel_for(w.planes, max64(kBlock / max64(w.in_plane, w.out_plane), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   avg_pool_bwd_plane<T>(w, args.count_include_pad, args.divisor,
                                         grad_y + p * w.out_plane, grad_x + p * w.in_plane);
                 }
               });
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

}  // namespace

Status max_pool(const MaxPoolArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Window w;
  if (args.out_shape.n != args.x.ndim ||
      !make_window(args.x.ndim, args.x.shape, args.out_shape.v, args.kernel, args.stride,
                   args.padding, &args.dilation, w)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.y.size == 0) return kDone;
  if (w.in_plane == 0 || w.in_plane > INT32_MAX) return {Code::kShape, {0, 0}};
  if (args.x.dtype == DType::kFloat32) {
    max_pool_typed<float>(args, w);
  } else {
    max_pool_typed<double>(args, w);
  }
  return kDone;
}

Status max_pool_bwd(const MaxPoolBwdArgs& args) {
  const Array& grad_y = args.grad_y;
  if (!is_float(grad_y.dtype) || args.indices.dtype != DType::kInt32) return kNoDType;
  Window w;
  if (args.x_shape.n != grad_y.ndim ||
      !make_window(grad_y.ndim, args.x_shape.v, grad_y.shape, args.kernel, args.stride,
                   args.padding, &args.dilation, w)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.indices.size != grad_y.size) return {Code::kShape, {1, 0}};
  if (args.grad_x.size == 0 && grad_y.size == 0) return kDone;
  const Status indices = check_indices(reinterpret_cast<const int32_t*>(args.indices.data),
                                       args.indices.size, w.in_plane);
  if (indices.code != Code::kOk) return indices;
  if (grad_y.dtype == DType::kFloat32) {
    max_pool_bwd_typed<float>(args, w);
  } else {
    max_pool_bwd_typed<double>(args, w);
  }
  return kDone;
}

Status max_pool_gather(const MaxPoolGatherArgs& args) {
  const Array &x = args.x, &indices = args.indices;
  if (!is_float(x.dtype) || indices.dtype != DType::kInt32) return kNoDType;
  if (x.ndim < 2 || x.ndim != indices.ndim) return {Code::kShape, {1, 0}};
  if (x.shape[0] != indices.shape[0] || x.shape[1] != indices.shape[1]) {
    return {Code::kShape, {1, 0}};
  }
  if (args.y.size == 0) return kDone;
  const int64_t planes = x.shape[0] * x.shape[1];
  const int64_t in_plane = x.size / planes, out_plane = indices.size / planes;
  const Status check =
      check_indices(reinterpret_cast<const int32_t*>(indices.data), indices.size, in_plane);
  if (check.code != Code::kOk) return check;
  if (x.dtype == DType::kFloat32) {
    gather_typed<float>(args, planes, in_plane, out_plane);
  } else {
    gather_typed<double>(args, planes, in_plane, out_plane);
  }
  return kDone;
}

Status avg_pool(const AvgPoolArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Window w;
  if (args.out_shape.n != args.x.ndim ||
      !make_window(args.x.ndim, args.x.shape, args.out_shape.v, args.kernel, args.stride,
                   args.padding, nullptr, w)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) {
    avg_pool_typed<float>(args, w);
  } else {
    avg_pool_typed<double>(args, w);
  }
  return kDone;
}

Status avg_pool_bwd(const AvgPoolBwdArgs& args) {
  const Array& grad_y = args.grad_y;
  if (!is_float(grad_y.dtype)) return kNoDType;
  Window w;
  if (args.x_shape.n != grad_y.ndim ||
      !make_window(grad_y.ndim, args.x_shape.v, grad_y.shape, args.kernel, args.stride,
                   args.padding, nullptr, w)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.grad_x.size == 0) return kDone;
  if (grad_y.dtype == DType::kFloat32) {
    avg_pool_bwd_typed<float>(args, w);
  } else {
    avg_pool_bwd_typed<double>(args, w);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
