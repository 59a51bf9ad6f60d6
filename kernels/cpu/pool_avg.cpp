// Average pooling, 1 to 3 spatial dimensions: avg_pool avg_pool_bwd.
//
// y[o] = the sum of the window's elements inside the input over the divisor: the window clipped to
//   the padded input (count_include_pad), clipped to the input (otherwise), or the given one. A
//   window wholly outside the input gives 0.
// Layout: contiguous (N, C, *in); fewer than 3 spatial dimensions gain leading ones of extent 1.
// Split: a block is a number of whole planes. The backward adds in the order of the outputs within a
//   plane, so the bits do not depend on threads.
// Lanes are neighbouring outputs of a row whose windows lie inside the input; in short rows of windows at
//   least half a vector wide neighbouring inputs, whose columns are summed first. The outputs at the
//   edges are scalar. The backward of windows side by side writes each input once.
// Working set: one input and one output plane.
// Cost: reads x once (window rows from L1), writes y once.
// Accuracy: sums in the element's type, in window order (or kLanes sums of a long window's columns).
#include "pass.h"
#include "pool.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

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

constexpr int64_t kColumns = 1024;

// Whether a short row of outputs is summed by columns: windows of some vectors, few of them overlapping.
template <class T>
bool sum_by_columns(const Window& w) {
  return w.in[2] <= kColumns && w.kernel[2] <= 2 * kLanes<T> && w.stride[2] <= w.kernel[2] &&
         w.kernel[2] <= 2 * w.stride[2];
}

// sums[c] = the sum of column c over the window's rows.
template <class T>
void sum_columns(const Window& w, const T* x, Reach d, Reach h, T* sums) {
  const int64_t width = w.in[2];
  for (int64_t c = 0; c < width; c += kLanes<T>) {
    const int64_t n = min64(kLanes<T>, width - c);
    Vec<T> sum{};
    for (int64_t i = d.first; i < d.end; ++i) {
      for (int64_t j = h.first; j < h.end; ++j) {
        const T* const p = x + (i * w.in[1] + j) * width + c;
        sum += n == kLanes<T> ? load<T>(p) : load_n<T>(p, n);
      }
    }
    if (n == kLanes<T>) {
      store<T>(sums + c, sum);
    } else {
      store_n<T>(sums + c, sum, n);
    }
  }
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
      for (int64_t k = 0; k < w.kernel[2]; ++k) sum += load_outputs<T, stride>(row + k, step, n);
    }
  }
  sum = sum / count;
  if (n == kLanes<T>) {
    store<T>(y, sum);
  } else {
    store_n<T>(y, sum, n);
  }
}

// Rows of windows 2 x 2 side by side: two loads and two permutations give both columns of a row.
template <class T>
void avg_pool_2x2(const Window& w, T count, const T* x, T* y) {
  constexpr int kN = kLanes<T>;
  const int64_t width = w.in[2], out = w.out[2];
  const T share = T(1) / count;
  const bool exact = count == T(4);  // then the quotient is that product
  for (int64_t d = 0; d < w.out[0]; ++d, x += (w.in[1] & 1) * width) {
    for (int64_t r = 0; r < w.out[1]; ++r, x += 2 * width, y += out) {
      for (int64_t o = 0; o < out; o += kN) {
        // The last vector starts earlier rather than end later.
        const int64_t from = out - o < kN ? max64(out - kN, 0) : o, n = min64(kN, out);
        Vec<T> even, odd, sum{};
        load_pairs<T>(x + 2 * from, n, even, odd);
        sum += even;
        sum += odd;
        load_pairs<T>(x + 2 * from + width, n, even, odd);
        sum += even;
        sum += odd;
        sum = exact ? sum * share : sum / count;
        if (n == kN) {
          store<T>(y + from, sum);
        } else {
          store_n<T>(y + from, sum, n);
        }
      }
    }
  }
}

template <class T, int stride>
void avg_pool_plane(const Window& w, const Interior& inside, bool include_pad, int64_t divisor,
                    const T* x, T* y) {
  const bool lanes = w.kernel[2] < kLanes<T> / 2 || inside.end - inside.begin >= kLanes<T>;
  const bool by_columns = !lanes && sum_by_columns<T>(w);
  alignas(GS_VECTOR_BYTES) T columns[kColumns];
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, y += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      const int64_t depth =
          extent_for_average(w, 0, od, include_pad) * extent_for_average(w, 1, oh, include_pad);
      if (by_columns && d.first < d.end && h.first < h.end) {
        sum_columns<T>(w, x, d, h, columns);
        for (int64_t o = 0; o < w.out[2]; ++o) {
          const Reach v = reach(w, 2, o);
          const int64_t count =
              divisor ? divisor : depth * extent_for_average(w, 2, o, include_pad);
          T sum = 0;
          for (int64_t k = v.first; k < v.end; ++k) sum += columns[k];
          y[o] = v.first < v.end ? sum / static_cast<T>(count) : T(0);
        }
        continue;
      }
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

// Windows side by side: every input has one window at most.
bool is_tiled(const Window& w) {
  bool yes = true;
  for (int d = 0; d < 3; ++d) yes = yes && w.stride[d] == w.kernel[d] && w.padding[d] == 0;
  return yes;
}

// As avg_pool_bwd_plane, for such windows; `share` holds one row of outputs and one of inputs.
template <class T>
void avg_pool_bwd_tiled(const Window& w, const Interior& inside, bool include_pad, int64_t divisor,
                        const T* grad_y, T* grad_x, T* share) {
  T* const spread = share + w.out[2];
  const auto bytes = static_cast<size_t>(w.in[2]) * sizeof(T);
  if (w.out[0] * w.kernel[0] < w.in[0] || w.out[1] * w.kernel[1] < w.in[1]) {
    __builtin_memset(grad_x, 0, static_cast<size_t>(w.in_plane) * sizeof(T));
  }
  __builtin_memset(spread, 0, bytes);
  for (int64_t od = 0; od < w.out[0]; ++od) {
    const Reach d = reach(w, 0, od);
    for (int64_t oh = 0; oh < w.out[1]; ++oh, grad_y += w.out[2]) {
      const Reach h = reach(w, 1, oh);
      const int64_t depth =
          extent_for_average(w, 0, od, include_pad) * extent_for_average(w, 1, oh, include_pad);
      shares<T>(w, inside, include_pad, divisor, depth, grad_y, share);
      for (int64_t o = 0; o < w.out[2]; ++o) {
        const Reach v = reach(w, 2, o);
        for (int64_t k = v.first; k < v.end; ++k) spread[k] = share[o];
      }
      for (int64_t i = d.first; i < d.end; ++i) {
        for (int64_t j = h.first; j < h.end; ++j) {
          __builtin_memcpy(grad_x + (i * w.in[1] + j) * w.in[2], spread, bytes);
        }
      }
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
  if (is_2x2(w)) {
    const auto count = static_cast<T>(args.divisor ? args.divisor : 4);
    const int64_t bytes = w.planes * (w.in_plane + w.out_plane) * int64_t{sizeof(T)};
    parallel_pass(w.planes, planes_per_block(w), bytes, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        avg_pool_2x2<T>(w, count, x + p * w.in_plane, y + p * w.out_plane);
      }
    });
    return;
  }
  const Interior inside = interior(w);
  const auto plane = w.stride[2] == 1   ? avg_pool_plane<T, 1>
                     : w.stride[2] == 2 ? avg_pool_plane<T, 2>
                     : w.stride[2] == 3 ? avg_pool_plane<T, 3>
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
  // One row of shares a block, and one of inputs.
  const auto plane = is_tiled(w) ? avg_pool_bwd_tiled<T> : avg_pool_bwd_plane<T>;
  const int64_t row = w.out[2] + w.in[2];
  const int64_t per_block = planes_per_block(w);
  const int64_t blocks = (w.planes + per_block - 1) / per_block;
  const auto bytes = static_cast<size_t>(blocks * row) * sizeof(T);
  T* const share = static_cast<T*>(allocate(bytes));
  if (!share) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  parallel_for(w.planes, per_block, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      plane(w, inside, args.count_include_pad, args.divisor, grad_y + p * w.out_plane,
            grad_x + p * w.in_plane, share + begin / per_block * row);
    }
  });
  release(share, bytes);
  return kDone;
}

}  // namespace

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
