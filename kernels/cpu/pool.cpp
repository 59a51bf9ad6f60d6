// Maximum pooling, 1 to 3 spatial dimensions: max_pool max_pool_bwd max_pool_gather.
//
// max: y[o] = max over the window's elements inside the input; indices[o] is the place of the first
//   maximum (the last NaN: NaN wins) within the input plane. A window wholly outside the input
//   gives -inf.
// Layout: contiguous (N, C, *in); fewer than 3 spatial dimensions gain leading ones of extent 1.
// Split: a block is a number of whole planes. The backward adds in the order of the outputs within a
//   plane, so the bits do not depend on threads.
// Lanes are neighbouring outputs of a row whose windows lie inside the input; the outputs at the
//   edges are scalar.
// Working set: one input and one output plane.
// Cost: reads x once (window rows from L1), writes y and indices once.
// Accuracy: exact.
// Limits: a plane has at most 2^31 - 1 elements (int32 indices).
#include "pool.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// One output from its window.
template <class T>
GS_INLINE void max_pool_one(const Window& w, const T* x, Reach d, Reach h, Reach v, T* y,
                            int32_t* index) {
  T best = -T(__builtin_inf());
  int64_t at = -1;
  for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
    for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
      const int64_t row = (i * w.in[1] + j) * w.in[2];
      for (int64_t k = v.first; k < v.end; k += w.dilation[2]) {
        const T value = x[row + k];
        if (at < 0 || value > best || value != value) {
          best = value;
          at = row + k;
        }
      }
    }
  }
  *y = best;
  *index = static_cast<int32_t>(at < 0 ? 0 : at);
}

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
#pragma GCC unroll 64
    for (int i = 0; i < kLanes<T>; ++i) {
      if (i < n) p[i] = static_cast<int32_t>(v[i]);
    }
  }
}

// n neighbouring outputs, n <= kLanes, the first at column `column` of the input, all inside it along
// the last dimension; the rows in reach are not empty.
template <class T, int stride>
GS_INLINE void max_pool_lanes(const Window& w, const T* x, Reach d, Reach h, int64_t column,
                              int64_t n, T* y, int32_t* indices) {
  const int64_t step = stride ? stride : w.stride[2];
  const int64_t first = (d.first * w.in[1] + h.first) * w.in[2] + column;
  const IVec<T> lanes = lane_numbers<T>() * static_cast<IntOf<T>>(step);
  Vec<T> best = load_outputs<T, stride>(x + first, step, n);
  IVec<T> at = lanes + static_cast<IntOf<T>>(first);
  for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
    for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
      const int64_t row = (i * w.in[1] + j) * w.in[2] + column;
      for (int64_t k = 0; k < w.kernel[2]; ++k) {
        const int64_t place = row + k * w.dilation[2];
        const Vec<T> value = load_outputs<T, stride>(x + place, step, n);
        const IVec<T> better = (value > best) | (value != value);
        best = better ? value : best;
        at = better ? lanes + static_cast<IntOf<T>>(place) : at;
      }
    }
  }
  if (n == kLanes<T>) {
    store<T>(y, best);
  } else {
    store_n<T>(y, best, n);
  }
  store_indices<T>(indices, at, n);
}

template <class T, int stride>
void max_pool_plane(const Window& w, const Interior& inside, const T* x, T* y, int32_t* indices) {
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, y += w.out[2], indices += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      const bool rows = d.first < d.end && h.first < h.end;
      const int64_t begin = rows ? inside.begin : 0, end = rows ? inside.end : 0;
      for (int64_t o = 0; o < begin; ++o) {
        max_pool_one<T>(w, x, d, h, reach(w, 2, o), y + o, indices + o);
      }
      for (int64_t o = begin; o < end; o += kLanes<T>) {
        // The last vector starts earlier rather than end later: outputs done twice cost nothing.
        const int64_t from = end - o < kLanes<T> ? max64(begin, end - kLanes<T>) : o;
        max_pool_lanes<T, stride>(w, x, d, h, from * w.stride[2] - w.padding[2],
                                  min64(kLanes<T>, end - from), y + from, indices + from);
      }
      for (int64_t o = end; o < w.out[2]; ++o) {
        max_pool_one<T>(w, x, d, h, reach(w, 2, o), y + o, indices + o);
      }
    }
  }
}

template <class T>
void max_pool_typed(const MaxPoolArgs& args, const Window& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  int32_t* const indices = reinterpret_cast<int32_t*>(args.indices.data);
  const Interior inside = interior(w);
  const auto plane = w.stride[2] == 1   ? max_pool_plane<T, 1>
                     : w.stride[2] == 2 ? max_pool_plane<T, 2>
                     : w.stride[2] == 3 ? max_pool_plane<T, 3>
                                        : max_pool_plane<T, 0>;
  parallel_for(w.planes, planes_per_block(w), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      plane(w, inside, x + p * w.in_plane, y + p * w.out_plane, indices + p * w.out_plane);
    }
  });
}

// Indices out of range, found by several blocks at once: the first place in the array is what counts.
struct BadIndex {
  int64_t place = INT64_MAX;

  // Whether all of indices[begin, end) lie in [0, limit).
  bool check(const int32_t* indices, int64_t begin, int64_t end, int64_t limit) {
    IVec<float> bad{};
    const auto bound = static_cast<int32_t>(limit - 1);
    for (int64_t i = begin; i < end; i += kLanes<float>) {
      const int64_t n = min64(kLanes<float>, end - i);
      const float* const p = reinterpret_cast<const float*>(indices + i);
      const auto v =
          bit_cast<IVec<float>>(n == kLanes<float> ? load<float>(p) : load_n<float>(p, n));
      bad |= (v < 0) | (v > bound);  // the lanes beyond the end are 0
    }
    bool any = limit < 1 && begin < end;
    for (int i = 0; i < kLanes<float>; ++i) any = any || bad[i];
    if (!any) return true;
    int64_t first = begin;
    while (indices[first] >= 0 && indices[first] < limit) ++first;
    int64_t seen = __atomic_load_n(&place, __ATOMIC_RELAXED);
    while (first < seen && !__atomic_compare_exchange_n(&place, &seen, first, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return false;
  }

  Status status(const int32_t* indices, int64_t limit) const {
    if (place == INT64_MAX) return kDone;
    return {Code::kIndex, {indices[place], limit}};
  }
};

// Windows of 2 x 2 that tile the plane: every input has one window, so each is written once. false
// where an index lies outside its window (then the plane is to be done by scattering).
template <class T>
bool max_pool_bwd_2x2(const Window& w, const T* grad_y, const int32_t* indices, T* grad_x) {
  constexpr int kN = kLanes<T>;
  const int64_t width = w.in[2], out = w.out[2];
  const IVec<T> lanes = lane_numbers<T>() * IntOf<T>(2);
  IVec<T> lost{};
  for (int64_t r = 0; r < w.out[0] * w.out[1]; ++r) {
    const int64_t row = (r / w.out[1] * w.in[1] + r % w.out[1] * 2) * width;
    for (int64_t o = 0; o < out; o += kN) {
      const int64_t n = min64(kN, out - o);
      const Vec<T> g = n == kN ? load<T>(grad_y + r * out + o) : load_n<T>(grad_y + r * out + o, n);
      IVec<T> at{};
      if constexpr (sizeof(T) == 4) {
        const float* const p = reinterpret_cast<const float*>(indices + r * out + o);
        at = bit_cast<IVec<T>>(n == kN ? load<float>(p) : load_n<float>(p, n));
      } else {
        for (int i = 0; i < kN; ++i) at[i] = i < n ? indices[r * out + o + i] : 0;
      }
      IVec<T> found{};
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const int64_t place = row + j * width + 2 * o;
        const IVec<T> even = at == lanes + static_cast<IntOf<T>>(place);
        const IVec<T> odd = at == lanes + static_cast<IntOf<T>>(place + 1);
        found |= even | odd;
        Vec<T> first, second;
        interleave<T>(even ? g : Vec<T>{}, odd ? g : Vec<T>{}, first, second);
        store_pair<T>(grad_x + place, first, second, 2 * n);
      }
      lost |= n == kN ? ~found : (lane_mask<T>(n) & ~found);
    }
    if (width & 1) grad_x[row + width - 1] = grad_x[row + 2 * width - 1] = 0;
  }
  if (w.in[1] & 1) {
    for (int64_t d = 0; d < w.in[0]; ++d) {
      __builtin_memset(grad_x + (d * w.in[1] + w.in[1] - 1) * width, 0,
                       static_cast<size_t>(width) * sizeof(T));
    }
  }
  bool all = true;
  for (int i = 0; i < kN; ++i) all = all && !lost[i];
  return all;
}

template <class T>
Status max_pool_bwd_typed(const MaxPoolBwdArgs& args, const Window& w) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const int32_t* const indices = reinterpret_cast<const int32_t*>(args.indices.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const bool tiles = is_2x2(w);
  BadIndex bad;
  parallel_for(w.planes, planes_per_block(w), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      T* const g = grad_x + p * w.in_plane;
      const int64_t from = p * w.out_plane;
      if (tiles && max_pool_bwd_2x2<T>(w, grad_y + from, indices + from, g)) continue;
      if (!bad.check(indices, from, from + w.out_plane, w.in_plane)) return;
      __builtin_memset(g, 0, static_cast<size_t>(w.in_plane) * sizeof(T));
      for (int64_t o = from; o < from + w.out_plane; ++o) g[indices[o]] += grad_y[o];
    }
  });
  return bad.status(indices, w.in_plane);
}

template <class T>
Status gather_typed(const MaxPoolGatherArgs& args, int64_t planes, int64_t in_plane,
                    int64_t out_plane) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const int32_t* const indices = reinterpret_cast<const int32_t*>(args.indices.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  BadIndex bad;
  parallel_for(planes, max64(kBlock / out_plane, 1), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t from = p * out_plane;
      if (!bad.check(indices, from, from + out_plane, in_plane)) return;
      for (int64_t o = from; o < from + out_plane; ++o) y[o] = x[p * in_plane + indices[o]];
    }
  });
  return bad.status(indices, in_plane);
}

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
  if (w.in_plane > INT32_MAX) return {Code::kShape, {2, 0}};
  return grad_y.dtype == DType::kFloat32 ? max_pool_bwd_typed<float>(args, w)
                                         : max_pool_bwd_typed<double>(args, w);
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
  if (in_plane > INT32_MAX) return {Code::kShape, {0, 0}};
  return x.dtype == DType::kFloat32 ? gather_typed<float>(args, planes, in_plane, out_plane)
                                    : gather_typed<double>(args, planes, in_plane, out_plane);
}

}  // namespace GS_ISA
}  // namespace gradsmith
