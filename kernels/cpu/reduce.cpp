// Reductions: sum prod mean amax amin any all amax_weight max_dim min_dim.
//
// sum, mean, amax: y = reduction of x over any set of dimensions, any strides, float32 and float64.
// Split: the reduced index space (in C order) is cut into chunks, the kept one into strips; a block
//   is one strip of one chunk, whose partial results combine in the chunks' order. The borders
//   follow from the shape alone. Lanes run along the reduced dimensions where those are contiguous,
//   along the kept ones where those are, and over gathered elements otherwise.
// Working set: one chunk of x (32 K elements) or a strip of kStrip float64 accumulators (32 KB).
// Cost: reads x once.
// Accuracy: sums accumulate in float64, over kLanes lanes and chunks: float32 results are within
//   0.5 ULP + n * 2^-53 relative to the sum of magnitudes; float64 within (n / lanes) * 2^-53.
// NaN wins in amax and max_dim; max_dim gives the first maximum (or the first NaN).
// Limits: amax and max_dim over no elements, and max_dim over 2^31 or more, answer kShape.
#include "reduce.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// The fold of x into y's elements, in their type.
template <class R, class T>
Status fold_into(const ReduceArgs& args) {
  T* const out = reinterpret_cast<T*>(args.y.data);
  return reduce_to<R, T>(
      args.x, args.dims, args.y, nullptr,
      [=](int64_t i, const auto* values, int64_t n) { put_values<T>(out + i, values, n); });
}

template <class T>
Status mean_typed(const ReduceArgs& args) {
  const double count = static_cast<double>(reduced_extent(args.x, args.dims));
  T* const out = reinterpret_cast<T*>(args.y.data);
  return reduce_to<Sum<T>, T>(args.x, args.dims, args.y, nullptr,
                              [=](int64_t i, double* sums, int64_t n) {
                                for (int64_t k = 0; k < n; ++k) sums[k] /= count;
                                put_values<T>(out + i, sums, n);
                              });
}

template <bool kMin>
Status extremum(const ReduceArgs& args) {
  const DType dtype = args.x.dtype;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64 && dtype != DType::kInt64) {
    return kNoDType;
  }
  if (args.y.size == 0) return kDone;
  if (args.x.size == 0) return {Code::kShape, {0, 0}};
  if (dtype == DType::kFloat32) return fold_into<Max<float, kMin>, float>(args);
  if (dtype == DType::kFloat64) return fold_into<Max<double, kMin>, double>(args);
  return fold_into<Max<int64_t, kMin>, int64_t>(args);
}

// ---- amax_weight ----

constexpr int64_t kColumns = 512;

// The weights of n <= kColumns columns side by side, lanes along them; `reduced` walks their rows.
template <class T>
void weigh_columns(const Split& s, const char* start, int64_t to_w, const T* maxima, int64_t n) {
  alignas(GS_VECTOR_BYTES) IntOf<T> ties[kColumns] = {};
  alignas(GS_VECTOR_BYTES) T weight[kColumns], other[kColumns];
  const int64_t stride = s.reduced.stride[0][s.reduced.ndim - 1];
  using Lane = const T*;
  const auto counts = [&](int64_t i) { return reinterpret_cast<T*>(ties + i); };
  for_rows<1>(s.reduced, {start}, 0, s.extent, [&](int64_t, const char* const* q, int64_t m) {
    for (int64_t j = 0; j < m; ++j) {
      const Lane row = reinterpret_cast<Lane>(q[0] + j * stride);
      int64_t i = 0;
      for (; i + kLanes<T> <= n; i += kLanes<T>) {
        const IVec<T> equal = load<T>(row + i) == load<T>(maxima + i);
        store<T>(counts(i), bit_cast<Vec<T>>(bit_cast<IVec<T>>(load<T>(counts(i))) - equal));
      }
      for (; i < n; ++i) ties[i] += row[i] == maxima[i];
    }
  });
  for (int64_t i = 0; i < n; ++i) {
    weight[i] = T(1) / static_cast<T>(ties[i]);
    other[i] = ties[i] ? T(0) : T(0) / static_cast<T>(ties[i]);
  }
  for_rows<1>(s.reduced, {start}, 0, s.extent, [&](int64_t, const char* const* q, int64_t m) {
    for (int64_t j = 0; j < m; ++j) {
      const Lane row = reinterpret_cast<Lane>(q[0] + j * stride);
      T* const to = reinterpret_cast<T*>(const_cast<char*>(q[0]) + j * stride + to_w);
      int64_t i = 0;
      for (; i + kLanes<T> <= n; i += kLanes<T>) {
        const IVec<T> equal = load<T>(row + i) == load<T>(maxima + i);
        store<T>(to + i, select<T>(equal, load<T>(weight + i), load<T>(other + i)));
      }
      for (; i < n; ++i) to[i] = row[i] == maxima[i] ? weight[i] : other[i];
    }
  });
}

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
  if (lanes_of<T>(s, x.data) == kAcross) {
    const int64_t strip = min64(kColumns, max64(64, kBlock / max64(s.extent, 1)));
    parallel_for(s.outputs, strip, [&](int64_t begin, int64_t end) {
      for_rows<1>(s.kept, {x.data}, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
        weigh_columns<T>(s, p[0], to_w, maxima + at, n);
      });
    });
    return;
  }
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
template <class T, bool kMin>
int64_t first_maximum(const T* p, int64_t n) {
  const T best = fold_extreme<T, kMin>(Max<T, kMin>::identity(), p, n, false);
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
template <class T, bool kMin>
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
      const IVec<T> worse = kMin ? value >= best : value <= best;
      const IVec<T> better = ~worse & (best == best);
      const auto seen = bit_cast<IVec<T>>(load<T>(reinterpret_cast<const T*>(at + i)));
      store<T>(values + i, better ? value : best);
      store<T>(reinterpret_cast<T*>(at + i),
               bit_cast<Vec<T>>(better ? static_cast<IntOf<T>>(j) - IVec<T>{} : seen));
    }
    for (; i < n; ++i) {
      const bool worse = kMin ? row[i] >= values[i] : row[i] <= values[i];
      if (!worse && values[i] == values[i]) {
        values[i] = row[i];
        at[i] = static_cast<IntOf<T>>(j);
      }
    }
  }
  for (int64_t i = 0; i < n; ++i) indices[i] = at[i];
}

template <class T, bool kMin>
void max_dim_typed(const MaxDimArgs& args, const Along& a) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const values = reinterpret_cast<T*>(args.values.data);
  int64_t* const indices = reinterpret_cast<int64_t*>(args.indices.data);
  if (a.inner == 1) {
    parallel_for(a.outer, max64(kBlock / a.extent, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* const p = x + i * a.extent;
        indices[i] = first_maximum<T, kMin>(p, a.extent);
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
                   first_maxima<T, kMin>(x + o * a.extent * a.inner + at, a.extent, a.inner,
                                         min64(strip, a.inner - at), values + o * a.inner + at,
                                         indices + o * a.inner + at);
                 }
               });
}

template <bool kMin>
Status extremum_dim(const MaxDimArgs& args) {
  const DType dtype = args.x.dtype;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64 && dtype != DType::kInt64) {
    return kNoDType;
  }
  if (args.dim < 0 || args.dim >= max64(args.x.ndim, 1)) return {Code::kShape, {0, 0}};
  const Along a = along(args.x.ndim, args.x.shape, args.dim);
  if (a.outer * a.inner != args.values.size) return {Code::kShape, {0, 0}};
  if (args.values.size == 0) return kDone;
  if (a.extent == 0 || a.extent > INT32_MAX) return {Code::kShape, {0, args.dim}};
  if (dtype == DType::kFloat32) {
    max_dim_typed<float, kMin>(args, a);
  } else if (dtype == DType::kFloat64) {
    max_dim_typed<double, kMin>(args, a);
  } else {
    max_dim_typed<int64_t, kMin>(args, a);
  }
  return kDone;
}

template <bool kAny>
Status truth(const ReduceArgs& args) {
  if (args.x.dtype != DType::kBool) return kNoDType;
  return args.y.size ? fold_into<Truth<kAny>, uint8_t>(args) : kDone;
}

}  // namespace

Status sum(const ReduceArgs& args) {
  if (args.y.size == 0) return kDone;
  switch (args.x.dtype) {
    case DType::kFloat32: return fold_into<Sum<float>, float>(args);
    case DType::kFloat64: return fold_into<Sum<double>, double>(args);
    case DType::kInt64: return fold_into<SumIntegers, int64_t>(args);
    default: return kNoDType;
  }
}

Status prod(const ReduceArgs& args) {
  if (args.y.size == 0) return kDone;
  switch (args.x.dtype) {
    case DType::kFloat32: return fold_into<Product<float>, float>(args);
    case DType::kFloat64: return fold_into<Product<double>, double>(args);
    case DType::kInt64: return fold_into<ProductIntegers, int64_t>(args);
    default: return kNoDType;
  }
}

Status mean(const ReduceArgs& args) {
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) return mean_typed<float>(args);
  if (args.x.dtype == DType::kFloat64) return mean_typed<double>(args);
  return kNoDType;
}

Status amax(const ReduceArgs& args) { return extremum<false>(args); }

Status amin(const ReduceArgs& args) { return extremum<true>(args); }

Status any(const ReduceArgs& args) { return truth<true>(args); }

Status all(const ReduceArgs& args) { return truth<false>(args); }

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

Status max_dim(const MaxDimArgs& args) { return extremum_dim<false>(args); }

Status min_dim(const MaxDimArgs& args) { return extremum_dim<true>(args); }

}  // namespace GS_ISA
}  // namespace gradsmith
