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
// Lanes are neighbouring outputs of a row whose windows lie inside the input (average windows at least
//   half a vector wide in short rows: neighbouring inputs); the outputs at the edges are scalar.
// Working set: one input and one output plane.
// Cost: reads x once (window rows from L1), writes y and indices once.
// Accuracy: max is exact; avg sums in the element's type, in window order (or kLanes sums of a long
//   window's columns).
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

// The outputs along the last dimension whose window lies wholly inside the input: [begin, end).
struct Interior {
  int64_t begin, end;
};
Interior interior(const Window& w) {
  const int64_t span = (w.kernel[2] - 1) * w.dilation[2];
  const int64_t last = w.in[2] - 1 - span + w.padding[2];  // o * stride must not exceed it
  const int64_t begin = min64((w.padding[2] + w.stride[2] - 1) / w.stride[2], w.out[2]);
  const int64_t end = last < 0 ? 0 : min64(last / w.stride[2] + 1, w.out[2]);
  return {begin, max64(begin, end)};
}

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
        if (at < 0 || value > best || (value != value && best == best)) {
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
  Vec<T> best = load_lanes<T>(x + first, step, n);
  IVec<T> at = lanes + static_cast<IntOf<T>>(first);
  for (int64_t i = d.first; i < d.end; i += w.dilation[0]) {
    for (int64_t j = h.first; j < h.end; j += w.dilation[1]) {
      const int64_t row = (i * w.in[1] + j) * w.in[2] + column;
      for (int64_t k = 0; k < w.kernel[2]; ++k) {
        const int64_t place = row + k * w.dilation[2];
        const Vec<T> value = load_lanes<T>(x + place, step, n);
        // Larger, or the first NaN.
        const IVec<T> better = ~(value <= best) & (best == best);
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

int64_t planes_per_block(const Window& w) {
  return max64(kBlock / max64(w.in_plane, w.out_plane), 1);
}

template <class T>
void max_pool_typed(const MaxPoolArgs& args, const Window& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  int32_t* const indices = reinterpret_cast<int32_t*>(args.indices.data);
  const Interior inside = interior(w);
  const auto plane = w.stride[2] == 1   ? max_pool_plane<T, 1>
                     : w.stride[2] == 2 ? max_pool_plane<T, 2>
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

bool is_2x2(const Window& w) {
  return w.kernel[0] == 1 && w.stride[0] == 1 && w.padding[0] == 0 && w.in[0] == w.out[0] &&
         w.kernel[1] == 2 && w.stride[1] == 2 && w.padding[1] == 0 && w.dilation[1] == 1 &&
         w.kernel[2] == 2 && w.stride[2] == 2 && w.padding[2] == 0 && w.dilation[2] == 1 &&
         w.out[1] == w.in[1] / 2 && w.out[2] == w.in[2] / 2;
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

// What an average's divisor takes from one dimension, for the window of one output.
GS_INLINE int64_t extent_for_average(const Window& w, int d, int64_t o, bool include_pad) {
  const Reach r = reach(w, d, o);
  if (!include_pad) return max64(r.end - r.first, 0);
  const int64_t start = o * w.stride[d] - w.padding[d];
  return min64(start + w.kernel[d], w.in[d] + w.padding[d]) - start;
}

// The sum of a window whose rows are long: lanes along them.
template <class T>
T sum_wide(const Window& w, const T* x, Reach d, Reach h, Reach v) {
  Vec<T> sum{}, other{};
  const bool whole = v.end - v.first == w.in[2];  // then a plane's rows are one
  const int64_t rows = whole ? 1 : h.end - h.first;
  const int64_t n = whole ? (h.end - h.first) * w.in[2] : v.end - v.first;
  for (int64_t i = d.first; i < d.end; ++i) {
    for (int64_t j = h.first; j < h.first + rows; ++j) {
      const T* const row = x + (i * w.in[1] + j) * w.in[2] + v.first;
      int64_t k = 0;
      for (; k + 2 * kLanes<T> <= n; k += 2 * kLanes<T>) {
        sum += load<T>(row + k);
        other += load<T>(row + k + kLanes<T>);
      }
      for (; k + kLanes<T> <= n; k += kLanes<T>) sum += load<T>(row + k);
      if (k < n) sum += load_n<T>(row + k, n - k);
    }
  }
  sum += other;
  T all = 0;
#pragma GCC unroll 64
  for (int i = 0; i < kLanes<T>; ++i) all += sum[i];
  return all;
}

template <class T>
GS_INLINE T avg_pool_one(const Window& w, const T* x, Reach d, Reach h, Reach v, T count) {
  if (d.first >= d.end || h.first >= h.end || v.first >= v.end) return 0;
  if (v.end - v.first >= kLanes<T> / 2) return sum_wide<T>(w, x, d, h, v) / count;
  T sum = 0;
  for (int64_t i = d.first; i < d.end; ++i) {
    for (int64_t j = h.first; j < h.end; ++j) {
      const T* const row = x + (i * w.in[1] + j) * w.in[2];
      for (int64_t k = v.first; k < v.end; ++k) sum += row[k];
    }
  }
  return sum / count;
}

// n neighbouring outputs, as max_pool_lanes.
template <class T, int stride>
GS_INLINE void avg_pool_lanes(const Window& w, const T* x, Reach d, Reach h, int64_t column,
                              int64_t n, T count, T* y) {
  const int64_t step = stride ? stride : w.stride[2];
  Vec<T> sum{};
  for (int64_t i = d.first; i < d.end; ++i) {
    for (int64_t j = h.first; j < h.end; ++j) {
      const T* const row = x + (i * w.in[1] + j) * w.in[2] + column;
      for (int64_t k = 0; k < w.kernel[2]; ++k) sum += load_lanes<T>(row + k, step, n);
    }
  }
  sum = sum / count;
  if (n == kLanes<T>) {
    store<T>(y, sum);
  } else {
    store_n<T>(y, sum, n);
  }
}

template <class T, int stride>
void avg_pool_plane(const Window& w, const Interior& inside, bool include_pad, int64_t divisor,
                    const T* x, T* y) {
  const bool lanes = w.kernel[2] < kLanes<T> / 2 || inside.end - inside.begin >= kLanes<T>;
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, y += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      const int64_t depth =
          extent_for_average(w, 0, od, include_pad) * extent_for_average(w, 1, oh, include_pad);
      const bool rows = lanes && d.first < d.end && h.first < h.end;
      const int64_t begin = rows ? inside.begin : 0, end = rows ? inside.end : 0;
      const auto one = [&](int64_t o) {
        const int64_t count = divisor ? divisor : depth * extent_for_average(w, 2, o, include_pad);
        y[o] = avg_pool_one<T>(w, x, d, h, reach(w, 2, o), static_cast<T>(count));
      };
      const auto count = static_cast<T>(divisor ? divisor : depth * w.kernel[2]);
      for (int64_t o = 0; o < begin; ++o) one(o);
      for (int64_t o = begin; o < end; o += kLanes<T>) {
        const int64_t from = end - o < kLanes<T> ? max64(begin, end - kLanes<T>) : o;
        avg_pool_lanes<T, stride>(w, x, d, h, from * w.stride[2] - w.padding[2],
                                  min64(kLanes<T>, end - from), count, y + from);
      }
      for (int64_t o = end; o < w.out[2]; ++o) one(o);
    }
  }
}

// share[o] = grad_y[o] / divisor for one row of outputs.
template <class T>
void shares(const Window& w, const Interior& inside, bool include_pad, int64_t divisor,
            int64_t depth, const T* grad_y, T* share) {
  for (int64_t o = 0; o < w.out[2]; ++o) {
    if (o == inside.begin && !divisor) {
      const T count = static_cast<T>(depth * w.kernel[2]);
      for (; o + kLanes<T> <= inside.end; o += kLanes<T>) {
        store<T>(share + o, load<T>(grad_y + o) / count);
      }
      if (o >= w.out[2]) break;
    }
    const int64_t count = divisor ? divisor : depth * extent_for_average(w, 2, o, include_pad);
    share[o] = grad_y[o] / static_cast<T>(count);
  }
}

// row[o * stride + column] += share[o] for o in [begin, end).
template <class T>
GS_INLINE void add_shares(const Window& w, T* row, int64_t column, const T* share, int64_t begin,
                          int64_t end) {
  int64_t o = begin;
  if (w.stride[2] == 1) {
    for (; o + kLanes<T> <= end; o += kLanes<T>) {
      T* const p = row + column + o;
      store<T>(p, load<T>(p) + load<T>(share + o));
    }
  }
  for (; o < end; ++o) row[o * w.stride[2] + column] += share[o];
}

// Rows in which every input has one window of two columns: grad_x is written, not added to.
template <class T>
void avg_pool_bwd_2x2(const Window& w, const T* grad_y, T count, T* grad_x) {
  constexpr int kN = kLanes<T>;
  const int64_t width = w.in[2], out = w.out[2];
  for (int64_t r = 0; r < w.out[0] * w.out[1]; ++r) {
    T* const row = grad_x + (r / w.out[1] * w.in[1] + r % w.out[1] * 2) * width;
    for (int64_t o = 0; o < out; o += kN) {
      const int64_t n = min64(kN, out - o);
      const T* const p = grad_y + r * out + o;
      const Vec<T> share = (n == kN ? load<T>(p) : load_n<T>(p, n)) / count;
      Vec<T> first, second;
      interleave<T>(share, share, first, second);
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) store_pair<T>(row + j * width + 2 * o, first, second, 2 * n);
    }
    if (width & 1) row[width - 1] = row[2 * width - 1] = 0;
  }
  if (w.in[1] & 1) {
    for (int64_t d = 0; d < w.in[0]; ++d) {
      __builtin_memset(grad_x + (d * w.in[1] + w.in[1] - 1) * width, 0,
                       static_cast<size_t>(width) * sizeof(T));
    }
  }
}

// `share` holds one row of outputs.
template <class T>
void avg_pool_bwd_plane(const Window& w, const Interior& inside, bool include_pad, int64_t divisor,
                        const T* grad_y, T* grad_x, T* share) {
  __builtin_memset(grad_x, 0, static_cast<size_t>(w.in_plane) * sizeof(T));
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, grad_y += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      if (d.first >= d.end || h.first >= h.end) continue;
      const int64_t depth =
          extent_for_average(w, 0, od, include_pad) * extent_for_average(w, 1, oh, include_pad);
      shares<T>(w, inside, include_pad, divisor, depth, grad_y, share);
      for (int64_t i = d.first; i < d.end; ++i) {
        for (int64_t j = h.first; j < h.end; ++j) {
          T* const row = grad_x + (i * w.in[1] + j) * w.in[2];
          const auto edge = [&](int64_t o) {
            const Reach v = reach(w, 2, o);
            for (int64_t k = v.first; k < v.end; ++k) row[k] += share[o];
          };
          for (int64_t o = 0; o < inside.begin; ++o) edge(o);
          for (int64_t o = inside.begin; w.kernel[2] >= kLanes<T> && o < inside.end; ++o) {
            T* const p = row + o * w.stride[2] - w.padding[2];
            int64_t k = 0;
            for (; k + kLanes<T> <= w.kernel[2]; k += kLanes<T>) {
              store<T>(p + k, load<T>(p + k) + share[o]);
            }
            for (; k < w.kernel[2]; ++k) p[k] += share[o];
          }
          for (int64_t k = 0; w.kernel[2] < kLanes<T> && k < w.kernel[2]; ++k) {
            add_shares<T>(w, row, k - w.padding[2], share, inside.begin, inside.end);
          }
          for (int64_t o = inside.end; o < w.out[2]; ++o) edge(o);
        }
      }
    }
  }
}

template <class T>
void avg_pool_typed(const AvgPoolArgs& args, const Window& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const Interior inside = interior(w);
  const auto plane = w.stride[2] == 1   ? avg_pool_plane<T, 1>
                     : w.stride[2] == 2 ? avg_pool_plane<T, 2>
                                        : avg_pool_plane<T, 0>;
  parallel_for(w.planes, planes_per_block(w), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      plane(w, inside, args.count_include_pad, args.divisor, x + p * w.in_plane,
            y + p * w.out_plane);
    }
  });
}

template <class T>
Status avg_pool_bwd_typed(const AvgPoolBwdArgs& args, const Window& w) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const Interior inside = interior(w);
  if (is_2x2(w)) {
    const auto count = static_cast<T>(args.divisor ? args.divisor : 4);
    parallel_for(w.planes, planes_per_block(w), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        avg_pool_bwd_2x2<T>(w, grad_y + p * w.out_plane, count, grad_x + p * w.in_plane);
      }
    });
    return kDone;
  }
  // One row of shares a block.
  const int64_t per_block = planes_per_block(w);
  const int64_t blocks = (w.planes + per_block - 1) / per_block;
  const auto bytes = static_cast<size_t>(blocks * w.out[2]) * sizeof(T);
  T* const share = static_cast<T*>(allocate(bytes));
  if (!share) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  parallel_for(w.planes, per_block, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      avg_pool_bwd_plane<T>(w, inside, args.count_include_pad, args.divisor,
                            grad_y + p * w.out_plane, grad_x + p * w.in_plane,
                            share + begin / per_block * w.out[2]);
    }
  });
  release(share, bytes);
  return kDone;
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
  if (grad_y.size == 0) {
    __builtin_memset(
        args.grad_x.data, 0,
        static_cast<size_t>(args.grad_x.size) * (grad_y.dtype == DType::kFloat32 ? 4 : 8));
    return kDone;
  }
  return grad_y.dtype == DType::kFloat32 ? avg_pool_bwd_typed<float>(args, w)
                                         : avg_pool_bwd_typed<double>(args, w);
}

}  // namespace GS_ISA
}  // namespace gradsmith
