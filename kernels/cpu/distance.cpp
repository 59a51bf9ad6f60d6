// Distances between rows: distance distance_bwd square_form pair_sum.
//
// Formula: y[n, i, j] = (sum over d of |a[n, i, d] - b[n, j, d]|^p)^(1/p); p = 0 counts the differences,
//   p = infinity takes the largest (NaN wins). With `pairs`, i < j only, one behind another: pair (i, j) of N
//   rows is number i (2 N - i - 1) / 2 + j - i - 1. distance_bwd: grad_a[n, i, d] = sum over j of
//   grad_y[n, i, j] sign(u) (|u| / y[n, i, j])^(p - 1), u = a[n, i, d] - b[n, j, d]; 0 where u or y is 0; for
//   infinity grad_y sign(u) where |u| is y. square_form: y[i, j] = y[j, i] = x[pair (i, j)], 0 on the
//   diagonal; pair_sum, its adjoint: y[pair (i, j)] = x[i, j] + x[j, i].
// Layout: contiguous; a (.., P, D), b (.., R, D), as many matrices of each.
// Split: rows of a. Forward: b is packed once in panels of kWide vectors of its rows, so that lanes are
//   rows of b and no sum runs across lanes. Backward: lanes are along D, one row of b after another.
// Working set: a panel (D * 256 bytes with AVX-512) for kRows rows of a; backward: b, and a row's
//   factors.
// Cost: P R D differences, each of 3 instructions for p = 1 and 2; exp and log for any other p.
// Accuracy: sums are chains of 256 terms; a power is exp(p log x), 2 ULP of its exponent.
// Limits: float32, float64.
#include "lists/distance.h"
#include "norm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 65536;  // differences of a block
constexpr int64_t kRows = 16;
constexpr int64_t kTerms = 256;
constexpr int kWide = 4;

enum class Power { kZero, kOne, kTwo, kLargest, kAny };

Power power_of(double p) {
  if (p == 0) return Power::kZero;
  if (p == 1) return Power::kOne;
  if (p == 2) return Power::kTwo;
  return p > 1e300 ? Power::kLargest : Power::kAny;
}

// y[pair (i, i + 1)] of n rows; the others of row i follow.
int64_t first_pair(int64_t i, int64_t n) { return i * (2 * n - i - 1) / 2; }

template <class T>
constexpr int64_t kPanel = kWide * kLanes<T>;

// Rows [first, first + kPanel) of b, as D vectors of kPanel; 0 beyond the last.
template <class T>
void pack_panel(const T* b, int64_t rows, int64_t depth, int64_t first, T* panel) {
  const int64_t n = min64(kPanel<T>, rows - first);
  for (int64_t d = 0; d < depth; ++d) {
    T* const to = panel + d * kPanel<T>;
    for (int64_t j = 0; j < n; ++j) to[j] = b[(first + j) * depth + d];
    for (int64_t j = n; j < kPanel<T>; ++j) to[j] = 0;
  }
}

template <class T, Power kPower>
GS_INLINE Vec<T> add_term(Vec<T> sum, Vec<T> u, Vec<T> p) {
  if constexpr (kPower == Power::kZero) {
    return sum + (u != T(0) ? splat<T>(1) : Vec<T>{});
  } else if constexpr (kPower == Power::kOne) {
    return sum + vabs<T>(u);
  } else if constexpr (kPower == Power::kTwo) {
    return sum + u * u;
  } else if constexpr (kPower == Power::kLargest) {
    const Vec<T> size = vabs<T>(u);
    return ((size > sum) | (size != size)) ? size : sum;
  } else {
    return sum + vexp<T>(vlog<T>(vabs<T>(u)) * p);
  }
}

// The distances of one row of a to a panel's rows.
template <class T, Power kPower>
void row_distances(const T* a, const T* panel, int64_t depth, T p, T* y) {
  const Vec<T> power = splat<T>(p);
  Vec<T> total[kWide] = {};
  for (int64_t begin = 0; begin < depth; begin += kTerms) {
    const int64_t end = min64(begin + kTerms, depth);
    Vec<T> sum[kWide] = {};
    for (int64_t d = begin; d < end; ++d) {
      const Vec<T> x = splat<T>(a[d]);
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) {
        const Vec<T> other = load<T>(panel + d * kPanel<T> + v * kLanes<T>);
        sum[v] = add_term<T, kPower>(sum[v], x - other, power);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      if constexpr (kPower == Power::kLargest) {
        total[v] = add_term<T, kPower>(total[v], sum[v], power);
      } else {
        total[v] += sum[v];
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kWide; ++v) {
    if constexpr (kPower == Power::kTwo) total[v] = vsqrt(total[v]);
    if constexpr (kPower == Power::kAny) total[v] = vexp<T>(vlog<T>(total[v]) / power);
    store<T>(y + v * kLanes<T>, total[v]);
  }
}

template <class T>
using RowDistances = void (*)(const T*, const T*, int64_t, T, T*);

template <class T>
RowDistances<T> row_distances_of(Power power) {
  switch (power) {
    case Power::kZero: return row_distances<T, Power::kZero>;
    case Power::kOne: return row_distances<T, Power::kOne>;
    case Power::kTwo: return row_distances<T, Power::kTwo>;
    case Power::kLargest: return row_distances<T, Power::kLargest>;
    default: return row_distances<T, Power::kAny>;
  }
}

// Matrices of P and R rows of D.
struct Sizes {
  int64_t batch = 1, rows = 0, others = 0, depth = 0;
};

bool make_sizes(const Array& a, const Array& b, Sizes& s) {
  if (a.ndim < 2 || b.ndim < 2) return false;
  s.rows = a.shape[a.ndim - 2];
  s.others = b.shape[b.ndim - 2];
  s.depth = a.shape[a.ndim - 1];
  int64_t other_batch = 1;
  for (int d = 0; d < a.ndim - 2; ++d) s.batch *= a.shape[d];
  for (int d = 0; d < b.ndim - 2; ++d) other_batch *= b.shape[d];
  return b.shape[b.ndim - 1] == s.depth && other_batch == s.batch;
}

template <class T>
Status distance_typed(const DistanceArgs& args, const Sizes& s) {
  const T* const a = reinterpret_cast<const T*>(args.a.data);
  const T* const b = reinterpret_cast<const T*>(args.b.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const RowDistances<T> row = row_distances_of<T>(power_of(args.p));
  const int64_t panels = (s.others + kPanel<T> - 1) / kPanel<T>, size = s.depth * kPanel<T>;
  const Scratch scratch(static_cast<size_t>(max64(s.batch * panels * size, 1)) * sizeof(T));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  T* const packed = static_cast<T*>(scratch.memory);
  parallel_for(s.batch * panels, max64(kBlock / max64(size, 1), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   pack_panel<T>(b + i / panels * s.others * s.depth, s.others, s.depth,
                                 i % panels * kPanel<T>, packed + i * size);
                 }
               });
  const int64_t groups = (s.rows + kRows - 1) / kRows;
  const int64_t work = max64(kRows * s.others * s.depth, 1);
  parallel_for(s.batch * groups, max64(kBlock / work, 1), [&](int64_t begin, int64_t end) {
    alignas(64) T found[kPanel<T>];
    for (int64_t g = begin; g < end; ++g) {
      const int64_t n = g / groups, first = g % groups * kRows;
      const int64_t last = min64(first + kRows, s.rows);
      // Of pairs, the panels before the row's own hold none.
      for (int64_t q = args.pairs ? (first + 1) / kPanel<T> : 0; q < panels; ++q) {
        const int64_t column = q * kPanel<T>, width = min64(kPanel<T>, s.others - column);
        for (int64_t i = first; i < last; ++i) {
          const int64_t from = args.pairs ? max64(i + 1 - column, 0) : 0;
          if (from >= width) continue;
          row(a + (n * s.rows + i) * s.depth, packed + (n * panels + q) * size, s.depth,
              static_cast<T>(args.p), found);
          T* const to =
              args.pairs ? y + first_pair(i, s.rows) - i - 1 : y + (n * s.rows + i) * s.others;
          __builtin_memcpy(to + column + from, found + from,
                           static_cast<size_t>(width - from) * sizeof(T));
        }
      }
    }
  });
  return kDone;
}

// A row's factors: f[j] = what each of the differences' functions is multiplied by; for any power
// g[j] = log y[j].
template <class T>
void row_factors(Power power, const T* grad_y, const T* y, int64_t n, T* f, T* g) {
  for_vectors<T>(n, [&](int64_t j, int m, int) {
    Vec<T> factor = load_up_to<T>(grad_y + j, m);
    const Vec<T> length = load_up_to<T>(y + j, m);
    if (power == Power::kTwo) factor = length == T(0) ? Vec<T>{} : Vec<T>(factor / length);
    if (power == Power::kAny) factor = length == T(0) ? Vec<T>{} : factor;
    store_up_to<T>(f + j, factor, m);
    if (power == Power::kLargest) store_up_to<T>(g + j, length, m);
    if (power == Power::kAny) {
      store_up_to<T>(g + j, vlog<T>(length == T(0) ? splat<T>(1) : length), m);
    }
  });
}

template <class T, Power kPower>
GS_INLINE Vec<T> slope(Vec<T> u, T g, T p) {
  const Vec<T> one = splat<T>(1);
  if constexpr (kPower == Power::kTwo) return u;
  const Vec<T> sign = (u > T(0) ? one : Vec<T>{}) - (u < T(0) ? one : Vec<T>{});
  if constexpr (kPower == Power::kLargest) return vabs<T>(u) == g ? sign : Vec<T>{};
  if constexpr (kPower == Power::kAny) {
    const Vec<T> power = vexp<T>((vlog<T>(vabs<T>(u)) - g) * (p - 1));
    return u == T(0) ? Vec<T>{} : Vec<T>(sign * power);
  }
  return u != u ? u : sign;
}

// grad_a of one row, kWide vectors of it at a time.
template <class T, Power kPower>
void row_gradient(const T* a, const T* b, const T* f, const T* g, int64_t others, int64_t depth,
                  T p, T* grad_a) {
  constexpr int64_t kN = kLanes<T>;
  for (int64_t d = 0; d < depth; d += kPanel<T>) {
    Vec<T> x[kWide], total[kWide] = {};
    int64_t m[kWide];
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      m[v] = max64(min64(depth - d - v * kN, kN), 0);
      x[v] = load_up_to<T>(a + d + v * kN, m[v]);
    }
    for (int64_t begin = 0; begin < others; begin += kTerms) {
      const int64_t end = min64(begin + kTerms, others);
      Vec<T> sum[kWide] = {};
      for (int64_t j = begin; j < end; ++j) {
        const Vec<T> factor = splat<T>(f[j]);
        const T other = kPower == Power::kLargest || kPower == Power::kAny ? g[j] : T(0);
        const T* const row = b + j * depth + d;
        if (d + kPanel<T> <= depth) {
#pragma GCC unroll 4
          for (int v = 0; v < kWide; ++v) {
            sum[v] += factor * slope<T, kPower>(x[v] - load<T>(row + v * kN), other, p);
          }
          continue;
        }
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) {
          if (m[v] == 0) continue;
          const Vec<T> u = x[v] - load_up_to<T>(row + v * kN, m[v]);
          sum[v] += factor * slope<T, kPower>(u, other, p);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) total[v] += sum[v];
    }
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      if (m[v]) store_up_to<T>(grad_a + d + v * kN, total[v], m[v]);
    }
  }
}

template <class T>
using RowGradient = void (*)(const T*, const T*, const T*, const T*, int64_t, int64_t, T, T*);

template <class T>
RowGradient<T> row_gradient_of(Power power) {
  switch (power) {
    case Power::kOne: return row_gradient<T, Power::kOne>;
    case Power::kTwo: return row_gradient<T, Power::kTwo>;
    case Power::kLargest: return row_gradient<T, Power::kLargest>;
    default: return row_gradient<T, Power::kAny>;
  }
}

template <class T>
Status distance_bwd_typed(const DistanceBwdArgs& args, const Sizes& s) {
  const T* const a = reinterpret_cast<const T*>(args.a.data);
  const T* const b = reinterpret_cast<const T*>(args.b.data);
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const y = reinterpret_cast<const T*>(args.y.data);
  T* const grad_a = reinterpret_cast<T*>(args.grad_a.data);
  const Power power = power_of(args.p);
  const int64_t rows = s.batch * s.rows;
  const int64_t work = max64(s.others * s.depth, 1), grain = max64(kBlock / work, 1);
  if (power == Power::kZero || s.others == 0) {
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      __builtin_memset(grad_a + begin * s.depth, 0,
                       static_cast<size_t>((end - begin) * s.depth) * sizeof(T));
    });
    return kDone;
  }
  const RowGradient<T> gradient = row_gradient_of<T>(power);
  const int64_t blocks = (rows + grain - 1) / grain;
  const Scratch scratch(static_cast<size_t>(max64(blocks * 2 * s.others, 1)) * sizeof(T));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    T* const f = static_cast<T*>(scratch.memory) + begin / grain * 2 * s.others;
    T* const g = f + s.others;
    for (int64_t i = begin; i < end; ++i) {
      row_factors<T>(power, grad_y + i * s.others, y + i * s.others, s.others, f, g);
      gradient(a + i * s.depth, b + i / s.rows * s.others * s.depth, f, g, s.others, s.depth,
               static_cast<T>(args.p), grad_a + i * s.depth);
    }
  });
  return kDone;
}

// The pairs of n rows, and whether `condensed` and `square` are of that many.
bool pairs_fit(const Array& condensed, const Array& square, int64_t& n) {
  if (square.ndim != 2 || condensed.ndim != 1 || square.shape[0] != square.shape[1]) return false;
  n = square.shape[0];
  return condensed.size == n * (n - 1) / 2;
}

template <class T>
void square_form_typed(const T* x, int64_t n, T* y) {
  parallel_for(n, max64(kBlock / max64(n, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* const row = y + i * n;
      for (int64_t j = 0; j < i; ++j) row[j] = x[first_pair(j, n) + i - j - 1];
      row[i] = 0;
      const T* const own = x + first_pair(i, n) - i - 1;
      for (int64_t j = i + 1; j < n; ++j) row[j] = own[j];
    }
  });
}

template <class T>
void pair_sum_typed(const T* x, int64_t n, T* y) {
  parallel_for(n, max64(kBlock / max64(n, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* const own = y + first_pair(i, n) - i - 1;
      for (int64_t j = i + 1; j < n; ++j) own[j] = x[i * n + j] + x[j * n + i];
    }
  });
}

}  // namespace

Status distance(const DistanceArgs& args) {
  Sizes s;
  if (!make_sizes(args.a, args.b, s)) return {Code::kShape, {1, 0}};
  const int64_t count = args.pairs ? s.rows * (s.rows - 1) / 2 : s.batch * s.rows * s.others;
  if (args.y.size != count || (args.pairs && (s.batch != 1 || s.others != s.rows))) {
    return {Code::kShape, {4, 0}};
  }
  if (args.y.size == 0) return kDone;
  switch (args.a.dtype) {
    case DType::kFloat32: return distance_typed<float>(args, s);
    case DType::kFloat64: return distance_typed<double>(args, s);
    default: return kNoDType;
  }
}

Status distance_bwd(const DistanceBwdArgs& args) {
  Sizes s;
  if (!make_sizes(args.a, args.b, s)) return {Code::kShape, {3, 0}};
  const int64_t count = s.batch * s.rows * s.others;
  if (args.grad_y.size != count || args.y.size != count) return {Code::kShape, {0, 0}};
  if (args.grad_a.size == 0) return kDone;
  switch (args.a.dtype) {
    case DType::kFloat32: return distance_bwd_typed<float>(args, s);
    case DType::kFloat64: return distance_bwd_typed<double>(args, s);
    default: return kNoDType;
  }
}

Status square_form(const PairsArgs& args) {
  int64_t n = 0;
  if (!pairs_fit(args.x, args.y, n)) return {Code::kShape, {1, 0}};
  if (args.x.dtype == DType::kFloat32) {
    square_form_typed(reinterpret_cast<const float*>(args.x.data), n,
                      reinterpret_cast<float*>(args.y.data));
  } else if (args.x.dtype == DType::kFloat64) {
    square_form_typed(reinterpret_cast<const double*>(args.x.data), n,
                      reinterpret_cast<double*>(args.y.data));
  } else {
    return kNoDType;
  }
  return kDone;
}

Status pair_sum(const PairsArgs& args) {
  int64_t n = 0;
  if (!pairs_fit(args.y, args.x, n)) return {Code::kShape, {1, 0}};
  if (args.x.dtype == DType::kFloat32) {
    pair_sum_typed(reinterpret_cast<const float*>(args.x.data), n,
                   reinterpret_cast<float*>(args.y.data));
  } else if (args.x.dtype == DType::kFloat64) {
    pair_sum_typed(reinterpret_cast<const double*>(args.x.data), n,
                   reinterpret_cast<double*>(args.y.data));
  } else {
    return kNoDType;
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
