// Normalisation of rows: row_norm row_norm_bwd (layer, group, instance and RMS normalisation).
//
// x is rows of D elements. y = (x - mean) * rstd * w + b, with mean the row's (0 where not centered),
//   rstd = 1 / sqrt(var + eps), var the mean square distance from it; element j of row r is weighted
//   by weight[(r % groups) * (D / inner) + j / inner]. The backward, with h = grad_y * w and u =
//   (x - mean) * rstd: grad_x = rstd * (h - mean(h) - u * mean(h * u)) (the second term only where
//   centered), grad_weight and grad_bias = grad_y * u and grad_y summed over rows and runs.
// Layout: contiguous.
// Split: a block is a number of rows. grad_weight: where inner is 1, at most kParts blocks of rows with sums of
//   their own; otherwise each row's, added up over the rows of a group.
// Working set: one row, read again from cache.
// Cost: x (and grad_y) is read once from memory, y (grad_x) written once.
// Accuracy: as norm.cpp: chunks in lanes of T, combined in float64. Sums over rows: kFlush rows in T,
//   then float64.
// Source: Ba et al. 2016; Wu & He 2018; Ulyanov et al. 2016; Zhang & Sennrich 2019.
#include "norm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384, kLeast = 2048;  // elements of a block
constexpr int64_t kParts = 32;
constexpr int64_t kFlush = 64;
constexpr int kTogether = 4;                  // rows whose sums over rows are read and written once
constexpr int64_t kNear = int64_t{32} << 10;  // bytes of rows that stay in the first level

struct Rows {
  int64_t rows = 0, length = 0, groups = 1, inner = 1, runs = 0;

  int64_t weights() const { return groups * runs; }
  // Few rows go in sixteenths, that threads be done together: 1000 rows of 67 were five blocks.
  int64_t per_block() const {
    const int64_t least = kLeast / max64(length, 1), most = kBlock / max64(length, 1);
    return max64(min64(most, max64((rows + 15) / 16, least)), 1);
  }
};

bool make_rows(const Array& x, const Array& stats, int64_t groups, int64_t inner, Rows& s) {
  if (groups < 1 || inner < 1) return false;
  s.rows = stats.size;
  s.length = s.rows ? x.size / s.rows : 0;
  s.groups = groups;
  s.inner = inner;
  s.runs = s.length / inner;
  return s.rows * s.length == x.size && s.runs * inner == s.length && s.rows % groups == 0;
}

// p + n, for an array that there may not be.
template <class T>
GS_INLINE const T* after(const T* p, int64_t n) {
  return p ? p + n : nullptr;
}

// ---- forward ----

template <class T, bool kWeight, bool kBias, bool kStream = false>
GS_INLINE void scale_elements(const T* x, T* y, int64_t n, T mean, T rstd, const T* w, const T* b) {
  for_vectors<T>(n, [&](int64_t i, int m, int) {
    __builtin_prefetch(x + n + i);  // the next row: its first reading would wait for memory alone
    Vec<T> v = (load_up_to<T>(x + i, m) - mean) * rstd;
    if (kWeight) v *= load_up_to<T>(w + i, m);
    if (kBias) v += load_up_to<T>(b + i, m);
    if (kStream) {
      store_stream<T>(y + i, v);
    } else {
      store_up_to<T>(y + i, v, m);
    }
  });
}

template <class T>
void row_norm_typed(const RowNormArgs& args, const Rows& s) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const T* const bias = reinterpret_cast<const T*>(args.bias.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  T* const means = reinterpret_cast<T*>(args.mean.data);
  T* const vars = reinterpret_cast<T*>(args.var.data);
  const auto scale =
      weight ? (bias ? scale_elements<T, true, true> : scale_elements<T, true, false>)
             : (bias ? scale_elements<T, false, true> : scale_elements<T, false, false>);
  // Past the caches where the rows are whole vectors, with the usual weight and bias.
  const bool stream = weight && bias && beyond_cache(args.y.size * int64_t{sizeof(T)}) &&
                      s.length % kLanes<T> == 0 &&
                      reinterpret_cast<uintptr_t>(y) % GS_VECTOR_BYTES == 0;
  parallel_for(s.rows, s.per_block(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* const row = x + r * s.length;
      T* const out = y + r * s.length;
      Moments all;
      for (int64_t i = 0; i < s.length; i += kChunk) {
        all.add(moments_of<T>(row + i, min64(kChunk, s.length - i), 1, 0, args.centered));
      }
      const T mean = static_cast<T>(all.mean);
      const double var = all.squares / all.count;
      const T rstd = static_cast<T>(1 / square_root(var + args.eps));
      means[r] = mean;
      vars[r] = static_cast<T>(var);
      const int64_t first = r % s.groups * s.runs;
      if (stream && s.inner == 1) {
        scale_elements<T, true, true, true>(row, out, s.length, mean, rstd, weight + first,
                                            bias + first);
        continue;
      }
      if (s.inner == 1 || (!weight && !bias)) {
        scale(row, out, s.length, mean, rstd, after(weight, first), after(bias, first));
        continue;
      }
      for (int64_t k = 0; k < s.runs; ++k) {
        scale_run<T>(row + k * s.inner, out + k * s.inner, s.inner, mean,
                     weight ? rstd * weight[first + k] : rstd, bias ? bias[first + k] : T(0));
      }
    }
    if (stream) stream_fence();
  });
}

// ---- backward ----

template <class T>
GS_INLINE double inverse_root(T var, double eps) {
  return 1 / square_root(static_cast<double>(var) + eps);
}

// grad_x of a row from the sums of h and of h * (x - mean).
template <class T>
GS_INLINE Gradient<T> gradient_of(const Dots& sums, int64_t n, T mean, double r, bool centered) {
  const auto count = static_cast<double>(n);
  return {mean, static_cast<T>(r), static_cast<T>(-r * r * r * sums.product / count),
          centered ? static_cast<T>(-r * sums.grad / count) : T(0)};
}

// The sums of h = g * w and of h * (x - mean) of a row.
template <class T, bool kWeight>
GS_INLINE Dots weighted_dots(const T* g, const T* x, const T* w, int64_t n, T mean) {
  Dots all;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    Vec<T> grads[kSums] = {}, products[kSums] = {};
    for_vectors<T>(min64(kChunk, n - begin), [&](int64_t j, int m, int a) {
      const int64_t i = begin + j;
      Vec<T> h = load_up_to<T>(g + i, m);
      if (kWeight) h *= load_up_to<T>(w + i, m);
      Vec<T> d = load_up_to<T>(x + i, m) - mean;
      if (m < kLanes<T>) d = lane_mask<T>(m) ? d : Vec<T>{};
      grads[a] += h;
      products[a] += h * d;
    });
    all.grad += sum_all<T>(grads);
    all.product += sum_all<T>(products);
  }
  return all;
}

// grad_x of a row; the row's part of grad_weight and grad_bias is added to those.
template <class T, bool kWeight, bool kSums>
GS_INLINE void gradient_elements(const T* g, const T* x, const T* w, T* grad_x, int64_t n,
                                 const Gradient<T>& k, T* grad_weight, T* grad_bias) {
  for_vectors<T>(n, [&](int64_t i, int m, int) {
    const Vec<T> v = load_up_to<T>(g + i, m), d = load_up_to<T>(x + i, m) - k.mean;
    Vec<T> h = v;
    if (kWeight) h *= load_up_to<T>(w + i, m);
    store_up_to<T>(grad_x + i, h * k.scale + (d * k.slope + k.shift), m);
    if (kSums) {
      store_up_to<T>(grad_weight + i, load_up_to<T>(grad_weight + i, m) + v * (d * k.scale), m);
      store_up_to<T>(grad_bias + i, load_up_to<T>(grad_bias + i, m) + v, m);
    }
  });
}

// The same of kRows rows, which share a weight. All is read before anything is written: rows are often
// whole pages apart, and a load waits for a store before it at the same place of a page.
template <class T, bool kWeight, int kRows>
GS_INLINE void gradient_rows(const T* g, const T* x, const T* w, T* grad_x, int64_t n,
                             const Gradient<T> (&k)[kRows], T* grad_weight, T* grad_bias,
                             bool stream) {
  for_vectors<T>(n, [&](int64_t i, int m, int) {
    Vec<T> v[kRows], d[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      v[r] = load_up_to<T>(g + r * n + i, m);
      d[r] = load_up_to<T>(x + r * n + i, m) - k[r].mean;
    }
    Vec<T> weights = load_up_to<T>(grad_weight + i, m), biases = load_up_to<T>(grad_bias + i, m);
    const Vec<T> factor = kWeight ? load_up_to<T>(w + i, m) : splat<T>(T(1));
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const Vec<T> h = kWeight ? Vec<T>(v[r] * factor) : v[r];
      weights += v[r] * (d[r] * k[r].scale);
      biases += v[r];
      put_up_to<T>(grad_x + r * n + i, h * k[r].scale + (d[r] * k[r].slope + k[r].shift), m,
                   stream);
    }
    store_up_to<T>(grad_weight + i, weights, m);
    store_up_to<T>(grad_bias + i, biases, m);
  });
}

// total += sum.
GS_INLINE void add_sums(double* total, const double* sum, int64_t n) {
  for_vectors<double>(n, [&](int64_t i, int m, int) {
    store_up_to<double>(total + i,
                        load_up_to<double>(total + i, m) + load_up_to<double>(sum + i, m), m);
  });
}
GS_INLINE void add_sums(double* total, const float* sum, int64_t n) {
  constexpr int64_t kN = kLanes<double>;
  int64_t i = 0;
  for (; i + kN <= n; i += kN) {
    HalfFloats half;
    __builtin_memcpy(&half, sum + i, sizeof(half));
    store<double>(total + i, load<double>(total + i) + widen(half));
  }
  for (; i < n; ++i) total[i] += static_cast<double>(sum[i]);
}

template <class T, bool kWeight>
Status elementwise_bwd(const RowNormBwdArgs& args, const Rows& s) {
  const T* const g = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const T* const means = reinterpret_cast<const T*>(args.mean.data);
  const T* const vars = reinterpret_cast<const T*>(args.var.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const int64_t n = s.weights();
  const bool sums = args.grad_weight.size > 0;
  const int64_t grain = sums ? max64((s.rows + kParts - 1) / kParts, kFlush / 2) : s.per_block();
  const int64_t parts = sums ? (s.rows + grain - 1) / grain : 0;
  // Rows together where they stay in the first level between their two readings, or one alone does not.
  const int64_t row_bytes = 2 * s.length * int64_t{sizeof(T)};
  const bool together =
      sums && s.groups == 1 && (kTogether * row_bytes <= kNear || 2 * row_bytes > kNear);
  const bool stream = together && s.length % kLanes<T> == 0 && on_a_vector(grad_x) &&
                      beyond_cache(args.grad_x.size * int64_t{sizeof(T)});
  const Scratch wide(static_cast<size_t>(parts * 2 * n) * sizeof(double));
  const Scratch narrow(static_cast<size_t>(parts * 2 * n) * sizeof(T));
  if (!wide.memory) return out_of_memory(wide.bytes);
  if (!narrow.memory) return out_of_memory(narrow.bytes);
  parallel_for(s.rows, grain, [&](int64_t begin, int64_t end) {
    const int64_t part = begin / grain;
    double* const total = static_cast<double*>(wide.memory) + part * 2 * n;
    T* const sum = static_cast<T*>(narrow.memory) + part * 2 * n;
    if (sums) {
      __builtin_memset(total, 0, static_cast<size_t>(2 * n) * sizeof(double));
      __builtin_memset(sum, 0, static_cast<size_t>(2 * n) * sizeof(T));
    }
    const auto gradient = [&](int64_t r) {
      const int64_t at = r * s.length;
      const T* const w = after(weight, r % s.groups * s.runs);
      const Dots dots = weighted_dots<T, kWeight>(g + at, x + at, w, s.length, means[r]);
      return gradient_of<T>(dots, s.length, means[r], inverse_root(vars[r], args.eps),
                            args.centered);
    };
    int64_t unflushed = 0;
    const auto flush = [&] {
      add_sums(total, sum, 2 * n);
      __builtin_memset(sum, 0, static_cast<size_t>(2 * n) * sizeof(T));
      unflushed = 0;
    };
    int64_t r = begin;
    for (; together && r + kTogether <= end; r += kTogether) {
      Gradient<T> k[kTogether];
      for (int i = 0; i < kTogether; ++i) k[i] = gradient(r + i);
      const int64_t at = r * s.length;
      gradient_rows<T, kWeight, kTogether>(g + at, x + at, weight, grad_x + at, s.length, k, sum,
                                           sum + n, stream);
      unflushed += kTogether;
      if (unflushed == kFlush) flush();
    }
    for (; r < end; ++r) {
      const int64_t at = r * s.length, first = r % s.groups * s.runs;
      const Gradient<T> k = gradient(r);
      if (!sums) {
        gradient_elements<T, kWeight, false>(g + at, x + at, after(weight, first), grad_x + at,
                                             s.length, k, nullptr, nullptr);
        continue;
      }
      gradient_elements<T, kWeight, true>(g + at, x + at, after(weight, first), grad_x + at,
                                          s.length, k, sum + first, sum + n + first);
      if (++unflushed == kFlush * s.groups) flush();
    }
    if (unflushed) flush();
    if (stream) stream_fence();
  });
  if (!sums) return kDone;
  T* const grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  T* const grad_bias = reinterpret_cast<T*>(args.grad_bias.data);
  double* const totals = static_cast<double*>(wide.memory);
  parallel_for(2 * n, kBlock / kParts, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < parts; ++part) {
      add_sums(totals + begin, totals + part * 2 * n + begin, end - begin);
    }
  });
  for (int64_t i = 0; i < n; ++i) {
    grad_weight[i] = static_cast<T>(totals[i]);
    grad_bias[i] = static_cast<T>(totals[n + i]);
  }
  return kDone;
}

// inner > 1: the weight is constant along runs.
template <class T>
Status runs_bwd(const RowNormBwdArgs& args, const Rows& s) {
  const T* const g = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const T* const means = reinterpret_cast<const T*>(args.mean.data);
  const T* const vars = reinterpret_cast<const T*>(args.var.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const Scratch scratch(static_cast<size_t>(s.rows * s.runs) * sizeof(Dots));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  Dots* const parts = static_cast<Dots*>(scratch.memory);
  parallel_for(s.rows, s.per_block(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t at = r * s.length, first = r % s.groups * s.runs;
      const double rstd = inverse_root(vars[r], args.eps);
      Dots all;
      for (int64_t k = 0; k < s.runs; ++k) {
        Dots run;
        for (int64_t i = 0; i < s.inner; i += kChunk) {
          const int64_t from = at + k * s.inner + i;
          const Dots part =
              dots_of<T>(g + from, x + from, min64(kChunk, s.inner - i), 1, 0, means[r]);
          run.grad += part.grad;
          run.product += part.product;
        }
        const double w = weight ? static_cast<double>(weight[first + k]) : 1.0;
        all.grad += run.grad * w;
        all.product += run.product * w;
        run.product *= rstd;
        parts[r * s.runs + k] = run;
      }
      Gradient<T> gradient = gradient_of<T>(all, s.length, means[r], rstd, args.centered);
      for (int64_t k = 0; k < s.runs; ++k) {
        gradient.scale =
            static_cast<T>(weight ? rstd * static_cast<double>(weight[first + k]) : rstd);
        const int64_t from = at + k * s.inner;
        gradient_run<T>(g + from, x + from, grad_x + from, s.inner, gradient);
      }
    }
  });
  if (args.grad_weight.size == 0) return kDone;
  T* const grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  T* const grad_bias = reinterpret_cast<T*>(args.grad_bias.data);
  const int64_t n = s.weights();
  for (int64_t i = 0; i < n; ++i) {
    Dots all;
    for (int64_t k = i; k < s.rows * s.runs; k += n) {
      all.grad += parts[k].grad;
      all.product += parts[k].product;
    }
    grad_weight[i] = static_cast<T>(all.product);
    grad_bias[i] = static_cast<T>(all.grad);
  }
  return kDone;
}

template <class T>
Status row_norm_bwd_typed(const RowNormBwdArgs& args, const Rows& s) {
  if (s.inner > 1) return runs_bwd<T>(args, s);
  return args.weight.data ? elementwise_bwd<T, true>(args, s) : elementwise_bwd<T, false>(args, s);
}

void zero(const Array& array) {
  const size_t bytes = static_cast<size_t>(array.size) * (array.dtype == DType::kFloat32 ? 4 : 8);
  if (bytes) __builtin_memset(array.data, 0, bytes);
}

}  // namespace

Status row_norm(const RowNormArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Rows s;
  if (args.x.size == 0) {
    zero(args.mean);
    zero(args.var);
    return kDone;
  }
  if (!make_rows(args.x, args.mean, args.groups, args.inner, s) ||
      (args.weight.data && args.weight.size != s.weights()) ||
      (args.bias.data && args.bias.size != s.weights())) {
    return {Code::kShape, {0, 0}};
  }
  if (args.x.dtype == DType::kFloat32) {
    row_norm_typed<float>(args, s);
  } else {
    row_norm_typed<double>(args, s);
  }
  return kDone;
}

Status row_norm_bwd(const RowNormBwdArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  if (args.x.size == 0) {
    zero(args.grad_weight);
    zero(args.grad_bias);
    return kDone;
  }
  Rows s;
  if (!make_rows(args.x, args.mean, args.groups, args.inner, s) ||
      args.grad_y.size != args.x.size || args.var.size != s.rows ||
      (args.weight.data && args.weight.size != s.weights()) ||
      (args.grad_weight.size && args.grad_weight.size != s.weights())) {
    return {Code::kShape, {0, 0}};
  }
  return args.x.dtype == DType::kFloat32 ? row_norm_bwd_typed<float>(args, s)
                                         : row_norm_bwd_typed<double>(args, s);
}

}  // namespace GS_ISA
}  // namespace gradsmith
