// Reductions: sum mean amax amax_weight max_dim.
//
// sum, mean, amax: y = reduction of x over any set of dimensions, any strides, float32 and float64.
// Split: the reduced index space (in C order) is cut into chunks, the kept one into strips; a block
//   is one strip of one chunk, whose partial results combine in the chunks' order. The borders
//   follow from the shape alone. Lanes run along the reduced dimensions where those are contiguous,
//   along the kept ones where those are, and over gathered elements otherwise.
// Working set: one chunk of x (64 K elements) or a strip of kStrip float64 accumulators (32 KB).
// Cost: reads x once.
// Accuracy: sums accumulate in float64, over kLanes lanes and chunks: float32 results are within
//   0.5 ULP + n * 2^-53 relative to the sum of magnitudes; float64 within (n / lanes) * 2^-53.
// NaN wins in amax and max_dim; max_dim gives the first maximum (or the first NaN).
// Limits: amax and max_dim over no elements, and max_dim over 2^31 or more, answer kShape.
#include "lists/reduce.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;  // elements of x in a block
constexpr int64_t kStrip = 4096;   // kept elements side by side: 32 KB of partial sums
constexpr int64_t kBlocks = 64;    // columns are cut into no more blocks than this

// ---- what is reduced: a type for partial results, vectors of them ----

template <class T>
struct Sum {
  using Partial = double;
  static constexpr int kWidth = kLanes<double>;
  static Partial identity() { return 0; }
  static GS_INLINE Partial combine(Partial a, Partial b) { return a + b; }
  static GS_INLINE Vec<double> combine_v(Vec<double> a, Vec<double> b) { return a + b; }
};

template <class T>
struct Max {
  using Partial = T;
  static constexpr int kWidth = kLanes<T>;
  static Partial identity() { return -T(__builtin_inf()); }
  static GS_INLINE Partial combine(Partial a, Partial b) { return (b > a || b != b) ? b : a; }
  static GS_INLINE Vec<T> combine_v(Vec<T> a, Vec<T> b) {
    const Vec<T> larger = b > a ? b : a;  // a NaN in a stays: b > NaN is false
    return b != b ? b : larger;
  }
};

// kWidth elements of x as a vector of partial results.
template <class R, class T>
GS_INLINE Vec<typename R::Partial> load_partials(const T* p) {
  if constexpr (std::is_same_v<typename R::Partial, T>) {
    return load<T>(p);
  } else {
    typedef T Half
        __attribute__((vector_size(R::kWidth * sizeof(T)), aligned(alignof(T)), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Half*>(p), Vec<typename R::Partial>);
  }
}

// Folds n neighbouring elements into `sum`.
template <class R, class T>
typename R::Partial fold_array(typename R::Partial sum, const T* p, int64_t n) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  int64_t i = 0;
  if (n >= kWidth) {
    Vec<Partial> a = load_partials<R, T>(p);
    i = kWidth;
    if (n >= 5 * kWidth) {  // three more chains: an addition takes four cycles
      Vec<Partial> b[3];
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) b[k] = load_partials<R, T>(p + (1 + k) * kWidth);
      for (i = 4 * kWidth; i + 4 * kWidth <= n; i += 4 * kWidth) {
        a = R::combine_v(a, load_partials<R, T>(p + i));
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k) {
          b[k] = R::combine_v(b[k], load_partials<R, T>(p + i + (1 + k) * kWidth));
        }
      }
      a = R::combine_v(R::combine_v(a, b[0]), R::combine_v(b[1], b[2]));
    }
    for (; i + kWidth <= n; i += kWidth) a = R::combine_v(a, load_partials<R, T>(p + i));
#pragma GCC unroll 64
    for (int k = 0; k < kWidth; ++k) sum = R::combine(sum, a[k]);
  }
  for (; i < n; ++i) sum = R::combine(sum, p[i]);
  return sum;
}

template <class R, class T>
typename R::Partial fold_strided(typename R::Partial sum, const char* p, int64_t stride,
                                 int64_t n) {
  for (int64_t i = 0; i < n; ++i) sum = R::combine(sum, load_one<T>(p + i * stride));
  return sum;
}

// Folds `rows` rows of n elements, `stride` bytes apart, into n partial results, one a column.
template <class R, class T>
void fold_across(typename R::Partial* sums, const char* p, int64_t stride, int64_t rows,
                 int64_t n) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  const auto row = [&](int64_t j) { return reinterpret_cast<const T*>(p + j * stride); };
  int64_t j = 0;
  for (; j + 4 <= rows; j += 4) {  // four at a time: a quarter of the traffic to `sums`
    const T *const r0 = row(j), *const r1 = row(j + 1), *const r2 = row(j + 2),
                   *const r3 = row(j + 3);
    int64_t i = 0;
#pragma GCC unroll 2
    for (; i + kWidth <= n; i += kWidth) {
      Vec<Partial> a = R::combine_v(load<Partial>(sums + i), load_partials<R, T>(r0 + i));
      a = R::combine_v(a, load_partials<R, T>(r1 + i));
      a = R::combine_v(a, load_partials<R, T>(r2 + i));
      store<Partial>(sums + i, R::combine_v(a, load_partials<R, T>(r3 + i)));
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

Split split_dims(const Array& x, const Ints& dims) {
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
                int64_t r1, typename R::Partial* partial) {
  const int64_t kept_stride = s.kept.stride[0][s.kept.ndim - 1];
  const int64_t reduced_stride = s.reduced.stride[0][s.reduced.ndim - 1];
  for (int64_t i = begin; i < end; ++i) partial[i - begin] = R::identity();
  // The outputs within the runs of reduced elements: in the order of memory where, as for a
  // convolution's bias, the kept dimension lies between reduced ones.
  for_rows<1>(s.reduced, {x}, r0, r1, [&](int64_t, const char* const* q, int64_t m) {
    for_rows<1>(s.kept, {q[0]}, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      typename R::Partial* const out = partial + (at - begin);
      if (lanes == kAcross) {
        fold_across<R, T>(out, p[0], reduced_stride, m, n);
        return;
      }
      for (int64_t i = 0; i < n; ++i) {
        const char* const run = p[0] + i * kept_stride;
        out[i] = lanes == kAlong ? fold_array<R, T>(out[i], reinterpret_cast<const T*>(run), m)
                                 : fold_strided<R, T>(out[i], run, reduced_stride, m);
      }
    });
  });
}

// y[i] = finish(fold over all reduced elements).
template <class R, class T, class Finish>
Status reduce_to(const Array& x, const Ints& dims, const Array& y, const Finish& finish) {
  using Partial = typename R::Partial;
  const Split s = split_dims(x, dims);
  T* const out = reinterpret_cast<T*>(y.data);
  // Strips of outputs times chunks of the reduced space; each about kBlock elements of x, chunks of
  // whole runs where the runs are short.
  const Lanes lanes = lanes_of<T>(s, x.data);
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
    parallel_for(strips, per_block, [&](int64_t first, int64_t last) {
      Partial partial[kStrip];
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * strip, end = min64(begin + strip, s.outputs);
        fold_block<R, T>(s, lanes, x.data, begin, end, 0, s.extent, partial);
        for (int64_t k = begin; k < end; ++k) out[k] = finish(partial[k - begin]);
      }
    });
    return kDone;
  }
  const auto bytes = static_cast<size_t>(s.outputs * chunks) * sizeof(Partial);
  Partial* const partial = static_cast<Partial*>(allocate(bytes));
  if (!partial) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  parallel_for(strips * chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t c = i / strips, begin = i % strips * strip;
      fold_block<R, T>(s, lanes, x.data, begin, min64(begin + strip, s.outputs), c * chunk,
                       min64((c + 1) * chunk, s.extent), partial + c * s.outputs + begin);
    }
  });
  parallel_for(s.outputs, kStrip, [&](int64_t begin, int64_t end) {
    for (int64_t c = 1; c < chunks; ++c) {
      const Partial* const next = partial + c * s.outputs;
      for (int64_t k = begin; k < end; ++k) partial[k] = R::combine(partial[k], next[k]);
    }
    for (int64_t k = begin; k < end; ++k) out[k] = finish(partial[k]);
  });
  release(partial, bytes);
  return kDone;
}

int64_t reduced_extent(const Array& x, const Ints& dims) {
  int64_t extent = 1;
  for (int i = 0; i < dims.n; ++i) extent *= x.shape[dims.v[i]];
  return extent;
}

template <class T>
Status sum_typed(const ReduceArgs& args, bool mean) {
  const double count = static_cast<double>(reduced_extent(args.x, args.dims));
  if (mean) {
    return reduce_to<Sum<T>, T>(args.x, args.dims, args.y,
                                [=](double sum) { return static_cast<T>(sum / count); });
  }
  return reduce_to<Sum<T>, T>(args.x, args.dims, args.y,
                              [](double sum) { return static_cast<T>(sum); });
}

template <class T>
Status amax_typed(const ReduceArgs& args) {
  return reduce_to<Max<T>, T>(args.x, args.dims, args.y, [](T x) { return x; });
}

// ---- amax_weight ----

template <class T>
void amax_weight_typed(const AmaxWeightArgs& args) {
  const Array &x = args.x, &y = args.y;
  Ints dims{};
  for (int d = 0; d < x.ndim; ++d) {
    if (y.shape[d] != x.shape[d]) dims.v[dims.n++] = d;
  }
  const Split s = split_dims(x, dims);
  const T* const maxima = reinterpret_cast<const T*>(y.data);
  const int64_t kept_stride = s.kept.stride[0][s.kept.ndim - 1];
  const int64_t stride = s.reduced.stride[0][s.reduced.ndim - 1];
  const int64_t to_w = args.w.data - x.data;  // w lies like x
  parallel_for(s.outputs, max64(kBlock / max64(s.extent, 1), 1), [&](int64_t begin, int64_t end) {
    for_rows<1>(s.kept, {x.data}, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        const T maximum = maxima[at + i];
        const char* const start = p[0] + i * kept_stride;
        int64_t ties = 0;
        for_rows<1>(s.reduced, {start}, 0, s.extent, [&](int64_t, const char* const* q, int64_t m) {
          for (int64_t j = 0; j < m; ++j) ties += load_one<T>(q[0] + j * stride) == maximum;
        });
        const T weight = T(1) / static_cast<T>(ties);
        const T other = ties ? T(0) : T(0) / static_cast<T>(ties);  // a NaN maximum: 0 / 0
        for_rows<1>(s.reduced, {start}, 0, s.extent, [&](int64_t, const char* const* q, int64_t m) {
          for (int64_t j = 0; j < m; ++j) {
            const char* const from = q[0] + j * stride;
            store_one<T>(const_cast<char*>(from) + to_w,
                         load_one<T>(from) == maximum ? weight : other);
          }
        });
      }
    });
  });
}

// ---- along one dimension: x is (outer, extent, inner) ----

struct Along {
  int64_t outer = 1, extent = 1, inner = 1;
};

Along along(int ndim, const int64_t* shape, int64_t dim) {
  Along a;
  for (int d = 0; d < ndim; ++d) {
    (d < dim ? a.outer : d == dim ? a.extent : a.inner) *= shape[d];
  }
  return a;
}

// The first maximum of n neighbouring elements, or the first NaN.
template <class T>
int64_t first_maximum(const T* p, int64_t n) {
  const T best = fold_array<Max<T>, T>(Max<T>::identity(), p, n);
  int64_t i = 0;
  if (best == best) {
    for (; i + kLanes<T> <= n; i += kLanes<T>) {
      if (any_lane<T>(load<T>(p + i) == best)) break;
    }
    while (p[i] != best) ++i;
  } else {
    while (p[i] == p[i]) ++i;
  }
  return i;
}

// n <= kStrip columns side by side, `stride` elements from one row to the next.
template <class T>
void first_maxima(const T* p, int64_t extent, int64_t stride, int64_t n, T* values,
                  int64_t* indices) {
  alignas(GS_VECTOR_BYTES) IntOf<T> at[kStrip];
  for (int64_t i = 0; i < n; ++i) {
    values[i] = p[i];
    at[i] = 0;
  }
  for (int64_t j = 1; j < extent; ++j) {
    const T* const row = p + j * stride;
    int64_t i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) {
      const Vec<T> best = load<T>(values + i), value = load<T>(row + i);
      const IVec<T> better = ~(value <= best) & (best == best);
      const auto seen = bit_cast<IVec<T>>(load<T>(reinterpret_cast<const T*>(at + i)));
      store<T>(values + i, better ? value : best);
      store<T>(reinterpret_cast<T*>(at + i),
               bit_cast<Vec<T>>(better ? static_cast<IntOf<T>>(j) - IVec<T>{} : seen));
    }
    for (; i < n; ++i) {
      if (!(row[i] <= values[i]) && values[i] == values[i]) {
        values[i] = row[i];
        at[i] = static_cast<IntOf<T>>(j);
      }
    }
  }
  for (int64_t i = 0; i < n; ++i) indices[i] = at[i];
}

template <class T>
void max_dim_typed(const MaxDimArgs& args, const Along& a) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const values = reinterpret_cast<T*>(args.values.data);
  int64_t* const indices = reinterpret_cast<int64_t*>(args.indices.data);
  if (a.inner == 1) {
    parallel_for(a.outer, max64(kBlock / a.extent, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* const p = x + i * a.extent;
        indices[i] = first_maximum<T>(p, a.extent);
        values[i] = p[indices[i]];
      }
    });
    return;
  }
  // Narrow strips where there are few rows of them: each thread has one at least.
  const int64_t narrow = (a.outer * a.inner / kBlocks + 63) / 64 * 64;
  const int64_t strip = min64(min64(kStrip, max64(narrow, 64)), a.inner);
  const int64_t strips = (a.inner + strip - 1) / strip;
  parallel_for(a.outer * strips, max64(kBlock / (a.extent * strip), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t o = i / strips, at = i % strips * strip;
                   first_maxima<T>(x + o * a.extent * a.inner + at, a.extent, a.inner,
                                   min64(strip, a.inner - at), values + o * a.inner + at,
                                   indices + o * a.inner + at);
                 }
               });
}

}  // namespace

Status sum(const ReduceArgs& args) {
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) return sum_typed<float>(args, false);
  if (args.x.dtype == DType::kFloat64) return sum_typed<double>(args, false);
  return kNoDType;
}

Status mean(const ReduceArgs& args) {
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) return sum_typed<float>(args, true);
  if (args.x.dtype == DType::kFloat64) return sum_typed<double>(args, true);
  return kNoDType;
}

Status amax(const ReduceArgs& args) {
  if (args.x.dtype != DType::kFloat32 && args.x.dtype != DType::kFloat64) return kNoDType;
  if (args.y.size == 0) return kDone;
  if (args.x.size == 0) return {Code::kShape, {0, 0}};
  return args.x.dtype == DType::kFloat32 ? amax_typed<float>(args) : amax_typed<double>(args);
}

Status amax_weight(const AmaxWeightArgs& args) {
  const Array &x = args.x, &y = args.y;
  if (x.dtype != y.dtype || (x.dtype != DType::kFloat32 && x.dtype != DType::kFloat64)) {
    return kNoDType;
  }
  if (x.ndim != y.ndim) return {Code::kShape, {1, 0}};
  for (int d = 0; d < x.ndim; ++d) {
    if (y.shape[d] != x.shape[d] && y.shape[d] != 1) return {Code::kShape, {1, d}};
  }
  if (x.size == 0) return kDone;
  if (x.dtype == DType::kFloat32) {
    amax_weight_typed<float>(args);
  } else {
    amax_weight_typed<double>(args);
  }
  return kDone;
}

Status max_dim(const MaxDimArgs& args) {
  if (args.x.dtype != DType::kFloat32 && args.x.dtype != DType::kFloat64) return kNoDType;
  const Along a = along(args.x.ndim, args.x.shape, args.dim);
  if (a.outer * a.inner == 0) return kDone;
  if (a.extent == 0 || a.extent > INT32_MAX) return {Code::kShape, {0, args.dim}};
  if (args.x.dtype == DType::kFloat32) {
    max_dim_typed<float>(args, a);
  } else {
    max_dim_typed<double>(args, a);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
