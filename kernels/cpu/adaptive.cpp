// Pooling to a given size, 1 to 3 spatial dimensions: adaptive_avg_pool adaptive_avg_pool_bwd
// adaptive_max_pool; and the inverse of max pooling, max_unpool: y = 0 but y[indices[o]] = x[o] within
// each plane, the last o of several.
//
// Output o of `out` along a dimension has the window [floor(o * in / out), ceil((o + 1) * in / out)):
//   windows differ in size by one and may overlap. avg: the window's sum over its size. max: its
//   maximum, and where in the plane it stood first (the last NaN: NaN wins).
// Layout: contiguous (N, C, *in); fewer than 3 spatial dimensions gain leading ones of extent 1.
// Split: a block is a number of whole planes. The backward adds in the order of the outputs within a
//   plane, so the bits do not depend on threads.
// Working set: one input and one output plane.
// Cost: reads each input plane once from memory, writes each output plane once.
// Accuracy: sums in the element's type, in window order; max is exact.
// Limits: for max a plane has at most 2^31 - 1 elements (int32 indices). Where out divides in, the ops
//   call avg_pool and max_pool instead, whose lanes are whole vectors.
#include "lists/adaptive.h"
#include "maxima.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// What position i of `size` meets in `other`.
GS_INLINE Range meets(int64_t i, int64_t size, int64_t other) {
  return {i * other / size, ((i + 1) * other + size - 1) / size};
}

struct Planes {
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  int64_t count = 0, in_size = 1, out_size = 1;

  // false: the shapes do not fit together.
  bool set(int ndim, const int64_t* in_shape, const int64_t* out_shape) {
    const int spatial = ndim - 2;
    if (spatial < 1 || spatial > 3) return false;
    if (in_shape[0] != out_shape[0] || in_shape[1] != out_shape[1]) return false;
    count = in_shape[0] * in_shape[1];
    for (int i = 0; i < spatial; ++i) {
      const int d = 3 - spatial + i;
      in[d] = in_shape[2 + i];
      out[d] = out_shape[2 + i];
      if (in[d] < 0 || out[d] < 0) return false;
      in_size *= in[d];
      out_size *= out[d];
    }
    return true;
  }

  Range window(int d, int64_t o) const { return meets(o, out[d], in[d]); }

  // Calls body(plane) for every plane, on the pool.
  template <class Body>
  void over(const Body& body) const {
    parallel_for(count, max64(1, kBlock / max64(1, max64(in_size, out_size))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin; p < end; ++p) body(p);
                 });
  }
};

// Calls body(place, z, y, x) for all positions of a plane of this extent.
template <class Body>
GS_INLINE void over_positions(const int64_t (&extent)[3], const Body& body) {
  int64_t place = 0;
  for (int64_t z = 0; z < extent[0]; ++z) {
    for (int64_t y = 0; y < extent[1]; ++y) {
      for (int64_t x = 0; x < extent[2]; ++x) body(place++, z, y, x);
    }
  }
}

template <class T>
void average(const Planes& p, const T* x, T* y) {
  p.over([&](int64_t plane) {
    const T* const from = x + plane * p.in_size;
    T* const to = y + plane * p.out_size;
    over_positions(p.out, [&](int64_t o, int64_t oz, int64_t oy, int64_t ox) {
      const Range z = p.window(0, oz), r = p.window(1, oy), c = p.window(2, ox);
      T sum = 0;
      for (int64_t i = z.begin; i < z.end; ++i) {
        for (int64_t j = r.begin; j < r.end; ++j) {
          const T* const row = from + (i * p.in[1] + j) * p.in[2];
          for (int64_t k = c.begin; k < c.end; ++k) sum += row[k];
        }
      }
      to[o] = sum / static_cast<T>(z.size() * r.size() * c.size());
    });
  });
}

template <class T>
void average_bwd(const Planes& p, const T* grad_y, T* grad_x) {
  p.over([&](int64_t plane) {
    const T* const from = grad_y + plane * p.out_size;
    T* const to = grad_x + plane * p.in_size;
    __builtin_memset(to, 0, static_cast<size_t>(p.in_size) * sizeof(T));
    over_positions(p.out, [&](int64_t o, int64_t oz, int64_t oy, int64_t ox) {
      const Range z = p.window(0, oz), r = p.window(1, oy), c = p.window(2, ox);
      const T share = from[o] / static_cast<T>(z.size() * r.size() * c.size());
      for (int64_t i = z.begin; i < z.end; ++i) {
        for (int64_t j = r.begin; j < r.end; ++j) {
          T* const row = to + (i * p.in[1] + j) * p.in[2];
          for (int64_t k = c.begin; k < c.end; ++k) row[k] += share;
        }
      }
    });
  });
}

// A window's maximum so far, and where it stood.
template <class T>
struct Best {
  T value;
  int64_t at;

  GS_INLINE void take(T x, int64_t place) {
    if (x > value || x != x) {
      value = x;
      at = place;
    }
  }
};

// Elements [begin, end) of a row into `best`: by vectors a row that holds nothing larger is passed
// over, and only one that does is looked at element by element.
template <class T>
GS_INLINE void take_row(Best<T>& best, const T* row, int64_t begin, int64_t end, int64_t place) {
  int64_t k = begin;
  constexpr int kN = kLanes<T>;
  while (k + 4 * kN <= end) {
    IVec<T> larger{};
    const Vec<T> limit = splat<T>(best.value);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Vec<T> v = load<T>(row + k + i * kN);
      larger |= (v > limit) | (v != v);
    }
    if (any_lane<T>(larger)) {
      for (int64_t i = k; i < k + 4 * kN; ++i) best.take(row[i], place + i);
    }
    k += 4 * kN;
  }
  for (; k < end; ++k) best.take(row[k], place + k);
}

constexpr int64_t kColumns = 256;

// The maximum of each of n <= kColumns columns over the rows of a band, and where it stood, as Best takes
// them.
template <class T>
void column_maxima(const Planes& p, const T* from, Range z, Range r, int64_t n, T* values,
                   T* places) {
  constexpr int kN = kLanes<T>;
  for (int64_t k = 0; k < n; k += kN) {
    const int64_t m = min64(kN, n - k);
    const int64_t start = (z.begin * p.in[1] + r.begin) * p.in[2] + k;
    const IVec<T> lanes = lane_numbers<T>();
    Maxima<T> best{m == kN ? load<T>(from + start) : load_n<T>(from + start, m),
                   lanes + static_cast<IntOf<T>>(start)};
    for (int64_t i = z.begin; i < z.end; ++i) {
      for (int64_t j = r.begin; j < r.end; ++j) {
        const int64_t place = (i * p.in[1] + j) * p.in[2] + k;
        best.take(m == kN ? load<T>(from + place) : load_n<T>(from + place, m),
                  lanes + static_cast<IntOf<T>>(place));
      }
    }
    store<T>(values + k, best.value);
    store<T>(places + k, bit_cast<Vec<T>>(best.at));
  }
}

// Planes that are not wide: by columns, two windows to a vector or one where they are as narrow (7x7 of 8x8,
// 8 x 64 planes: 690 -> 265 us, two Emerald Rapids cores).
template <class T>
void maximum_by_columns(const Planes& p, const T* x, T* y, int32_t* indices) {
  Range across[kColumns];  // found once: two divisions each
  for (int64_t o = 0; o < p.out[2]; ++o) across[o] = p.window(2, o);
  p.over([&](int64_t plane) {
    const T* const from = x + plane * p.in_size;
    alignas(GS_VECTOR_BYTES) T values[kColumns + kLanes<T>], places[kColumns + kLanes<T>];
    int64_t o = plane * p.out_size;
    for (int64_t oz = 0; oz < p.out[0]; ++oz) {
      for (int64_t oy = 0; oy < p.out[1]; ++oy) {
        column_maxima<T>(p, from, p.window(0, oz), p.window(1, oy), p.in[2], values, places);
        for (int64_t ox = 0; ox < p.out[2]; ++ox, ++o) {
          const Range c = across[ox];
          if (2 * c.size() <= kLanes<T> && ox + 1 < p.out[2]) {
            const Range next = across[ox + 1];
            if (2 * next.size() <= kLanes<T>) {
              join_two<T>(values + c.begin, places + c.begin, c.size(), next.begin - c.begin,
                          next.size(), y + o, indices + o);
              ++ox, ++o;
              continue;
            }
          }
          if (c.size() <= kLanes<T>) {
            join_columns<T>(values + c.begin, places + c.begin, c.size(), y + o, indices + o);
            continue;
          }
          T best = values[c.begin];
          auto at = load_one<IntOf<T>>(reinterpret_cast<const char*>(places + c.begin));
          for (int64_t k = c.begin + 1; k < c.end; ++k) {
            const T v = values[k];
            const auto place = load_one<IntOf<T>>(reinterpret_cast<const char*>(places + k));
            // In the order of the rows the first maximum, and the last NaN.
            const bool first = v > best || (v == best && place < at);
            const bool last = v != v && (best == best || place > at);
            best = first || last ? v : best;
            at = first || last ? place : at;
          }
          y[o] = best;
          indices[o] = static_cast<int32_t>(at);
        }
      }
    }
  });
}

// Small planes of one window: kLanes maxima of every kLanes-th element, then theirs.
template <class T>
void maximum_of_planes(const Planes& p, const T* x, T* y, int32_t* indices) {
  constexpr int64_t kN = kLanes<T>;
  const int64_t n = p.in_size;
  p.over([&](int64_t plane) {
    const T* const from = x + plane * n;
    const IVec<T> lanes = lane_numbers<T>();
    Maxima<T> best{load<T>(from), lanes};
    for (int64_t i = kN; i < n; i += kN) {
      // The last vector starts earlier rather than end later.
      const int64_t at = min64(i, n - kN);
      best.take(load<T>(from + at), lanes + static_cast<IntOf<T>>(at));
    }
    IntOf<T> place;
    join_lanes<T>(best, y + plane, &place);
    indices[plane] = static_cast<int32_t>(place);
  });
}

template <class T>
void maximum(const Planes& p, const T* x, T* y, int32_t* indices) {
  constexpr int64_t kSmall = 1024;
  if (p.out_size == 1 && p.in_size >= kLanes<T> && p.in_size <= kSmall) {
    return maximum_of_planes<T>(p, x, y, indices);
  }
  const bool narrow = p.in[2] < 4 * kLanes<T> * p.out[2];  // windows of less than take_row's pace
  if (p.in[2] <= kColumns && p.out[2] <= kColumns && narrow) {
    return maximum_by_columns<T>(p, x, y, indices);
  }
  p.over([&](int64_t plane) {
    const T* const from = x + plane * p.in_size;
    const int64_t first = plane * p.out_size;
    over_positions(p.out, [&](int64_t o, int64_t oz, int64_t oy, int64_t ox) {
      const Range z = p.window(0, oz), r = p.window(1, oy), c = p.window(2, ox);
      const int64_t start = (z.begin * p.in[1] + r.begin) * p.in[2] + c.begin;
      Best<T> best{from[start], start};
      for (int64_t i = z.begin; i < z.end; ++i) {
        for (int64_t j = r.begin; j < r.end; ++j) {
          const int64_t row = (i * p.in[1] + j) * p.in[2];
          take_row(best, from + row, c.begin, c.end, row);
        }
      }
      y[first + o] = best.value;
      indices[first + o] = static_cast<int32_t>(best.at);
    });
  });
}

// y: zeros, but x[o] at indices[o] of each plane. Returns the first place of an index out of range.
template <class T>
int64_t put_back(const Planes& p, const T* x, const int64_t* indices, T* y) {
  int64_t bad = INT64_MAX;
  p.over([&](int64_t plane) {
    T* const to = y + plane * p.out_size;
    __builtin_memset(to, 0, static_cast<size_t>(p.out_size) * sizeof(T));
    for (int64_t o = plane * p.in_size; o < (plane + 1) * p.in_size; ++o) {
      if (indices[o] >= 0 && indices[o] < p.out_size) {
        to[indices[o]] = x[o];
        continue;
      }
      int64_t seen = __atomic_load_n(&bad, __ATOMIC_RELAXED);
      while (o < seen && !__atomic_compare_exchange_n(&bad, &seen, o, true, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED)) {
      }
      return;
    }
  });
  return bad;
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

constexpr Status kWrongShape{Code::kShape, {0, 0}};

template <class T>
T* pointer(const Array& a) {
  return reinterpret_cast<T*>(a.data);
}

}  // namespace

Status adaptive_avg_pool(const AdaptiveAvgPoolArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Planes p;
  if (args.out_shape.n != args.x.ndim || !p.set(args.x.ndim, args.x.shape, args.out_shape.v)) {
    return kWrongShape;
  }
  if (args.y.size == 0) return kDone;
  if (p.in_size == 0) return kWrongShape;
  if (args.x.dtype == DType::kFloat32) {
    average(p, pointer<const float>(args.x), pointer<float>(args.y));
  } else {
    average(p, pointer<const double>(args.x), pointer<double>(args.y));
  }
  return kDone;
}

Status adaptive_avg_pool_bwd(const AdaptiveAvgPoolBwdArgs& args) {
  const Array& grad_y = args.grad_y;
  if (!is_float(grad_y.dtype)) return kNoDType;
  Planes p;
  if (args.x_shape.n != grad_y.ndim || !p.set(grad_y.ndim, args.x_shape.v, grad_y.shape)) {
    return kWrongShape;
  }
  if (args.grad_x.size == 0) return kDone;
  if (grad_y.dtype == DType::kFloat32) {
    average_bwd(p, pointer<const float>(grad_y), pointer<float>(args.grad_x));
  } else {
    average_bwd(p, pointer<const double>(grad_y), pointer<double>(args.grad_x));
  }
  return kDone;
}

Status adaptive_max_pool(const AdaptiveMaxPoolArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Planes p;
  if (args.out_shape.n != args.x.ndim || !p.set(args.x.ndim, args.x.shape, args.out_shape.v)) {
    return kWrongShape;
  }
  if (args.y.size == 0) return kDone;
  if (p.in_size == 0 || p.in_size > INT32_MAX) return kWrongShape;
  int32_t* const indices = pointer<int32_t>(args.indices);
  if (args.x.dtype == DType::kFloat32) {
    maximum(p, pointer<const float>(args.x), pointer<float>(args.y), indices);
  } else {
    maximum(p, pointer<const double>(args.x), pointer<double>(args.y), indices);
  }
  return kDone;
}

Status max_unpool(const MaxUnpoolArgs& args) {
  const Array &x = args.x, &indices = args.indices;
  if (!is_float(x.dtype) || indices.dtype != DType::kInt64) return kNoDType;
  Planes p;
  if (args.out_shape.n != x.ndim || !p.set(x.ndim, x.shape, args.out_shape.v)) return kWrongShape;
  if (indices.size != x.size) return {Code::kShape, {1, 0}};
  const int64_t* const from = pointer<const int64_t>(indices);
  const int64_t bad = x.dtype == DType::kFloat32
                          ? put_back(p, pointer<const float>(x), from, pointer<float>(args.y))
                          : put_back(p, pointer<const double>(x), from, pointer<double>(args.y));
  if (bad == INT64_MAX) return kDone;
  return {Code::kIndex, {from[bad], p.out_size}};
}

}  // namespace GS_ISA
}  // namespace gradsmith
