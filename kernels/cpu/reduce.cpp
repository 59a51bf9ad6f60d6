// Reductions: sum mean amax amax_weight max_dim max_dim_bwd gather_dim.
//
// sum, mean, amax: y = reduction of x over any set of dimensions, any strides, float32 and float64.
//   The reduced index space (in C order) is cut into chunks, the kept one into strips; a block is
//   one strip of one chunk, whose partial results combine in the chunks' order. The borders follow
//   from the shape alone. Lanes run along the reduced dimensions where those are contiguous, along
//   the kept ones where those are, and over gathered elements otherwise.
// Working set: one chunk of x (64 K elements) or a strip of kStrip float64 accumulators (4 KB).
// Cost: reads x once.
// Accuracy: sums accumulate in float64, over kLanes lanes and chunks: float32 results are within
//   0.5 ULP + n * 2^-53 relative to the sum of magnitudes; float64 within (n / lanes) * 2^-53.
// NaN wins in amax and max_dim; max_dim gives the first maximum (or the first NaN).
// Limits: amax and max_dim over no elements answer kShape.
#include "kernels.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;  // elements of x in a block
constexpr int64_t kStrip = 512;    // kept elements side by side

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
    typedef T Half __attribute__((vector_size(R::kWidth * sizeof(T)), aligned(alignof(T)), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Half*>(p), Vec<typename R::Partial>);
  }
}

// Folds n neighbouring elements into `sum`.
template <class R, class T>
typename R::Partial fold_array(typename R::Partial sum, const T* p, int64_t n) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  int64_t i = 0;
  if (n >= 4 * kWidth) {
    Vec<Partial> a[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) a[k] = load_partials<R, T>(p + k * kWidth);
    for (i = 4 * kWidth; i + 4 * kWidth <= n; i += 4 * kWidth) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        a[k] = R::combine_v(a[k], load_partials<R, T>(p + i + k * kWidth));
      }
    }
    const Vec<Partial> all = R::combine_v(R::combine_v(a[0], a[1]), R::combine_v(a[2], a[3]));
#pragma GCC unroll 16
    for (int k = 0; k < kWidth; ++k) sum = R::combine(sum, all[k]);
  }
  for (; i < n; ++i) sum = R::combine(sum, p[i]);
  return sum;
}

template <class R, class T>
typename R::Partial fold_strided(typename R::Partial sum, const char* p, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sum = R::combine(sum, load_one<T>(p + i * stride));
  return sum;
}

// Folds a row of n elements into n partial results, one each.
template <class R, class T>
void fold_across(typename R::Partial* sums, const T* p, int64_t n) {
  using Partial = typename R::Partial;
  constexpr int kWidth = R::kWidth;
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + kWidth <= n; i += kWidth) {
    store<Partial>(sums + i, R::combine_v(load<Partial>(sums + i), load_partials<R, T>(p + i)));
  }
  for (; i < n; ++i) sums[i] = R::combine(sums[i], p[i]);
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

// partial[i - begin] = the fold of reduced elements [r0, r1) for the outputs i in [begin, end).
template <class R, class T>
void fold_block(const Split& s, const char* x, int64_t begin, int64_t end, int64_t r0, int64_t r1,
                typename R::Partial* partial) {
  const int kept_last = s.kept.ndim - 1, reduced_last = s.reduced.ndim - 1;
  const int64_t kept_stride = s.kept.stride[0][kept_last];
  const int64_t reduced_stride = s.reduced.stride[0][reduced_last];
  const bool along = rows_are_arrays<T>(s.reduced, 0, x) && is_aligned<T>(s.kept, 0, x);
  const bool across = rows_are_arrays<T>(s.kept, 0, x) && is_aligned<T>(s.reduced, 0, x);
  for (int64_t i = begin; i < end; ++i) partial[i - begin] = R::identity();
  const char* const base[1] = {x};
  for_rows<1>(s.kept, base, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
    typename R::Partial* const out = partial + (at - begin);
    if (across && !(along && s.reduced.shape[reduced_last] > n)) {
      for_rows<1>(s.reduced, {p[0]}, r0, r1, [&](int64_t, const char* const* q, int64_t m) {
        for (int64_t j = 0; j < m; ++j) {
          fold_across<R, T>(out, reinterpret_cast<const T*>(q[0] + j * reduced_stride), n);
        }
      });
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      for_rows<1>(s.reduced, {p[0] + i * kept_stride}, r0, r1,
                  [&](int64_t, const char* const* q, int64_t m) {
                    out[i] = along ? fold_array<R, T>(out[i], reinterpret_cast<const T*>(q[0]), m)
                                   : fold_strided<R, T>(out[i], q[0], reduced_stride, m);
                  });
    }
  });
}

// y[i] = finish(fold over all reduced elements).
template <class R, class T, class Finish>
Status reduce_to(const Array& x, const Ints& dims, const Array& y, const Finish& finish) {
  using Partial = typename R::Partial;
  const Split s = split_dims(x, dims);
  T* const out = reinterpret_cast<T*>(y.data);
  // Strips of outputs times chunks of the reduced space; each about kBlock elements of x.
  const int64_t strip = min64(kStrip, s.outputs);
  const int64_t strips = (s.outputs + strip - 1) / strip;
  const int64_t chunk = max64(kBlock / strip, 1);
  const int64_t chunks = max64((s.extent + chunk - 1) / chunk, 1);
  if (chunks == 1) {
    const int64_t per_block = max64(kBlock / (strip * max64(s.extent, 1)), 1);
    parallel_for(strips, per_block, [&](int64_t first, int64_t last) {
      Partial partial[kStrip];
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * strip, end = min64(begin + strip, s.outputs);
        fold_block<R, T>(s, x.data, begin, end, 0, s.extent, partial);
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
      fold_block<R, T>(s, x.data, begin, min64(begin + strip, s.outputs), c * chunk,
                       min64((c + 1) * chunk, s.extent), partial + c * s.outputs + begin);
    }
  });
  parallel_for(s.outputs, max64(kBlock / chunks, 1), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      Partial all = partial[k];
      for (int64_t c = 1; c < chunks; ++c) all = R::combine(all, partial[c * s.outputs + k]);
      out[k] = finish(all);
    }
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

template <class T>
void max_dim_typed(const MaxDimArgs& args, const Along& a) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const values = reinterpret_cast<T*>(args.values.data);
  int64_t* const indices = reinterpret_cast<int64_t*>(args.indices.data);
  parallel_for(a.outer * a.inner, max64(kBlock / a.extent, 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* const p = x + i / a.inner * a.extent * a.inner + i % a.inner;
      T best = p[0];
      int64_t at = 0;
      for (int64_t j = 1; j < a.extent; ++j) {
        const T v = p[j * a.inner];
        if (v > best || (v != v && best == best)) {
          best = v;
          at = j;
        }
      }
      values[i] = best;
      indices[i] = at;
    }
  });
}

// Whether all indices lie in [0, limit); the first that does not, otherwise.
Status check_indices(const int64_t* indices, int64_t n, int64_t limit) {
  for (int64_t i = 0; i < n; ++i) {
    if (indices[i] < 0 || indices[i] >= limit) return {Code::kIndex, {indices[i], limit}};
  }
  return kDone;
}

template <class T>
void max_dim_bwd_typed(const MaxDimBwdArgs& args, const Along& a) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const int64_t* const indices = reinterpret_cast<const int64_t*>(args.indices.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const int64_t plane = a.extent * a.inner;
  parallel_for(a.outer, max64(kBlock / max64(plane, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      __builtin_memset(grad_x + o * plane, 0, static_cast<size_t>(plane) * sizeof(T));
      for (int64_t i = 0; i < a.inner; ++i) {
        grad_x[o * plane + indices[o * a.inner + i] * a.inner + i] = grad_y[o * a.inner + i];
      }
    }
  });
}

template <class T>
void gather_dim_typed(const GatherDimArgs& args, const Along& a, int64_t taken) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const int64_t* const indices = reinterpret_cast<const int64_t*>(args.indices.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const int64_t plane = taken * a.inner;
  parallel_for(a.outer * plane, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      y[i] = x[(i / plane * a.extent + indices[i]) * a.inner + i % a.inner];
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
  if (a.extent == 0) return {Code::kShape, {0, args.dim}};
  if (args.x.dtype == DType::kFloat32) {
    max_dim_typed<float>(args, a);
  } else {
    max_dim_typed<double>(args, a);
  }
  return kDone;
}

Status max_dim_bwd(const MaxDimBwdArgs& args) {
  const DType dtype = args.grad_y.dtype;
  if (args.indices.dtype != DType::kInt64 ||
      (dtype != DType::kFloat32 && dtype != DType::kFloat64)) {
    return kNoDType;
  }
  const Along a = along(args.x_shape.n, args.x_shape.v, args.dim);
  if (args.grad_y.size != a.outer * a.inner) return {Code::kShape, {0, 0}};
  if (args.indices.size != a.outer * a.inner) return {Code::kShape, {1, 0}};
  const Status indices = check_indices(reinterpret_cast<const int64_t*>(args.indices.data),
                                       args.indices.size, a.extent);
  if (indices.code != Code::kOk) return indices;
  if (dtype == DType::kFloat32) {
    max_dim_bwd_typed<float>(args, a);
  } else {
    max_dim_bwd_typed<double>(args, a);
  }
  return kDone;
}

Status gather_dim(const GatherDimArgs& args) {
  const DType dtype = args.x.dtype;
  if (args.indices.dtype != DType::kInt64 ||
      (dtype != DType::kFloat32 && dtype != DType::kFloat64)) {
    return kNoDType;
  }
  if (args.indices.size != args.y.size) return {Code::kShape, {1, 0}};
  if (args.y.size == 0) return kDone;
  const Along a = along(args.x.ndim, args.x.shape, args.dim);
  if (a.outer * a.inner == 0 || args.y.size % (a.outer * a.inner)) return {Code::kShape, {1, 0}};
  const Status indices = check_indices(reinterpret_cast<const int64_t*>(args.indices.data),
                                       args.indices.size, a.extent);
  if (indices.code != Code::kOk) return indices;
  const int64_t taken = args.y.size / (a.outer * a.inner);
  if (dtype == DType::kFloat32) {
    gather_dim_typed<float>(args, a, taken);
  } else {
    gather_dim_typed<double>(args, a, taken);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
