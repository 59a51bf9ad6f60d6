// Folding over any set of dimensions: what reduce.cpp and spread.cpp share.
//
// The reduced index space (in C order) is cut into chunks, the kept one into strips; a block is one
// strip of one chunk, whose partial results combine in the chunks' order. The borders follow from the
// shape alone. Lanes run along the reduced dimensions where those are contiguous, along the kept
// ones where those are, and over gathered elements otherwise.
#pragma once

#include "lists/reduce.h"
#include "pass.h"
#include "reduce_kinds.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;    // elements of x in a block
constexpr int64_t kStrip = 4096;     // kept elements side by side: 32 KB of partial sums
constexpr int64_t kAhead = 4096;     // bytes that are prefetched ahead of a row's lanes
constexpr int64_t kShortRow = 512;   // elements up to which rows are folded four at a time
constexpr int64_t kCombined = 8192;  // partial results that a block of the last step combines
constexpr int64_t kBlocks = 64;      // columns are cut into no more blocks than this

// kWidth elements of x as a vector of partial results.
template <class R, class T>
GS_INLINE Vec<typename R::Partial> load_partials(const T* p) {
  if constexpr (std::is_same_v<typename R::Partial, T>) {
    return load<T>(p);
  } else {
    typedef T Half
        __attribute__((vector_size(R::kWidth * sizeof(T)), aligned(alignof(T)), may_alias));
    const Half half = *reinterpret_cast<const Half*>(p);
    if constexpr (std::is_same_v<T, float>) {
      return widen(half);
    } else {
      return __builtin_convertvector(half, Vec<typename R::Partial>);
    }
  }
}

// Whether a or b is NaN in any lane.
GS_INLINE bool any_nan(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q) != 0;
#else
  return any_lane<float>((a != a) | (b != b));
#endif
}
GS_INLINE bool any_nan(Vec<double> a, Vec<double> b) {
#if defined(__AVX512F__)
  return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_UNORD_Q) != 0;
#else
  return any_lane<double>((a != a) | (b != b));
#endif
}

template <class T, bool kMin>
GS_INLINE Vec<T> extreme(Vec<T> a, Vec<T> b) {
  if constexpr (kMin) return lesser(a, b);
  return greater(a, b);
}

// The lanes of a, half by half: 3 or 4 steps and not 8 or 16 (amax of 4096x768: 222 -> 156 us).
template <class R, bool kNaN, int kStep = R::kWidth / 2>
GS_INLINE typename R::Partial fold_lanes(Vec<typename R::Partial> a) {
  using Partial = typename R::Partial;
  if constexpr (sizeof(Partial) < 4) {
    Partial all = a[0];
#pragma GCC unroll 64
    for (int k = 1; k < R::kWidth; ++k) all = R::combine(all, a[k]);
    return all;
  } else if constexpr (kStep == 0) {
    return a[0];
  } else {
    const Vec<Partial> other = shuffle<Partial>(a, a, lane_numbers<Partial>() ^ kStep);
    if constexpr (R::kExtreme && !kNaN) {
      return fold_lanes<R, kNaN, kStep / 2>(extreme<Partial, R::kLeast>(other, a));
    } else {
      return fold_lanes<R, kNaN, kStep / 2>(R::combine_v(a, other));
    }
  }
}

// The lanes of four vectors, each into one of the first four lanes of the result: 4 steps on whole vectors
// and not 12.
template <class R>
GS_INLINE Vec<typename R::Partial> fold_lanes_of_four(const Vec<typename R::Partial> (&a)[4]) {
  using Partial = typename R::Partial;
  constexpr int kN = R::kWidth;
  const auto step = [](Vec<Partial> v, Vec<Partial> w) {
    if constexpr (R::kExtreme) {
      return extreme<Partial, R::kLeast>(v, w);
    } else {
      return R::combine_v(v, w);
    }
  };
  IVec<Partial> even, odd, low,
      high;  // of two vectors: lanes 0 0 2 2 .., 1 1 3 3 ..; 0 1 0 1 4 5 ..
#pragma GCC unroll 16
  for (int i = 0; i < kN; ++i) {
    const int other = i % 2 * kN, half = i / 2 % 2;
    even[i] = i - i % 2 + other;
    odd[i] = even[i] + 1;
    low[i] = i - 2 * half + half * kN;
    high[i] = low[i] + 2;
  }
  const Vec<Partial> v =
      step(shuffle<Partial>(a[0], a[1], even), shuffle<Partial>(a[0], a[1], odd));
  const Vec<Partial> w =
      step(shuffle<Partial>(a[2], a[3], even), shuffle<Partial>(a[2], a[3], odd));
  Vec<Partial> all = step(shuffle<Partial>(v, w, low), shuffle<Partial>(v, w, high));
#pragma GCC unroll 4
  for (int k = kN / 2; k >= 4; k /= 2) {
    all = step(all, shuffle<Partial>(all, all, lane_numbers<Partial>() ^ k));
  }
  return all;
}

// Folds n neighbouring elements into `sum`. far: x lies beyond the caches, where asking for it ahead
// pays; inside them it costs (sums of 4096x768 along rows: 100 -> 122 us).
template <class R, class T>
typename R::Partial fold_array(typename R::Partial sum, const T* p, int64_t n, bool far,
                               typename R::Partial center = {}) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  const auto at = [&](int64_t i) { return R::enter_v(load_partials<R, T>(p + i), center); };
  int64_t i = 0;
  if (n >= kWidth) {
    Vec<Partial> a = at(0);
    i = kWidth;
    if (n >= 9 * kWidth) {  // seven more chains: a step waits four cycles, with NaN in amax ten
      Vec<Partial> b[7];
#pragma GCC unroll 7
      for (int k = 0; k < 7; ++k) b[k] = at((1 + k) * kWidth);
      for (i = 8 * kWidth; i + 8 * kWidth <= n; i += 8 * kWidth) {
        for (int64_t k = 0; far && k < 8 * kWidth; k += 64 / int64_t{sizeof(T)}) {
          __builtin_prefetch(p + i + k + kAhead / int64_t{sizeof(T)});
        }
        a = add_elements<R, T>(a, at(i));
#pragma GCC unroll 7
        for (int k = 0; k < 7; ++k) {
          b[k] = add_elements<R, T>(b[k], at(i + (1 + k) * kWidth));
        }
      }
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) b[k] = R::combine_v(b[k], k < 3 ? b[k + 4] : a);
      a = R::combine_v(R::combine_v(b[0], b[1]), R::combine_v(b[2], b[3]));
    }
    for (; i + kWidth <= n; i += kWidth) a = R::combine_v(a, at(i));
    sum = R::combine(sum, fold_lanes<R, true>(a));
  }
  for (; i < n; ++i) sum = R::combine(sum, R::enter(p[i], center));
  return sum;
}

// The same for a maximum: one instruction a vector, and half a one that looks for NaN. Where there is one
// fold_array finds it.
template <class T, bool kMin>
T fold_extreme(T best, const T* p, int64_t n, bool far) {
  using R = Max<T, kMin>;
  if constexpr (std::is_floating_point_v<T>) {
    constexpr int kN = kLanes<T>;
    if (n < 2 * kN) return fold_array<R, T>(best, p, n, far);
    Vec<T> m[8];
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) m[k] = splat<T>(R::identity());
    bool nan = false;
    int64_t i = 0;
    for (; i + 8 * kN <= n; i += 8 * kN) {
      for (int64_t k = 0; far && k < 8 * kN; k += 64 / int64_t{sizeof(T)}) {
        __builtin_prefetch(p + i + k + kAhead / int64_t{sizeof(T)});
      }
#pragma GCC unroll 4
      for (int k = 0; k < 8; k += 2) {
        const Vec<T> a = load<T>(p + i + k * kN), b = load<T>(p + i + (k + 1) * kN);
        m[k] = extreme<T, kMin>(a, m[k]);
        m[k + 1] = extreme<T, kMin>(b, m[k + 1]);
        nan |= any_nan(a, b);
      }
    }
    for (; i < n; i += kN) {
      if (i > n - kN) i = n - kN;  // the last vector again covers some elements
      const Vec<T> a = load<T>(p + i);
      m[0] = extreme<T, kMin>(a, m[0]);
      nan |= any_nan(a, a);
    }
    if (__builtin_expect(nan, 0)) return fold_array<R, T>(best, p, n, far);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) m[k] = extreme<T, kMin>(m[k], m[k + 4]);
    Vec<T> a = extreme<T, kMin>(extreme<T, kMin>(m[0], m[1]), extreme<T, kMin>(m[2], m[3]));
    return R::combine(best, fold_lanes<R, false>(a));
  } else {
    return fold_array<R, T>(best, p, n, far);
  }
}

// Folds kRows rows of n elements, `stride` bytes apart, into as many partial results. Two chains a row: with
// one row after another the end of each, where its lanes are folded, would be waited for.
template <class R, class T, int kRows>
__attribute__((noinline)) void fold_short(typename R::Partial* out, const char* p, int64_t stride,
                                          int64_t n, const typename R::Partial* centers) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  const T* row[kRows];
  Partial center[kRows] = {}, rest[kRows];
  Vec<Partial> a[kRows][2];
#pragma GCC unroll 4
  for (int k = 0; k < kRows; ++k) {
    row[k] = reinterpret_cast<const T*>(p + k * stride);
    if (centers) center[k] = centers[k];
    a[k][0] = a[k][1] = splat<Partial>(R::identity());
    rest[k] = R::identity();
  }
  bool nan = false;
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
#pragma GCC unroll 4
    for (int k = 0; k < kRows; ++k) {
      const Vec<Partial> v = R::enter_v(load_partials<R, T>(row[k] + i), center[k]);
      const Vec<Partial> w = R::enter_v(load_partials<R, T>(row[k] + i + kWidth), center[k]);
      if constexpr (R::kExtreme) {
        a[k][0] = extreme<T, R::kLeast>(v, a[k][0]);
        a[k][1] = extreme<T, R::kLeast>(w, a[k][1]);
        nan |= any_nan(v, w);
      } else {
        a[k][0] = add_elements<R, T>(a[k][0], v);
        a[k][1] = add_elements<R, T>(a[k][1], w);
      }
    }
  }
  if (i + kWidth <= n) {
#pragma GCC unroll 4
    for (int k = 0; k < kRows; ++k) {
      const Vec<Partial> v = R::enter_v(load_partials<R, T>(row[k] + i), center[k]);
      if constexpr (R::kExtreme) {
        a[k][0] = extreme<T, R::kLeast>(v, a[k][0]);
        nan |= any_nan(v, v);
      } else {
        a[k][0] = add_elements<R, T>(a[k][0], v);
      }
    }
    i += kWidth;
  }
  for (; i < n; ++i) {
#pragma GCC unroll 4
    for (int k = 0; k < kRows; ++k) rest[k] = R::combine(rest[k], R::enter(row[k][i], center[k]));
  }
  if (__builtin_expect(nan, 0)) {
    for (int k = 0; k < kRows; ++k) out[k] = fold_array<R, T>(out[k], row[k], n, false, center[k]);
    return;
  }
  Vec<Partial> row_lanes[kRows];
#pragma GCC unroll 4
  for (int k = 0; k < kRows; ++k) {
    if constexpr (R::kExtreme) {
      row_lanes[k] = extreme<T, R::kLeast>(a[k][1], a[k][0]);
    } else {
      row_lanes[k] = R::combine_v(a[k][0], a[k][1]);
    }
  }
  if constexpr (kRows == 4 && kWidth >= 4 && sizeof(Partial) >= 4) {
    if (n >= kWidth) {
      const Vec<Partial> all = fold_lanes_of_four<R>(row_lanes);
#pragma GCC unroll 4
      for (int k = 0; k < kRows; ++k) rest[k] = R::combine(all[k], rest[k]);
    }
  } else if (n >= kWidth) {
#pragma GCC unroll 4
    for (int k = 0; k < kRows; ++k) {
      rest[k] = R::combine(fold_lanes<R, false>(row_lanes[k]), rest[k]);
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < kRows; ++k) out[k] = R::combine(out[k], rest[k]);
}

template <class R, class T>
typename R::Partial fold_strided(typename R::Partial sum, const char* p, int64_t stride, int64_t n,
                                 typename R::Partial center) {
  for (int64_t i = 0; i < n; ++i) {
    sum = R::combine(sum, R::enter(load_one<T>(p + i * stride), center));
  }
  return sum;
}

// Folds `rows` rows of n elements, `stride` bytes apart, into n partial results, one a column.
template <class R, class T>
void fold_across(typename R::Partial* sums, const char* p, int64_t stride, int64_t rows, int64_t n,
                 const typename R::Partial* centers, bool far) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  const auto row = [&](int64_t j) { return reinterpret_cast<const T*>(p + j * stride); };
  if constexpr (R::kCentered) {
    for (int64_t j = 0; j < rows; ++j) {
      const T* const r = row(j);
      int64_t i = 0;
      for (; i + kWidth <= n; i += kWidth) {
        const Vec<Partial> x = load_partials<R, T>(r + i);
        const Vec<Partial> moved = centers ? x - load<Partial>(centers + i) : x;
        store<Partial>(sums + i, R::combine_v(load<Partial>(sums + i), R::enter_v(moved, 0)));
      }
      for (; i < n; ++i) {
        sums[i] = R::combine(sums[i], R::enter(r[i], centers ? centers[i] : Partial{}));
      }
    }
    return;
  }
  int64_t j = 0;
  for (; j + 4 <= rows; j += 4) {  // four at a time: a quarter of the traffic to `sums`
    const T *const r0 = row(j), *const r1 = row(j + 1), *const r2 = row(j + 2),
                   *const r3 = row(j + 3);
    int64_t i = 0;
#pragma GCC unroll 2
    for (; i + kWidth <= n; i += kWidth) {
      if (far && i * int64_t{sizeof(T)} % 64 == 0) {
        for (int64_t k = 4; k < 8; ++k) __builtin_prefetch(row(j + k) + i);
      }
      if constexpr (R::kExtreme) {
        const Vec<T> v0 = load<T>(r0 + i), v1 = load<T>(r1 + i), v2 = load<T>(r2 + i),
                     v3 = load<T>(r3 + i);
        if (__builtin_expect(!(any_nan(v0, v1) | any_nan(v2, v3)), 1)) {
          const Vec<T> v =
              extreme<T, R::kLeast>(extreme<T, R::kLeast>(v3, v2), extreme<T, R::kLeast>(v1, v0));
          store<T>(sums + i, extreme<T, R::kLeast>(v, load<T>(sums + i)));
          continue;
        }
      }
      Vec<Partial> a = add_elements<R, T>(load<Partial>(sums + i), load_partials<R, T>(r0 + i));
      a = add_elements<R, T>(a, load_partials<R, T>(r1 + i));
      a = add_elements<R, T>(a, load_partials<R, T>(r2 + i));
      store<Partial>(sums + i, add_elements<R, T>(a, load_partials<R, T>(r3 + i)));
    }
    for (; i < n; ++i) {
      sums[i] = R::combine(R::combine(R::combine(R::combine(sums[i], r0[i]), r1[i]), r2[i]), r3[i]);
    }
  }
  for (; j < rows; ++j) {
    const T* const r = row(j);
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) {
      store<Partial>(sums + i, R::combine_v(load<Partial>(sums + i), load_partials<R, T>(r + i)));
    }
    for (; i < n; ++i) sums[i] = R::combine(sums[i], r[i]);
  }
}

// x's index space split into the kept dimensions and the reduced ones.
struct Split {
  StridedLoop<1> kept, reduced;
  int64_t outputs = 1, extent = 1;  // elements of each
};

inline Split split_dims(const Array& x, const Ints& dims) {
  Split s;
  int kept = 0, reduced = 0;
  int64_t kept_shape[kMaxDims], reduced_shape[kMaxDims];
  for (int d = 0; d < x.ndim; ++d) {
    bool is_reduced = false;
    for (int i = 0; i < dims.n; ++i) is_reduced = is_reduced || dims.v[i] == d;
    if (is_reduced) {
      reduced_shape[reduced] = x.shape[d];
      s.reduced.stride[0][reduced++] = x.stride[d];
      s.extent *= x.shape[d];
    } else {
      kept_shape[kept] = x.shape[d];
      s.kept.stride[0][kept++] = x.stride[d];
      s.outputs *= x.shape[d];
    }
  }
  merge(s.kept, kept, kept_shape);
  merge(s.reduced, reduced, reduced_shape);
  return s;
}

// How lanes run: over neighbouring reduced elements, over neighbouring kept ones, or neither.
enum Lanes { kAlong, kAcross, kGathered };

template <class T>
Lanes lanes_of(const Split& s, const char* x) {
  const bool aligned = is_aligned<T>(s.kept, 0, x) && is_aligned<T>(s.reduced, 0, x);
  const bool along = aligned && rows_are_arrays<T>(s.reduced, 0, x);
  const bool across = aligned && rows_are_arrays<T>(s.kept, 0, x);
  // Both: x is one row of them, or a broadcast one.
  if (along && across) {
    return s.reduced.shape[s.reduced.ndim - 1] >= s.kept.shape[s.kept.ndim - 1] ? kAlong : kAcross;
  }
  return along ? kAlong : across ? kAcross : kGathered;
}

// partial[i - begin] = the fold of reduced elements [r0, r1) for the outputs i in [begin, end).
template <class R, class T>
void fold_block(const Split& s, Lanes lanes, const char* x, int64_t begin, int64_t end, int64_t r0,
                int64_t r1, typename R::Partial* partial, const typename R::Partial* centers,
                bool far) {
  const int64_t kept_stride = s.kept.stride[0][s.kept.ndim - 1];
  const int64_t reduced_stride = s.reduced.stride[0][s.reduced.ndim - 1];
  for (int64_t i = begin; i < end; ++i) partial[i - begin] = R::identity();
  // The outputs within the runs of reduced elements: in the order of memory where, as for a
  // convolution's bias, the kept dimension lies between reduced ones.
  for_rows<1>(s.reduced, {x}, r0, r1, [&](int64_t, const char* const* q, int64_t m) {
    for_rows<1>(s.kept, {q[0]}, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      typename R::Partial* const out = partial + (at - begin);
      if (lanes == kAcross) {
        fold_across<R, T>(out, p[0], reduced_stride, m, n, centers ? centers + at : nullptr, far);
        return;
      }
      int64_t i = 0;
      if (lanes == kAlong && m <= kShortRow) {
        const auto center = [&] { return centers ? centers + at + i : nullptr; };
        for (; i + 4 <= n; i += 4) {
          fold_short<R, T, 4>(out + i, p[0] + i * kept_stride, kept_stride, m, center());
        }
        for (; i < n; ++i) fold_short<R, T, 1>(out + i, p[0] + i * kept_stride, 0, m, center());
      }
      for (; i < n; ++i) {
        const char* const run = p[0] + i * kept_stride;
        const auto center = centers ? centers[at + i] : typename R::Partial{};
        const T* const array = reinterpret_cast<const T*>(run);
        if (lanes == kGathered) {
          out[i] = fold_strided<R, T>(out[i], run, reduced_stride, m, center);
        } else if constexpr (R::kExtreme) {
          out[i] = fold_extreme<T, R::kLeast>(out[i], array, m, far);
        } else {
          out[i] = fold_array<R, T>(out[i], array, m, far, center);
        }
      }
    });
  });
}

// out[i] = values[i], converted.
template <class T, class P>
void put_values(T* out, const P* values, int64_t n) {
  int64_t i = 0;
  if constexpr (std::is_same_v<T, float> && std::is_same_v<P, double>) {
    for (; i + kLanes<double> <= n; i += kLanes<double>) {
      const HalfFloats half = __builtin_convertvector(load<double>(values + i), HalfFloats);
      __builtin_memcpy(out + i, &half, sizeof(half));
    }
  }
  for (; i < n; ++i) out[i] = static_cast<T>(values[i]);
}

// partial[k] = the fold of the chunks' partial results for output k, in their order.
template <class R>
void combine_chunks(typename R::Partial* partial, int64_t outputs, int64_t chunks, int64_t begin,
                    int64_t end) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  int64_t k = begin;
  for (; k + 4 * kWidth <= end; k += 4 * kWidth) {
    Vec<Partial> a[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) a[v] = load<Partial>(partial + k + v * kWidth);
    for (int64_t c = 1; c < chunks; ++c) {
      const Partial* const next = partial + c * outputs + k;
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) a[v] = R::combine_v(a[v], load<Partial>(next + v * kWidth));
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store<Partial>(partial + k + v * kWidth, a[v]);
  }
  for (; k < end; ++k) {
    Partial a = partial[k];
    for (int64_t c = 1; c < chunks; ++c) a = R::combine(a, partial[c * outputs + k]);
    partial[k] = a;
  }
}

// put(first, values, n): the folds over all reduced elements for the results [first, first + n) of y; R's center for it, if any, is
// centers[i].
template <class R, class T, class Put>
Status reduce_to(const Array& x, const Ints& dims, const Array& y,
                 const typename R::Partial* centers, const Put& put) {
  using Partial = typename R::Partial;
  for (int i = 0; i < dims.n; ++i) {
    if (dims.v[i] < 0 || dims.v[i] >= x.ndim) return {Code::kShape, {0, 0}};
  }
  const Split s = split_dims(x, dims);
  if (s.outputs != y.size) return {Code::kShape, {0, 0}};
  // Strips of outputs times chunks of the reduced space; each about kBlock elements of x, chunks of
  // whole runs where the runs are short.
  const Lanes lanes = lanes_of<T>(s, x.data);
  const int64_t size = x.size * int64_t{sizeof(T)};
  const bool far = beyond_cache(size);
  const int64_t run = max64(s.reduced.shape[s.reduced.ndim - 1], 1);
  int64_t strip = kStrip;
  if (lanes == kAcross) {
    const int64_t count = (s.outputs + kStrip - 1) / kStrip;  // of equal width
    strip = ((s.outputs + count - 1) / count + 15) / 16 * 16;
  } else {
    strip = min64(strip, max64(kBlock / run, 1));
  }
  strip = min64(strip, s.outputs);
  const int64_t strips = (s.outputs + strip - 1) / strip;
  int64_t chunk = max64(kBlock / strip, 1);
  if (lanes == kAcross) chunk = max64(chunk, s.extent * strips / kBlocks);
  if (lanes != kAcross && chunk > run) chunk = chunk / run * run;
  const int64_t chunks = max64((s.extent + chunk - 1) / chunk, 1);
  if (chunks == 1) {
    const int64_t per_block = max64(kBlock / (strip * max64(s.extent, 1)), 1);
    parallel_pass(strips, per_block, size, [&](int64_t first, int64_t last) {
      Partial partial[kStrip];
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * strip, end = min64(begin + strip, s.outputs);
        fold_block<R, T>(s, lanes, x.data, begin, end, 0, s.extent, partial, centers, far);
        put(begin, partial, end - begin);
      }
    });
    return kDone;
  }
  const auto bytes = static_cast<size_t>(s.outputs * chunks) * sizeof(Partial);
  Partial* const partial = static_cast<Partial*>(allocate(bytes));
  if (!partial) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const auto fold = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t c = i / strips, begin = i % strips * strip;
      fold_block<R, T>(s, lanes, x.data, begin, min64(begin + strip, s.outputs), c * chunk,
                       min64((c + 1) * chunk, s.extent), partial + c * s.outputs + begin, centers,
                       far);
    }
  };
  // Across: the rows of the next chunk are fetched ahead, which a pass backwards has had already.
  lanes == kAcross ? parallel_for(strips * chunks, 1, fold)
                   : parallel_pass(strips * chunks, 1, size, fold);
  parallel_for(s.outputs, max64(kCombined / chunks, 64), [&](int64_t begin, int64_t end) {
    combine_chunks<R>(partial, s.outputs, chunks, begin, end);
    put(begin, partial + begin, end - begin);
  });
  release(partial, bytes);
  return kDone;
}

inline int64_t reduced_extent(const Array& x, const Ints& dims) {
  int64_t extent = 1;
  for (int i = 0; i < dims.n; ++i) {
    if (dims.v[i] >= 0 && dims.v[i] < x.ndim) extent *= x.shape[dims.v[i]];  // else: reduce_to
  }
  return extent;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
